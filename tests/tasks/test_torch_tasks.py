"""PyTorch modules as tasks."""

from __future__ import annotations

import cloudpickle
import numpy as np
import pytest

from subtrain import margins
from subtrain.errors import InputError
from subtrain.outputs import check
from subtrain.tasks import torch_module
from subtrain.tasks.torch import TorchRecipe

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.xdist_group("torch"), pytest.mark.usefixtures("one_torch_thread")]

RANDOM = np.random.default_rng(0)
X, X_TEST = (RANDOM.normal(size=(n, 4)).astype(np.float32) for n in (60, 20))
Y, Y_TEST = (np.argmax(x[:, :3], axis=1) for x in (X, X_TEST))
MASKS = RANDOM.random((3, 60)) < 0.7
SEEDS = np.array([3, 3, 9], np.uint32)


def make():
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))


def task(recipe=TorchRecipe(epochs=4, batch=16), **options):
    return torch_module(make, (X, Y), (X_TEST, Y_TEST), recipe, **options)


def test_it_learns_and_depends_on_mask_and_seed_only():
    names = ["test_margins", "train_margins", "test_logits"]
    trained = task(TorchRecipe(epochs=30, batch=16), outputs=names)
    found = check(trained.outputs, trained.train(MASKS, SEEDS), range(3))
    assert (found["test_margins"] > 0).mean() > 0.8
    assert found["test_logits"].shape == (3, 20, 3)
    assert np.allclose(found["test_margins"], margins(found["test_logits"], Y_TEST), atol=0.02)
    same = trained.train(MASKS[[2, 1]], SEEDS[[2, 1]])
    assert np.allclose(same["test_margins"], found["test_margins"][[2, 1]], atol=0.01)
    again = trained.train(MASKS[[0, 0]], np.array([3, 4], np.uint32))["test_margins"]
    assert np.array_equal(again[0], trained.train(MASKS[:1], SEEDS[:1])["test_margins"][0])
    assert not np.array_equal(again[0], again[1])


def test_the_optimiser_is_plain_sgd_with_a_falling_rate():
    """One linear layer, one full batch an epoch: the same steps by hand."""
    zero = torch_module(zeroed, (X, Y), (X_TEST, Y_TEST), TorchRecipe(3, 100, 0.5, 0.0, 0.0), ["test_logits"])
    found = zero.train(MASKS[:1], SEEDS[:1])["test_logits"][0]
    x, y = X[MASKS[0]].astype(float), np.eye(3)[Y[MASKS[0]]]
    w = np.zeros((4, 3))
    for step in range(3):
        p = np.exp(x @ w)
        w -= 0.5 * (1 - step / 3) * x.T @ (p / p.sum(axis=1, keepdims=True) - y) / len(x)
    assert np.allclose(found, X_TEST @ w, atol=1e-5)


def zeroed():
    layer = torch.nn.Linear(4, 3, bias=False)
    torch.nn.init.zeros_(layer.weight)
    return layer


def test_datasets_of_every_kind_give_the_same():
    reference = task().train(MASKS[:1], SEEDS[:1])["test_margins"]
    tensors = (torch.as_tensor(X), torch.as_tensor(Y)), (torch.as_tensor(X_TEST), torch.as_tensor(Y_TEST))
    datasets = tuple(torch.utils.data.TensorDataset(*pair) for pair in tensors)
    lists = [(x, int(y)) for x, y in zip(X, Y, strict=True)], [(x, int(y)) for x, y in zip(X_TEST, Y_TEST, strict=True)]
    for train, test in (tensors, datasets, lists):
        other = torch_module(make, train, test, TorchRecipe(epochs=4, batch=16))
        assert np.array_equal(other.train(MASKS[:1], SEEDS[:1])["test_margins"], reference)
        assert other.fingerprint == task().fingerprint


def test_own_optimiser_and_loss():
    recipe = TorchRecipe(
        epochs=5,
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.01),
        loss=lambda out, y: torch.nn.functional.cross_entropy(out, y, label_smoothing=0.1),
    )
    own = task(recipe)
    assert np.isfinite(own.train(MASKS, SEEDS)["test_margins"]).all()
    assert own.fingerprint != task(TorchRecipe(epochs=5)).fingerprint


def test_a_training_function_in_the_place_of_a_recipe():
    def train(model, data, indices, seed, device):
        x, y = data
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
        for _ in range(30):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[indices]), y[indices]).backward()
            optimizer.step()

    own = task(train)
    found = own.train(MASKS, SEEDS)["test_margins"]
    assert (found > 0).mean() > 0.8
    assert np.array_equal(own.train(MASKS[1:2], SEEDS[1:2])["test_margins"][0], found[1])
    assert len({own.fingerprint, task(TorchRecipe()).fingerprint, task(lambda *given: None).fingerprint}) == 3


@pytest.mark.parametrize("change", [{"device": "cpu"}, {"compile": True}, {"channels_last": True}, {"reuse": False}])
def test_how_it_is_computed_is_no_part_of_the_fingerprint(change):
    assert task(TorchRecipe(**{"epochs": 4, "batch": 16, **change})).fingerprint == task().fingerprint


def test_another_process_gets_the_task_without_what_is_kept_here():
    own = task()
    found = own.train(MASKS, SEEDS)["test_margins"]
    copied = cloudpickle.loads(cloudpickle.dumps(own))
    assert copied.train_one.args[0].trainer is None
    assert np.array_equal(copied.train(MASKS[1:], SEEDS[1:])["test_margins"], found[1:])


def test_dicts_with_named_keys():
    rows = [{"a": x, "b": int(y), "c": 1} for x, y in zip(X, Y, strict=True)]
    named = torch_module(make, rows, (X_TEST, Y_TEST), TorchRecipe(epochs=4, batch=16), keys=("a", "b"))
    assert named.fingerprint == task().fingerprint


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (TorchRecipe(flip_test=True), "augment and flip_test need images .N, C, H, W.; train has shape .60, 4."),
        (TorchRecipe(mean=(0.5,)), "mean needs uint8 images"),
    ],
)
def test_recipes_for_images_only(recipe, said):
    with pytest.raises(InputError, match=said):
        task(recipe)


@pytest.mark.parametrize("change", [{"epochs": 5}, {"batch": 17}, {"lr": 0.2}, {"momentum": 0}, {"weight_decay": 0}])
def test_the_recipe_counts_in_the_fingerprint(change):
    assert task(TorchRecipe(**{"epochs": 4, "batch": 16, **change})).fingerprint != task().fingerprint


def test_evaluation_is_in_evaluation_mode():
    def noisy():
        return torch.nn.Sequential(make(), torch.nn.Dropout(0.9))

    wide = np.tile(X_TEST[:1], (30, 1)), np.tile(Y_TEST[:1], 30)
    found = torch_module(noisy, (X, Y), wide, TorchRecipe(epochs=1)).train(MASKS[:1], SEEDS[:1])["test_margins"]
    assert np.unique(found).size == 1


@pytest.mark.parametrize(
    ("train", "sentence"),
    [
        ((X, Y[:-1]), "60 examples do not fit labels of shape .59."),
        ((X, np.eye(3)[Y]), r"do not fit labels of shape .60, 3."),
        (3, r"train and test must be datasets or pairs \(x, y\), got int"),
        ([X[0], X[1], X[2]], r"a dataset must give \(x, y\) pairs"),
        ([], r"a dataset must give \(x, y\) pairs"),
    ],
)
def test_what_is_no_dataset(train, sentence):
    with pytest.raises(InputError, match=sentence):
        torch_module(make, train, (X_TEST, Y_TEST))
