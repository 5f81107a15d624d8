"""Convolutional networks as tasks: pixels, views, fingerprints and the digits."""

import numpy as np
import pytest

from subtrain.errors import InputError
from subtrain.outputs import check
from subtrain.tasks import View, cnn, digits, load_task, mlp
from subtrain.trainers.cnn import train_cnn
from subtrain.trainers.kit.sgd import Sgd

RANDOM = np.random.default_rng(0)
Y, Y_TEST = np.arange(60) % 3, np.arange(20) % 3
BRIGHT = np.array([30, 110, 200])
IMAGES, TEST = (
    (RANDOM.integers(0, 50, (len(y), 7, 6, 2)) + BRIGHT[y][:, None, None, None]).astype(np.uint8) for y in (Y, Y_TEST)
)
MASKS = RANDOM.random((3, 60)) < 0.7
SEEDS = np.array([3, 3, 9], np.uint32)
QUICK = Sgd(epochs=3, batch=10, lr=0.05, order="unit")


def task(images=IMAGES, test=TEST, **options):
    return cnn(images, Y, test, Y_TEST, **{"channels": (8,), "recipe": QUICK} | options)


def test_it_learns_and_returns_what_it_declares():
    trained = task(outputs=["test_margins", "train_margins", "test_logits"], recipe=Sgd(epochs=15, batch=10, lr=0.05))
    found = check(trained.outputs, trained.train(MASKS, SEEDS), range(3))
    assert trained.n == 60
    assert found["train_margins"].shape == (3, 60)
    assert found["test_logits"].shape == (3, 20, 3)
    assert (found["test_margins"] > 0).mean() > 0.9


def test_bytes_are_standardised_over_all_training_images_or_only_scaled():
    standard = ((IMAGES - IMAGES.mean(axis=(0, 1, 2))) / IMAGES.std(axis=(0, 1, 2))).astype(np.float32)
    assert np.abs(standard.mean(axis=(0, 1, 2))).max() < 1e-4
    for found, pixels in ((task(), standard), (task(standardize=False), (IMAGES / 255).astype(np.float32))):
        logits = train_cnn(pixels, Y, MASKS, SEEDS, [pixels], classes=3, channels=(8,), recipe=QUICK)[0]
        expected = logits[:, np.arange(60), Y] - np.where(np.eye(3, dtype=bool)[Y], -np.inf, logits).max(axis=2)
        assert np.abs(found.train(MASKS, SEEDS)["train_margins"] - expected).max() < 1e-3


def test_other_numbers_are_used_as_they_are():
    as_floats = task((IMAGES / 255).astype(np.float32), (TEST / 255).astype(np.float32))
    scaled = task(standardize=False).train(MASKS, SEEDS)["test_margins"]
    assert np.abs(as_floats.train(MASKS, SEEDS)["test_margins"] - scaled).max() < 1e-3
    assert as_floats.view is None


def test_a_constant_image_channel_does_no_harm():
    dark = IMAGES.copy()
    dark[..., 1] = 0
    assert np.isfinite(task(dark).train(MASKS, SEEDS)["test_margins"]).all()


def test_bytes_can_be_shown():
    view = task().view
    assert np.array_equal(view.images["train"], IMAGES)
    assert view.labels["test"][:4] == ["0", "1", "2", "0"]
    own = View(labels={"test": ["a"] * 20})
    assert task(view=own).view is own


def test_the_fingerprint_tells_networks_apart():
    options = [
        {},
        {"channels": (16,)},
        {"kernel": 5},
        {"pool": 3},
        {"widths": (5,)},
        {"init": "shared"},
        {"recipe": Sgd(epochs=3, batch=10, lr=0.06)},
        {"standardize": False},
        {"margin": "logsumexp"},
        {"images": IMAGES[::-1]},
    ]
    prints = [task(**o).fingerprint for o in options]
    assert len(set(prints)) == len(options)
    assert task().fingerprint == prints[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": IMAGES[:, :5]}, r"of one size; got \[60, 5, 6, 2\] and \[20, 7, 6, 2\]"),
        ({"images": IMAGES.reshape(60, -1)}, "images must be"),
        ({"images": IMAGES[:50]}, "images and y differ in length: 50 and 60 examples"),
        ({"channels": (4, 4, 4)}, "images of 7 x 6 pixels leave nothing"),
        ({"kernel": 2}, "odd number"),
    ],
)
def test_what_does_not_fit_is_refused_when_the_task_is_made(changes, said):
    with pytest.raises(InputError, match=said):
        task(**changes)


def test_digits_by_networks_with_blocks():
    made, source = load_task("digits", {"n": 200, "targets": 50, "channels": [8, 16], "epochs": 60})
    found = made.train(np.random.default_rng(0).random((2, 200)) < 0.5, SEEDS[:2])["test_margins"]
    assert (found > 0).mean() > 0.6
    assert source.params["channels"] == [8, 16]
    assert made.view.images["train"].shape == (200, 8, 8)
    prints = {
        digits(n=200, targets=50, **o).fingerprint for o in ({}, {"channels": (8,)}, {"channels": (8,), "widths": (9,)})
    }
    assert len(prints) == 3


def test_digits_are_the_mlps_they_have_always_been():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(labels))
    train, test = order[:500], order[500:800]
    x = (images / 16).astype(np.float32)
    plain = mlp(x[train], labels[train], x[test], labels[test], (64,), Sgd(), "shared")
    assert digits().fingerprint == digits(widths=[64]).fingerprint == plain.fingerprint
