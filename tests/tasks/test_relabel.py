"""Relabelled twins: what is trained on originals alone stays what it was, and a twin acts under its new label."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from subtrain.errors import InputError
from subtrain.tasks import (
    cnn,
    digits,
    kernel_ridge,
    load_task,
    logistic_head,
    mlp,
    random_features,
    ridge_head,
    sklearn,
    tabular,
    torch_module,
)
from subtrain.tasks.relabel import Twins, relabelled, relabelled_source
from subtrain.trainers.kit.sgd import Sgd
from worlds import linear

IMAGES, LABELS = load_digits(return_X_y=True)
X, TEST = (IMAGES[:80] / 16).astype(np.float32), (IMAGES[200:220] / 16).astype(np.float32)
Y, Y_TEST = LABELS[:80], LABELS[200:220]
SPLITS = (X, Y, TEST, Y_TEST)
UNITS, NEW = [3, 10, 3], [(Y[3] + 1) % 10, (Y[10] + 2) % 10, (Y[3] + 5) % 10]
MASKS = np.random.default_rng(0).random((3, 80)) < 0.6
SEEDS = np.array([5, 6, 7], np.uint32)
BOTH = ["test_margins", "train_margins"]
FAST = Sgd(epochs=3)


def images(flat):
    return flat.reshape(-1, 8, 8)


def small_torch():
    torch = pytest.importorskip("torch")
    from subtrain.tasks.torch import TorchRecipe

    recipe = TorchRecipe(epochs=2, batch=16, device="cpu")
    return torch_module(lambda: torch.nn.Linear(64, 10), (X, Y), (TEST, Y_TEST), recipe, outputs=BOTH)


EXACT = {
    "mlp": lambda: mlp(*SPLITS, widths=(16,), recipe=FAST),
    "cnn": lambda: cnn(images(X), Y, images(TEST), Y_TEST, channels=(4,), recipe=FAST),
    "sklearn": lambda: sklearn(LogisticRegression(C=1), *SPLITS, outputs=BOTH),
    "kernel": lambda: kernel_ridge(*SPLITS),
    "random features": lambda: random_features(*SPLITS, features=32),
    "torch": small_torch,
}
CLOSE = {
    "ridge": lambda: ridge_head(*SPLITS),
    "logistic": lambda: logistic_head(*SPLITS),
    "shared features": lambda: random_features(*SPLITS, features=32, init="shared"),
}


@pytest.mark.parametrize("name", [*EXACT, *CLOSE])
def test_originals_alone_give_the_models_they_gave_and_twins_act(name):
    task = (EXACT | CLOSE)[name]()
    twins = relabelled(task, UNITS, NEW)
    assert (twins.n, twins.outputs) == (83, task.outputs)
    assert twins.fingerprint != task.fingerprint
    none = np.zeros((3, 3), bool)
    before, after = task.train(MASKS, SEEDS), twins.train(np.concatenate([MASKS, none], axis=1), SEEDS)
    for output in task.outputs:
        if name in EXACT:
            assert np.array_equal(before[output], after[output])
        else:
            assert np.allclose(before[output], after[output], rtol=1e-3, atol=1e-3)
    whole = np.ones((3, 83), bool)
    whole[:, 80:] = False
    swapped = ~whole
    swapped[:, :80] = True
    swapped[:, UNITS] = False
    right, wrong = (twins.train(masks, SEEDS)["train_margins"][:, [3, 10]] for masks in (whole, swapped))
    assert wrong.mean() < right.mean() - 0.01  # trained under wrong labels, they are judged by their own


def test_a_twin_is_the_example_under_the_other_label():
    labels = Y.copy()
    labels[UNITS[:2]] = NEW[:2]
    by_hand = sklearn(LogisticRegression(C=1), X, labels, TEST, Y_TEST, outputs=["test_logits"])
    twins = sklearn(LogisticRegression(C=1), *SPLITS, outputs=["test_logits"]).relabelled(UNITS[:2], NEW[:2])
    masks = np.ones((1, 82), bool)
    masks[:, UNITS[:2]] = False
    expected = by_hand.train(np.ones((1, 80), bool), SEEDS[:1])["test_logits"]
    assert np.allclose(twins.train(masks, SEEDS[:1])["test_logits"], expected, atol=1e-2)


def test_it_is_made_again_from_its_source():
    task = digits(n=40, targets=5, epochs=1)
    source = relabelled_source(task.source, [1, 2], [3, 4])
    again, _ = load_task(source.name, source.params)
    assert again.fingerprint == task.relabelled([1, 2], [3, 4]).fingerprint
    assert tabular("iris").relabelled([0], [2]).n == tabular("iris").n + 1
    assert relabelled_source(None, [1], [2]) is None


def test_what_cannot_be_relabelled():
    with pytest.raises(InputError, match=r"cannot relabel its examples, for it does not know their labels"):
        relabelled(linear(), [0], [1])

    class Bare:
        n = 3

    with pytest.raises(InputError, match=r"this task \(Bare\) cannot relabel"):
        relabelled(Bare(), [0], [1])
    for units, labels in (([80], [0]), ([0], [10]), ([-1], [0])):
        with pytest.raises(InputError, match="to relabel must be in"):
            Twins.of(units, labels, 80, 10)
    with pytest.raises(InputError, match="needs a label"):
        Twins.of([1, 2], [3], 80, 10)
    with pytest.raises(InputError, match="cannot relabel"):
        mlp(*SPLITS).relabelled([0], [1]).relabelled([0], [1])
