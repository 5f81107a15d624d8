"""Many models at once: nobody's neighbours matter, seeds do, and what does not fit is refused."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from subtrain.errors import InputError
from subtrain.trainers.kit.sgd import Sgd
from subtrain.trainers.mlp import train_logistic, train_mlp

IMAGES, LABELS = load_digits(return_X_y=True)
X = (IMAGES[:120] / 16).astype(np.float32)
Y = LABELS[:120]
TEST = (IMAGES[1000:1150] / 16).astype(np.float32)
MASKS = np.random.default_rng(0).random((7, 120)) < np.linspace(0.2, 0.9, 7)[:, None]
SEEDS = np.arange(7, dtype=np.uint32) * 600_000_000
SHORT = Sgd(epochs=4, batch=16, lr=0.1)
UNTRAINED = Sgd(epochs=1, lr=1e-30)


def train(masks=MASKS, seeds=SEEDS, evaluate=(X, TEST), **settings):
    return train_mlp(X, Y, masks, seeds, evaluate, **{"classes": 10, "recipe": SHORT} | settings)


def digest(logits):
    return hashlib.sha256(b"".join(np.ascontiguousarray(z).tobytes() for z in logits)).hexdigest()


def test_shapes_and_types():
    logits = train()
    assert [z.shape for z in logits] == [(7, 120, 10), (7, 150, 10)]
    assert all(z.dtype == np.float32 and np.isfinite(z).all() for z in logits)
    assert train(evaluate=[]) == []
    assert train(np.empty((0, 120), bool), np.empty(0, np.uint32))[1].shape == (0, 150, 10)


@pytest.mark.parametrize("widths", [(), (64,), (33, 16)], ids=str)
@pytest.mark.parametrize("init", ["own", "shared"])
def test_a_model_is_the_same_bit_for_bit_alone_beside_others_and_in_any_place(widths, init):
    together = train(widths=widths, init=init)
    for i in range(7):
        alone = train(MASKS[i : i + 1], SEEDS[i : i + 1], widths=widths, init=init)
        assert all(np.array_equal(a[0], t[i]) for a, t in zip(alone, together, strict=True))
    order = np.array([4, 0, 6, 6, 2])
    permuted = train(MASKS[order], SEEDS[order], widths=widths, init=init)
    assert all(np.array_equal(p, t[order]) for p, t in zip(permuted, together, strict=True))


def test_a_model_does_not_depend_on_what_else_is_evaluated_or_where_arrays_lie():
    _, expected = train()
    (alone,) = train(evaluate=[TEST])
    assert np.array_equal(alone, expected)
    for shift in range(1, 5):
        moved = np.empty(TEST.size + shift, np.float32)[shift:].reshape(TEST.shape)
        moved[:] = TEST
        (logits,) = train(evaluate=[moved])
        assert np.array_equal(logits, expected)


def test_another_process_computes_the_same_bits():
    script = "import test_mlp as t; print(t.digest(t.train(t.MASKS[2:], t.SEEDS[2:])))"
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL", "NUMBA")}
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    answer = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **threads, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == digest([z[2:] for z in train()])


def test_read_only_data_is_accepted_and_left_alone():
    x, test = X.copy(), TEST.copy()
    x.flags.writeable = test.flags.writeable = False
    (logits,) = train_mlp(x, Y, MASKS, SEEDS, [test], classes=10, recipe=SHORT)
    assert np.array_equal(logits, train(evaluate=[TEST])[0])
    assert np.array_equal(x, X)


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.uint16])
def test_labels_of_any_integer_type(kind):
    (logits,) = train_mlp(X, Y.astype(kind), MASKS, SEEDS, [TEST], classes=10, recipe=SHORT)
    assert np.array_equal(logits, train(evaluate=[TEST])[0])


def test_it_learns_from_its_own_subset_only():
    recipe = Sgd(epochs=60, batch=20, lr=0.1)
    seen, test = train(recipe=recipe)
    right = seen.argmax(axis=2) == Y
    assert right[MASKS].mean() > 0.99
    assert (test[-1].argmax(axis=1) == LABELS[1000:1150]).mean() > 0.75
    without_zeros = (Y != 0)[None]
    (logits,) = train(without_zeros, SEEDS[:1], [X], recipe=recipe)
    assert not (logits[0].argmax(axis=1) == 0).any()


def test_examples_outside_the_subset_have_no_effect():
    outside = ~MASKS[0]
    changed_x, changed_y = X.copy(), Y.copy()
    changed_x[outside] = 1e6
    changed_y[outside] = 0
    (logits,) = train_mlp(changed_x, changed_y, MASKS[:1], SEEDS[:1], [TEST], classes=10, recipe=SHORT)
    assert np.array_equal(logits, train(MASKS[:1], SEEDS[:1], [TEST])[0])


def test_own_initialisation_comes_from_each_models_seed():
    same_mask = np.repeat(MASKS[:1], 3, axis=0)
    (start,) = train(same_mask, np.array([1, 1, 2], np.uint32), [TEST], recipe=UNTRAINED)
    assert np.array_equal(start[0], start[1])
    assert np.abs(start[0] - start[2]).max() > 0.01
    (moved,) = train(same_mask, np.array([1, 1, 2], np.uint32), [TEST], recipe=UNTRAINED, init_seed=8)
    assert np.array_equal(start, moved)


def test_shared_initialisation_comes_from_init_seed_and_the_order_still_from_the_models_seed():
    same_mask, seeds = np.repeat(MASKS[:1], 3, axis=0), np.array([1, 1, 2], np.uint32)
    settings = {"masks": same_mask, "seeds": seeds, "evaluate": [TEST], "init": "shared"}
    (start,) = train(**settings, recipe=UNTRAINED)
    assert np.array_equal(start[0], start[1])
    assert np.array_equal(start[0], start[2])
    (other,) = train(**settings, recipe=UNTRAINED, init_seed=5)
    assert np.abs(start - other).max() > 0.01
    (trained,) = train(**settings)
    assert np.array_equal(trained[0], trained[1])
    assert 0 < np.abs(trained[0] - trained[2]).max() < 0.5


def test_logistic_regression_starts_at_zero_whatever_the_seed():
    (logits,) = train_logistic(X, Y, MASKS, SEEDS, [TEST], classes=10, recipe=UNTRAINED)
    assert np.abs(logits).max() < 1e-20
    (trained,) = train_logistic(X, Y, MASKS, SEEDS, [TEST], classes=10)
    assert (trained[-1].argmax(axis=1) == LABELS[1000:1150]).mean() > 0.75
    (network,) = train(evaluate=[TEST], widths=())
    assert np.array_equal(network, train_logistic(X, Y, MASKS, SEEDS, [TEST], classes=10, recipe=SHORT)[0])


def test_two_classes():
    (logits,) = train_logistic(X, Y % 2, MASKS, SEEDS, [X], classes=2)
    assert logits.shape == (7, 120, 2)
    assert (logits[-1].argmax(axis=1) == Y % 2)[MASKS[-1]].mean() > 0.9


@pytest.mark.parametrize("widths", [(), (64,), (16, 8)], ids=str)
def test_a_diverged_model_shows_in_its_logits_and_spoils_no_other(widths):
    x = X.copy()
    poisoned = np.flatnonzero(~MASKS[0] & MASKS[1])[0]
    x[poisoned] = np.inf
    (logits,) = train_mlp(x, Y, MASKS[:2], SEEDS[:2], [TEST], classes=10, widths=widths, recipe=SHORT)
    assert np.isfinite(logits[0]).all()
    assert not np.isfinite(logits[1]).any()
    (blown,) = train(MASKS[:1], SEEDS[:1], [TEST], widths=widths, recipe=Sgd(epochs=5, batch=16, lr=1e38))
    assert not np.isfinite(blown).all()


def test_an_empty_subset_is_refused_by_the_models_position():
    masks = MASKS.copy()
    masks[4] = False
    with pytest.raises(InputError, match="model 4 of these 7"):
        train(masks)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"x": X[:, :0]}, "x must be a matrix"),
        ({"x": X.astype(np.float64)}, r"x must be float32 \[examples, 64\] in C order, got float64"),
        ({"x": np.asfortranarray(X)}, "C order"),
        ({"y": Y[:-1]}, "y must be 120 integers"),
        ({"y": Y.astype(float)}, "y must be 120 integers, got float64"),
        ({"y": Y + 1}, r"y must be in 0\.\.9, found 1\.\.10"),
        ({"masks": MASKS[:, :-1]}, r"masks must be bool \[models, 120\]"),
        ({"masks": MASKS.astype(np.uint8)}, "got uint8"),
        ({"seeds": SEEDS[:-1]}, "seeds must be 7 integers"),
        ({"seeds": -SEEDS.astype(np.int64)}, "seeds must be in"),
        ({"evaluate": [TEST, TEST[:, :9].copy()]}, r"evaluate\[1\] must be float32 \[examples, 64\]"),
        ({"widths": (64, 0)}, "hidden widths"),
        ({"widths": (6.5,)}, "hidden widths"),
        ({"classes": 1}, "at least 2 classes"),
        ({"init": "torch"}, "own, shared"),
        ({"init_seed": -1}, "seeds must be in"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(changes, said):
    given = {"x": X, "y": Y, "masks": MASKS, "seeds": SEEDS, "evaluate": [TEST], "classes": 10} | changes
    with pytest.raises(InputError, match=said):
        train_mlp(**given)
