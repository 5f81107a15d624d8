"""A kept module against modules made anew, and against plain PyTorch loops written by hand."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from subtrain.errors import InputError
from subtrain.trainers.torch.recipe import Augment, TorchRecipe

torch = pytest.importorskip("torch")
from subtrain.trainers.torch.loop import Trainer  # noqa: E402

RANDOM = np.random.default_rng(0)
X, X_TEST = (RANDOM.integers(0, 256, (n, 3, 8, 8), dtype=np.uint8) for n in (50, 12))
Y, Y_TEST = (RANDOM.integers(0, 4, n) for n in (50, 12))
DATA = {"train": (X, Y), "test": (X_TEST, Y_TEST)}
SUBSETS = [np.flatnonzero(RANDOM.random(50) < 0.6) for _ in range(4)]
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
IMAGES = TorchRecipe(epochs=2, batch=8, mean=MEAN, std=STD, device="cpu")


def make():
    """With what can leak from model to model: batch statistics, a counter, dropout's random numbers."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, bias=False),
        torch.nn.BatchNorm2d(6),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Dropout(0.3),
        torch.nn.Linear(216, 4),
    )


def trained(recipe, jobs, make=make):
    trainer = Trainer(make, DATA, recipe)
    return [trainer.train(SUBSETS[job], 100 + job, ["test", "train"]) for job in jobs], trainer


RECIPES = {
    "sgd": IMAGES,
    "nesterov, no decay of vectors": replace(IMAGES, nesterov=True, decay_vectors=False, schedule="cosine"),
    "adamw": replace(IMAGES, optimizer="adamw", lr=0.01, schedule="triangular"),
    "own optimiser": replace(IMAGES, optimizer=lambda p: torch.optim.Rprop(p), schedule="constant"),
    "own optimiser with a state": replace(IMAGES, optimizer=lambda p: torch.optim.Adagrad(p, 0.1, 0, 0, 0.5)),
    "augmented": replace(IMAGES, augment=Augment(flip=True, translate=2, cutout=3), flip_test=True),
    "alternating": replace(IMAGES, augment=Augment(flip=True, alternate=True, translate=1, pad="reflect")),
    "fixed step": replace(IMAGES, cuda_graph=True, drop_last=True, channels_last=True),
    "bfloat16": replace(IMAGES, dtype="bfloat16", channels_last=True),
    "float16 with a scaler": replace(IMAGES, dtype="float16", cuda_graph=True),
    "compiled": replace(IMAGES, compile="aot_eager"),
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_model_is_bit_identical_after_others_alone_and_when_made_anew(recipe):
    many, _ = trained(recipe, [0, 1, 2, 1])
    (alone,), _ = trained(recipe, [1])
    anew, _ = trained(replace(recipe, reuse=False), [2, 1])
    for split in ("test", "train"):
        for other in (many[3], alone, anew[1]):
            assert np.array_equal(many[1][split], other[split])
        assert not np.array_equal(many[0][split], many[1][split])
        assert np.isfinite(many[1][split]).all()


def test_weights_buffers_and_momentum_keep_their_storage_and_start_anew():
    trainer = Trainer(make, DATA, IMAGES)
    trainer.train(SUBSETS[0], 1, ["test"])
    step = trainer.step
    state = [s["momentum_buffer"] for s in step.optimizer.state.values()]
    places = [t.data_ptr() for t in (*step.model.parameters(), *step.model.buffers(), *state)]
    assert all(s.any() for s in state)
    torch.manual_seed(2)
    fresh = make()
    assert step.begin(fresh)
    assert not any(s.any() for s in state)
    for name, tensor in fresh.state_dict().items():
        assert torch.equal(step.model.state_dict()[name], tensor), name
    trainer.train(SUBSETS[1], 2, ["test"])
    assert trainer.step is step
    after = [s["momentum_buffer"] for s in step.optimizer.state.values()]
    assert places == [t.data_ptr() for t in (*step.model.parameters(), *step.model.buffers(), *after)]


def test_a_module_of_another_shape_replaces_the_kept_one():
    def either():
        width = int(torch.randint(1, 3, ()))
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, width), torch.nn.Linear(width, 4))

    many, _ = trained(IMAGES, [0, 1, 2, 3], either)
    alone = [trained(IMAGES, [job], either)[0][0] for job in range(4)]
    assert len({int(torch.randint(1, 3, (), generator=torch.Generator().manual_seed(100 + j))) for j in range(4)}) == 2
    assert all(np.array_equal(a["test"], b["test"]) for a, b in zip(many, alone, strict=True))


def test_lazy_modules_learn_their_shapes_first():
    def lazy():
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.LazyLinear(4))

    (first, many), trainer = trained(replace(IMAGES, epochs=1), [0, 1], lazy)
    kept = trainer.step
    trainer.train(SUBSETS[2], 2, ["test"])
    assert trainer.step is kept
    (alone,), _ = trained(replace(IMAGES, epochs=1), [1], lazy)
    assert not np.array_equal(first["test"], many["test"])
    assert np.array_equal(many["test"], alone["test"])


def by_hand(recipe, indices, seed, make):
    """The loop a person would write: float images, torch.optim, a scheduler."""
    torch.manual_seed(seed)
    model = make()
    x, y, test = (torch.from_numpy(a[:]) for a in (X, Y, X_TEST))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    x, test = ((v.float() / 255 - mean) / std for v in (x, test))
    optimizer = torch.optim.SGD(
        model.parameters(),
        recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
    )
    steps = recipe.epochs * -(-len(indices) // recipe.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 - t / steps)
    loss = torch.nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    order = torch.Generator().manual_seed(seed)
    for _ in range(recipe.epochs):
        shuffled = torch.from_numpy(indices)[torch.randperm(len(indices), generator=order)]
        for chosen in shuffled.split(recipe.batch):
            optimizer.zero_grad()
            loss(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        return ((model(test) + model(test.flip(3))) / 2 if recipe.flip_test else model(test)).numpy()


@pytest.mark.parametrize(
    "recipe",
    [IMAGES, replace(IMAGES, epochs=6, nesterov=True, label_smoothing=0.1, flip_test=True, weight_decay=0.01)],
    ids=["plain", "more of it"],
)
def test_the_logits_are_those_of_a_plain_loop(recipe):
    found, _ = trained(recipe, [3, 0, 1])
    for job, logits in zip([3, 0, 1], found, strict=True):
        expected = by_hand(recipe, SUBSETS[job], 100 + job, make)
        assert np.array_equal(logits["test"], expected)


def test_the_fixed_step_agrees_with_the_plain_one():
    """The fused optimiser with its rate in a tensor, as a captured step needs it."""
    for recipe in (IMAGES, RECIPES["adamw"]):
        plain, fixed = (trained(replace(recipe, cuda_graph=g), [0])[0][0]["test"] for g in (False, True))
        assert np.abs(plain - fixed).max() < 2e-4


@pytest.mark.parametrize("change", [{"dtype": "bfloat16"}, {"dtype": "float16"}, {"compile": "aot_eager"}])
def test_other_ways_to_compute_give_nearly_the_same(change):
    def plain():
        return make()[:4].append(torch.nn.Linear(216, 4))

    recipe = replace(IMAGES, lr=0.02)
    a, b = (trained(r, [0], plain)[0][0]["test"] for r in (recipe, replace(recipe, **change)))
    assert np.abs(a).max() > 0.01
    assert np.abs(a - b).max() < 0.1 * np.abs(a).max()


def test_drop_last_leaves_out_what_fills_no_minibatch():
    seen = []

    class Spy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(192, 4)

        def forward(self, x):
            if self.training:
                seen.append(len(x))
            return self.linear(x.flatten(1))

    indices = np.arange(21)
    for drop, per_epoch in ((False, [8, 8, 5]), (True, [8, 8])):
        seen.clear()
        Trainer(Spy, DATA, replace(IMAGES, drop_last=drop)).train(indices, 0, ["test"])
        assert seen[1:] == per_epoch * 2  # the first is the trial before any model
    seen.clear()
    Trainer(Spy, DATA, replace(IMAGES, drop_last=True)).train(indices[:5], 0, ["test"])
    assert seen[1:] == [5, 5]


def test_every_epoch_goes_through_the_subset_once():
    trainer = Trainer(make, DATA, replace(IMAGES, epochs=3))
    batches = list(trainer._minibatches(torch.from_numpy(SUBSETS[0]), 5))
    labels = torch.cat([y for _, y in batches]).view(3, -1)
    assert torch.equal(labels.sort(dim=1).values[0], torch.from_numpy(np.sort(Y[SUBSETS[0]])))
    assert not torch.equal(labels[0], labels[1])


def test_own_training_function_gets_the_resident_data():
    def train(model, data, indices, seed, device):
        x, y = data
        assert x.dtype == torch.uint8
        assert model.training
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            torch.nn.functional.cross_entropy(model(x[indices].float() / 255), y[indices]).backward()
            optimizer.step()
            model.eval()  # neither this nor the gradients may reach the next model

    recipe = TorchRecipe(train=train, device="cpu")
    many, _ = trained(recipe, [0, 1])
    (alone,), _ = trained(recipe, [1])
    assert np.array_equal(many[1]["test"], alone["test"])
    assert not np.array_equal(many[0]["test"], many[1]["test"])


def test_users_arrays_stay_as_they_are_and_may_be_read_only():
    before = copy.deepcopy(DATA)
    frozen = {s: (x.copy(), y) for s, (x, y) in DATA.items()}
    for x, _ in frozen.values():
        x.flags.writeable = False
    Trainer(make, frozen, IMAGES).train(SUBSETS[0], 0, ["test"])
    trained(IMAGES, [0])
    for split, (x, y) in DATA.items():
        assert np.array_equal(x, before[split][0])
        assert np.array_equal(y, before[split][1])


def test_start_sees_examples_of_the_subset_only():
    seen = []
    recipe = replace(IMAGES, start=lambda model, x: seen.append(x))
    trained(recipe, [2], make)
    expected = (X[SUBSETS[2]] / 255 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    assert np.allclose(seen[0].numpy(), expected, atol=1e-5)


def test_a_step_that_failed_half_way_leaves_nothing():
    calls = []

    def loss(output, y):
        calls.append(len(y))
        value = torch.nn.functional.cross_entropy(output, y)
        if len(calls) == 3:
            value.backward(retain_graph=True)
            raise ArithmeticError("as a user's code may")
        return value

    trainer = Trainer(make, DATA, replace(IMAGES, loss=loss))
    with pytest.raises(ArithmeticError):
        trainer.train(SUBSETS[0], 100, ["test"])
    again = trainer.train(SUBSETS[0], 100, ["test"])["test"]
    assert np.array_equal(again, trained(IMAGES, [0])[0][0]["test"])


def test_a_module_made_only_once_is_refused():
    model = make()
    with pytest.raises(InputError, match="make_model must return a new module each time"):
        trained(IMAGES, [0], lambda: model)


def test_exhausted_memory_passes_through_and_leaves_the_trainer_usable():
    fail = {"now": False}

    class Greedy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(192, 4)

        def forward(self, x):
            if fail["now"]:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 TiB")
            return self.linear(x.flatten(1))

    trainer = Trainer(Greedy, DATA, IMAGES)
    before = trainer.train(SUBSETS[0], 0, ["test"])
    fail["now"] = True
    with pytest.raises(torch.OutOfMemoryError):
        trainer.train(SUBSETS[0], 0, ["test"])
    assert trainer.step is None
    fail["now"] = False
    assert np.array_equal(trainer.train(SUBSETS[0], 0, ["test"])["test"], before["test"])
