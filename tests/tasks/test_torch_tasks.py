"""PyTorch modules as tasks."""

from __future__ import annotations

from collections import OrderedDict

import cloudpickle
import numpy as np
import pandas as pd
import pytest

from subtrain import Design, Study, margins
from subtrain.errors import InputError
from subtrain.outputs import SchemaError, check
from subtrain.tasks import View, torch_module
from subtrain.tasks.torch import TorchRecipe

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_torch_thread")

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


def test_labels_that_a_task_has_no_number_for_are_refused():
    several = np.eye(3, dtype=np.float32)[Y % 3]
    for data in ((X, several), list(zip(X, several, strict=True))):
        with pytest.raises(InputError, match=r"\(multi-label\) write the training as tasks.function"):
            torch_module(make, data, data)
    ragged = [(x, [0] * (1 + k % 2)) for k, x in enumerate(X)]
    with pytest.raises(InputError, match=r"differ in length.*\(multi-label\) write the training as tasks.function"):
        torch_module(make, ragged, ragged)


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
        ((X, Y[:-1]), "x and y differ in length: 60 and 59"),
        ((X, np.eye(3)[Y]), r"y must hold one value an example, its shape is .60, 3."),
        (3, r"train and test must be datasets or pairs \(x, y\), got int"),
        ([X[0], X[1], X[2]], r"a dataset must give \(x, y\) pairs"),
        ([], r"a dataset must give \(x, y\) pairs"),
    ],
)
def test_what_is_no_dataset(train, sentence):
    with pytest.raises(InputError, match=sentence):
        torch_module(make, train, (X_TEST, Y_TEST))


WORDS = np.array(["a", "b", "c"])


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ((X.astype(np.float64), Y), (X_TEST.astype(np.float64), Y_TEST)),
        ((X, Y[:, None]), (X_TEST, Y_TEST.astype(float))),
        ((X, WORDS[Y]), (X_TEST, WORDS[Y_TEST])),
        ((X.tolist(), Y.tolist()), (pd.DataFrame(X_TEST, index=Y_TEST), pd.Series(Y_TEST, dtype="Int64"))),
    ],
)
def test_data_of_every_form_give_the_same_models(train, test):
    other = torch_module(make, train, test, TorchRecipe(epochs=4, batch=16))
    found, plain = (t.train(MASKS[:1], SEEDS[:1])["test_margins"] for t in (other, task()))
    assert np.array_equal(found, plain)


def test_a_module_in_float64_keeps_its_data_so():
    seen = []

    class Double(torch.nn.Linear):
        def forward(self, x):
            seen.append(x.dtype)
            return super().forward(x)

    data = (X.astype(np.float64), Y), (X_TEST.astype(np.float64), Y_TEST)
    own = torch_module(lambda: Double(4, 3).double(), *data, TorchRecipe(epochs=1))
    assert np.isfinite(own.train(MASKS[:1], SEEDS[:1])["test_margins"]).all()
    assert set(seen) == {torch.float64}


class Attends(torch.nn.Module):
    """Two inputs; the answer in one of the forms that modules have."""

    def __init__(self, form=lambda logits: logits):
        super().__init__()
        self.form, self.table, self.last = form, torch.nn.Embedding(50, 8), torch.nn.Linear(8, 3)

    def forward(self, input_ids, attention_mask):
        seen = attention_mask[..., None].float()
        return self.form(self.last((self.table(input_ids) * seen).sum(1) / seen.sum(1).clamp(min=1)))


class ModelOutput(OrderedDict):
    """As Hugging Face's: a dict whose items are attributes too."""

    def __getattr__(self, name):
        return self[name]


TOKENS = RANDOM.integers(0, 50, (60, 5))
SEEN = (RANDOM.random((60, 5)) < 0.7).astype(int)
TEXTS = {"input_ids": TOKENS, "attention_mask": SEEN}
SOME = {name: part[:20] for name, part in TEXTS.items()}


def attended(make=Attends, train=(TEXTS, Y), recipe=TorchRecipe(epochs=2, batch=16)):
    found = torch_module(make, train, (SOME, Y[:20]), recipe, ["test_logits"], dtype="float32")
    return found.train(MASKS[:1], SEEDS[:1])["test_logits"]


def test_several_inputs_reach_the_module():
    plain = attended()
    fused = attended(recipe=TorchRecipe(epochs=2, batch=16, cuda_graph=True))
    assert np.allclose(fused, plain, atol=1e-6)
    all_seen = {**TEXTS, "attention_mask": np.ones_like(SEEN)}
    assert not np.array_equal(attended(train=(all_seen, Y)), plain)
    in_order = torch_module(
        Attends, ((TOKENS, SEEN), Y), (tuple(SOME.values()), Y[:20]), TorchRecipe(2, 16), ["test_logits"]
    )
    assert np.allclose(in_order.train(MASKS[:1], SEEDS[:1])["test_logits"], plain, atol=1e-6)
    twins = torch_module(Attends, (TEXTS, Y), (SOME, Y[:20])).relabelled([1], [0])
    assert twins.train(np.ones((1, 61), bool), SEEDS[:1])["test_margins"].shape == (1, 20)


@pytest.mark.parametrize(
    "form",
    [
        lambda logits: ModelOutput(loss=None, logits=logits),
        lambda logits: {"hidden": logits * 2, "logits": logits},
        lambda logits: (logits, logits * 2),
    ],
)
def test_the_logits_are_found_in_what_the_module_returns(form):
    assert np.array_equal(attended(lambda: Attends(form)), attended())


@pytest.mark.parametrize("form", [lambda logits: None, lambda logits: {"scores": logits}])
def test_a_module_without_logits_ends_the_collection(form):
    with pytest.raises(SchemaError, match="must return a tensor, or something that holds logits, it returned"):
        attended(lambda: Attends(form))


def test_one_logit_is_the_log_odds_of_two_classes():
    """The margin of class 1 is the logit; by hand, one full batch an epoch."""
    y, y_test = Y == 1, Y_TEST == 1

    def one():
        layer = torch.nn.Linear(4, 1, bias=False)
        torch.nn.init.zeros_(layer.weight)
        return layer

    x, target, w = X[MASKS[0]].astype(float), y[MASKS[0]].astype(float), np.zeros(4)
    for step in range(3):
        w -= 0.5 * (1 - step / 3) * x.T @ (1 / (1 + np.exp(-x @ w)) - target) / len(x)
    for loss in (None, torch.nn.BCEWithLogitsLoss(), torch.nn.functional.binary_cross_entropy_with_logits):
        recipe = TorchRecipe(3, 100, 0.5, 0.0, 0.0, loss=loss)
        own = torch_module(one, (X, y), (X_TEST, y_test), recipe, dtype="float32")
        found = own.train(MASKS[:1], SEEDS[:1])["test_margins"][0]
        assert np.allclose(found, np.where(y_test, 1, -1) * (X_TEST @ w), atol=1e-5)


@pytest.mark.parametrize("loss", ["default", "torch's"])
def test_a_regression(loss):
    amount, amount_test = X @ [1.0, -2.0, 0.5, 0.0] * 3, X_TEST @ [1.0, -2.0, 0.5, 0.0] * 3
    recipe = TorchRecipe(40, 16, 0.05, weight_decay=0, loss=None if loss == "default" else torch.nn.MSELoss())
    own = torch_module(
        lambda: torch.nn.Linear(4, 1), (X, amount[:, None]), (X_TEST, amount_test), recipe, ["test_predictions"]
    )
    assert own.outputs["test_predictions"].dtype == "float32"
    found = own.train(MASKS[:1], SEEDS[:1])["test_predictions"]
    assert np.allclose(found[0], amount_test, atol=0.05)
    with pytest.raises(SchemaError, match=r"of a regression gives \[2\] numbers an example, declared is one"):
        torch_module(
            lambda: torch.nn.Linear(4, 2), (X, amount), (X_TEST, amount_test), outputs=["test_predictions"]
        ).train(MASKS[:1], SEEDS[:1])


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (Y + 1, "labels must be integers 0, 1, 2.* these are 1 to 3: give y - 1"),
        (np.where(Y == 1, -100, Y), 'y holds the label -100, "ignore", .* times: leave these examples out'),
        (X[:, 0], "y must hold classes, but has numbers such as .* outputs=.'test_predictions'."),
        (np.where(Y == 1, np.nan, Y), "y lacks .* of its 60 values"),
    ],
)
def test_labels_that_are_no_class_numbers(labels, said):
    with pytest.raises(InputError, match=said):
        torch_module(make, (X, labels), (X_TEST, labels[:20]))


def test_too_few_logits_end_the_collection():
    for width in (1, 2):
        own = torch_module(lambda width=width: torch.nn.Linear(4, width), (X, Y), (X_TEST, Y_TEST))
        with pytest.raises(SchemaError, match=f"gives {width} logits? an example, but the labels are of 3 classes"):
            own.train(MASKS[:1], SEEDS[:1])


def test_a_minibatch_of_one_under_batch_norm_names_the_way_out():
    def normed():
        return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 3))

    mask = np.arange(60)[None] < 17
    with pytest.raises(
        InputError, match=r"a minibatch of one example is left over.*drop_last=True, or another batch than"
    ):
        torch_module(normed, (X, Y), (X_TEST, Y_TEST), TorchRecipe(1, 16)).train(mask, SEEDS[:1])
    left = torch_module(normed, (X, Y), (X_TEST, Y_TEST), TorchRecipe(1, 16, drop_last=True))
    assert np.isfinite(left.train(mask, SEEDS[:1])["test_margins"]).all()


@pytest.mark.parametrize("dtype", [None, "float32", "float64"])
def test_the_dtype_of_outputs_is_declared_and_kept(dtype, tmp_path):
    names = ["test_margins", "test_logits", "train_losses"]
    made = torch_module(make, (X, Y), (X_TEST, Y_TEST), TorchRecipe(epochs=1, batch=16), names, dtype=dtype)
    assert {spec.dtype for spec in made.outputs.values()} == {dtype or "float16"}
    study = Study.create(tmp_path / "s", made, Design(models=2, heldout=0))
    study.collect(workers=1, progress=False)
    stored = made.train(study.masks().unpack(), study.design.seeds())
    for name in names:
        assert study.read(name).dtype == (dtype or "float16")
        np.testing.assert_array_equal(study.read(name), np.asarray(stored[name]).astype(dtype or "float16"))


FLOATS = np.random.default_rng(0).random((4, 3, 6, 5)).astype("float32")
SHOWN = np.round(255 * FLOATS).astype(np.uint8).transpose(0, 2, 3, 1)


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x,
        lambda x: x.transpose(0, 2, 3, 1),
        lambda x: 255 * x,
        lambda x: np.round(255 * x).astype(np.uint8),
        torch.tensor,
        lambda x: list(torch.tensor(x)),
    ],
    ids=["NCHW", "NHWC", "to 255", "uint8 NCHW", "tensor", "list of tensors"],
)
def test_a_view_shows_images_as_they_are_given_to_a_module(form, tmp_path):
    y = np.array([0, 1, 0, 1])
    view = View(images={"train": form(FLOATS), "test": form(FLOATS[:2])})
    made = torch_module(make, (FLOATS, y), (FLOATS[:2], y[:2]), view=view)
    study = Study.create(tmp_path / "s", made, Design(models=2, heldout=0))
    shown = Study.open(tmp_path / "s").view.images
    assert study.has_view
    for split, count in (("train", 4), ("test", 2)):
        np.testing.assert_allclose(np.asarray(shown[split], int), SHOWN[:count].astype(int), atol=1)
