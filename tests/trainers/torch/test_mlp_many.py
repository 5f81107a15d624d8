"""Many networks at once on a device against the compiled loops, which train one after another."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from subtrain.errors import InputError
from subtrain.trainers.kit.sgd import Sgd
from subtrain.trainers.mlp import LOGISTIC, train_mlp

torch = pytest.importorskip("torch")
from subtrain.trainers.torch.mlp_many import ManyMlps  # noqa: E402

IMAGES, LABELS = load_digits(return_X_y=True)
X, TEST = ((IMAGES[rows] / 16).astype(np.float32) for rows in (slice(220), slice(1000, 1100)))
Y = LABELS[:220]
SEEDS = np.array([3, 1, 4_000_000_000, 5, 9, 6, 7], np.uint32)
MASKS = np.stack([np.random.default_rng(i).permutation(220) < (110 if i % 3 else 90) for i in range(7)])
PLAIN = Sgd(epochs=40, batch=25, lr=0.2, momentum=0.0, weight_decay=0.0, schedule="constant", nesterov=False)


@pytest.mark.parametrize(
    ("widths", "settings"),
    [
        ((64,), {"recipe": Sgd()}),
        ((64,), {"recipe": PLAIN}),
        ((32, 17), {"recipe": replace(PLAIN, lr=0.1, momentum=0.9, weight_decay=0.003, schedule="cosine")}),
        (
            (40, 30, 20),
            {"recipe": replace(PLAIN, batch=1000, momentum=0.9, lr=0.05, epochs=150), "init": "shared", "init_seed": 4},
        ),
        ((), {"recipe": LOGISTIC}),
    ],
    ids=["default", "plain", "two layers", "three layers, full batch, shared", "logistic"],
)
def test_the_same_networks_as_one_after_another(widths, settings):
    many = ManyMlps(X, Y, [TEST, X], classes=10, widths=widths, device="cpu", at_once=3, threads=2, **settings)
    found = many.train(MASKS, SEEDS)
    expected = train_mlp(X, Y, MASKS, SEEDS, [TEST, X], classes=10, widths=widths, **settings)
    for a, b in zip(found, expected, strict=True):
        # Now and then a ReLU's input lies within rounding of zero, and two right answers part.
        differences = np.abs(a - b).max(axis=(1, 2))
        assert np.median(differences) < 2e-4
        assert differences.max() < 0.5
    assert (found[0].argmax(2) == LABELS[1000:1100]).mean() > 0.6


def test_a_second_call_starts_anew():
    many = ManyMlps(X, Y, [TEST], classes=10, recipe=Sgd(epochs=3), device="cpu")
    first, second = (many.train(MASKS, SEEDS)[0] for _ in range(2))
    assert np.array_equal(first, second)
    assert many.train(MASKS[:0], SEEDS[:0])[0].shape == (0, 100, 10)


def test_what_does_not_fit():
    many = ManyMlps(X, Y, [TEST], classes=10, device="cpu")
    with pytest.raises(InputError, match="model 1 of these 2 has an empty subset"):
        many.train(np.stack([MASKS[0], np.zeros(220, bool)]), SEEDS[:2])
    with pytest.raises(InputError, match=r"evaluate\[0\] must be float32"):
        ManyMlps(X, Y, [TEST[:, :5]], classes=10, device="cpu")
