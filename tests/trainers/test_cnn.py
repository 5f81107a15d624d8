"""Many convolutional networks: nobody's neighbours matter, what diverges shows, what does not fit is refused."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from subtrain.errors import InputError
from subtrain.trainers.cnn import train_cnn
from subtrain.trainers.kit.sgd import Sgd

IMAGES, LABELS = load_digits(return_X_y=True)
X = (IMAGES[:120] / 16).astype(np.float32).reshape(-1, 8, 8)
Y = LABELS[:120]
TEST = (IMAGES[1000:1075] / 16).astype(np.float32).reshape(-1, 8, 8)
MASKS = np.random.default_rng(0).random((6, 120)) < np.linspace(0.2, 0.9, 6)[:, None]
SEEDS = np.arange(6, dtype=np.uint32) * 600_000_000
SHORT = Sgd(epochs=4, batch=16, lr=0.1)
UNTRAINED = Sgd(epochs=1, lr=1e-30)
NETWORKS = {
    "one block": {"channels": (7,)},
    "two blocks": {"channels": (16, 32)},
    "hidden layer, a side left over": {"channels": (17,), "pool": 3, "widths": (11,)},
    "no pooling": {"channels": (4, 6), "pool": 1, "kernel": 5},
}


def train(masks=MASKS, seeds=SEEDS, evaluate=(X, TEST), x=X, y=Y, **settings):
    return train_cnn(x, y, masks, seeds, evaluate, **{"classes": 10, "channels": (8, 16), "recipe": SHORT} | settings)


def digest(logits):
    return hashlib.sha256(b"".join(np.ascontiguousarray(z).tobytes() for z in logits)).hexdigest()


def moved(array, shift):
    """The same numbers elsewhere in memory, `shift` numbers beyond where an allocation begins."""
    there = np.empty(array.size + shift, np.float32)[shift:].reshape(array.shape)
    there[:] = array
    return there


def test_shapes_and_types():
    logits = train()
    assert [z.shape for z in logits] == [(6, 120, 10), (6, 75, 10)]
    assert all(z.dtype == np.float32 and np.isfinite(z).all() for z in logits)
    assert train(evaluate=[]) == []
    assert train(np.empty((0, 120), bool), np.empty(0, np.uint32))[1].shape == (0, 75, 10)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("init", ["own", "shared"])
def test_a_model_is_the_same_bit_for_bit_alone_beside_others_and_in_any_place(network, init):
    together = train(**network, init=init)
    for i in range(6):
        alone = train(MASKS[i : i + 1], SEEDS[i : i + 1], **network, init=init)
        assert all(np.array_equal(a[0], t[i]) for a, t in zip(alone, together, strict=True))
    order = np.array([4, 0, 5, 5, 2])
    permuted = train(MASKS[order], SEEDS[order], **network, init=init)
    assert all(np.array_equal(p, t[order]) for p, t in zip(permuted, together, strict=True))


def test_large_images_in_colour_as_well():
    x = np.random.default_rng(1).random((40, 21, 30, 3), np.float32)
    settings = {"x": x, "y": Y[:40], "evaluate": [x], "channels": (8, 24)}
    (together,) = train(MASKS[:3, :40], SEEDS[:3], **settings)
    (alone,) = train(MASKS[2:3, :40], SEEDS[2:3], **settings)
    assert np.array_equal(alone[0], together[2])
    assert np.isfinite(together).all()


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_a_model_does_not_depend_on_what_else_is_evaluated_or_where_arrays_lie(network):
    _, expected = train(**network)
    kept = []
    for shift in range(1, 5):
        kept.append(bytearray(1000 * shift + 8))  # moves the memory that the loops are given
        (logits,) = train(evaluate=[moved(TEST, shift)], x=moved(X, shift), **network)
        assert np.array_equal(logits, expected)


def test_another_process_computes_the_same_bits():
    script = "import test_cnn as t; print(t.digest(t.train(t.MASKS[2:], t.SEEDS[2:])))"
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


def test_one_channel_may_be_left_out_of_the_shape():
    with_channel = train(x=X[..., None], evaluate=[TEST[..., None]])
    assert np.array_equal(with_channel[0], train(evaluate=[TEST])[0])


def test_read_only_data_is_accepted_and_left_alone():
    x, test = X.copy(), TEST.copy()
    x.flags.writeable = test.flags.writeable = False
    (logits,) = train(x=x, evaluate=[test])
    assert np.array_equal(logits, train(evaluate=[TEST])[0])
    assert np.array_equal(x, X)


@pytest.mark.parametrize("batch", [1, 7, 64, 1000])
def test_it_learns_with_minibatches_of_any_size(batch):
    epochs, rate = {1: (20, 0.003), 7: (30, 0.03), 64: (60, 0.1), 1000: (250, 0.2)}[batch]
    recipe = Sgd(epochs=epochs, batch=batch, lr=rate, weight_decay=0.0)
    seen, test = train(recipe=recipe, masks=MASKS[4:], seeds=SEEDS[4:])
    assert (seen.argmax(axis=2) == Y)[MASKS[4:]].mean() > 0.95
    assert (test[-1].argmax(axis=1) == LABELS[1000:1075]).mean() > 0.6


def test_examples_outside_the_subset_have_no_effect():
    changed_x, changed_y = X.copy(), Y.copy()
    changed_x[~MASKS[0]] = 1e6
    changed_y[~MASKS[0]] = 0
    (logits,) = train(MASKS[:1], SEEDS[:1], [TEST], x=changed_x, y=changed_y)
    assert np.array_equal(logits, train(MASKS[:1], SEEDS[:1], [TEST])[0])


def test_weights_start_from_each_models_seed_or_all_from_one():
    masks, seeds = np.repeat(MASKS[:1], 3, axis=0), np.array([1, 1, 2], np.uint32)
    (own,) = train(masks, seeds, [TEST], recipe=UNTRAINED)
    assert np.array_equal(own[0], own[1])
    assert np.abs(own[0] - own[2]).max() > 0.01
    (shared,) = train(masks, seeds, [TEST], recipe=UNTRAINED, init="shared")
    assert np.array_equal(shared[0], shared[2])
    (other,) = train(masks, seeds, [TEST], recipe=UNTRAINED, init="shared", init_seed=5)
    assert np.abs(shared - other).max() > 0.01
    (trained,) = train(masks, seeds, [TEST], init="shared")
    assert np.array_equal(trained[0], trained[1])
    assert np.abs(trained[0] - trained[2]).max() > 0  # the order of examples is still each model's own


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_a_diverged_model_shows_in_its_logits_and_spoils_no_other(network):
    x = X.copy()
    poisoned = np.flatnonzero(~MASKS[0] & MASKS[1])[0]
    x[poisoned] = np.nan
    (logits,) = train(MASKS[:2], SEEDS[:2], [TEST], x=x, **network)
    assert np.isfinite(logits[0]).all()
    assert not np.isfinite(logits[1]).any()
    (blown,) = train(MASKS[:1], SEEDS[:1], [TEST], **network, recipe=Sgd(epochs=5, batch=16, lr=1e38))
    assert not np.isfinite(blown).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"x": X.reshape(120, 64)}, r"x must be images \[examples, height, width\(, channels\)\]"),
        ({"x": X[:, :, :0]}, "x must be images"),
        ({"x": X.astype(np.float64)}, r"x must be float32 \[examples, 8, 8\] in C order, got float64"),
        ({"x": X.transpose(0, 2, 1)}, "C order"),
        ({"y": Y[:-1]}, "y must be 120 integers"),
        ({"masks": MASKS[:, :-1]}, r"masks must be bool \[models, 120\]"),
        ({"masks": MASKS & False}, "model 0 of these 6 has an empty subset"),
        ({"seeds": SEEDS[:-1]}, "seeds must be 6 integers"),
        ({"evaluate": [TEST, TEST[:, :7].copy()]}, r"evaluate\[1\] must be float32 \[examples, 8, 8\]"),
        ({"channels": ()}, "channels must be whole numbers"),
        ({"channels": (8, 0)}, "channels must be whole numbers"),
        ({"channels": (8.0,)}, "channels must be whole numbers"),
        ({"channels": (4, 4, 4, 4)}, "images of 8 x 8 pixels leave nothing after 4 times pool 2"),
        ({"kernel": 4}, "kernel must be an odd number"),
        ({"kernel": 0}, "kernel must be an odd number"),
        ({"pool": 0}, "pool must be a whole number"),
        ({"widths": (0,)}, "hidden widths"),
        ({"classes": 1}, "at least 2 classes"),
        ({"init": "torch"}, "own, shared"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(changes, said):
    with pytest.raises(InputError, match=said):
        train(**changes)
