"""Minibatches go by unit in a new study, and by position in a study that was begun so, bit for bit."""

from __future__ import annotations

import dataclasses
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import subtrain as st
from subtrain.errors import InputError, MismatchError
from subtrain.tasks import BatchTask, FunctionTask, load_task
from subtrain.trainers.kit.many_models import minibatch_order
from subtrain.trainers.kit.sgd import Sgd
from subtrain.trainers.torch.recipe import Augment, TorchRecipe

RANDOM = np.random.default_rng(0)
X, X_TEST = (RANDOM.normal(size=(n, 6, 6)).astype(np.float32) for n in (40, 9))
Y, Y_TEST = np.arange(40) % 3, np.arange(9) % 3
FLAT = X.reshape(40, -1), Y, X_TEST.reshape(9, -1), Y_TEST
MASKS = RANDOM.random((3, 40)) < 0.9
SEEDS = np.array([3, 3, 9], np.uint32)
PLAN = st.Design(models=6, heldout=0)
FIXTURE = Path(__file__).parents[1] / "fixtures" / "version-0.1.0" / "digits"


def make():
    import torch

    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 3))


def mlp(order: str | None = None, epochs: int = 3) -> BatchTask:
    return st.tasks.mlp(*FLAT, (5,), Sgd(epochs=epochs, batch=8, order=order))


def cnn(order: str | None = None, epochs: int = 3) -> BatchTask:
    return st.tasks.cnn(X, Y, X_TEST, Y_TEST, (4,), recipe=Sgd(epochs=epochs, batch=8, order=order))


def module(order: str | None = None, epochs: int = 3) -> FunctionTask:
    pytest.importorskip("torch")
    return st.tasks.torch_module(make, (X, Y), (X_TEST, Y_TEST), TorchRecipe(epochs, batch=8, order=order))


def digits(order: str | None = None, epochs: int = 3) -> BatchTask:
    return st.tasks.digits(n=40, targets=9, epochs=epochs, order=order)


def planted(order: str | None = None, epochs: int = 3) -> BatchTask:
    return st.tasks.planted(n=40, targets=9, epochs=epochs, order=order)


TASKS = [mlp, cnn, digits, planted, module]


def margins(task: BatchTask | FunctionTask) -> np.ndarray:
    return np.asarray(task.train(MASKS, SEEDS)["test_margins"])


def test_models_of_one_seed_see_what_they_share_in_one_order():
    rows = [np.flatnonzero(mask) for mask in MASKS]
    one, two = (minibatch_order(some, 3, 4, "unit") for some in rows[:2])
    for first, second in zip(one, two, strict=True):
        assert first[np.isin(first, rows[1])].tolist() == second[np.isin(second, rows[0])].tolist()
    assert np.array_equal(minibatch_order(rows[0], 3, 4), minibatch_order(rows[0], 3, 4, "position"))
    assert not np.array_equal(one, minibatch_order(rows[0], 3, 4))


@pytest.mark.parametrize("of", TASKS)
def test_a_new_study_goes_by_unit_and_the_orders_are_told_apart(of):
    default, unit, position = of(), of("unit"), of("position")
    assert default.fingerprint == unit.fingerprint != position.fingerprint
    assert np.array_equal(margins(default), margins(unit))
    assert not np.array_equal(margins(default), margins(position))
    assert unit.earlier is position.earlier is None
    assert default.earlier().fingerprint == position.fingerprint
    study = st.Study.create(":memory:", default, PLAN)
    assert study.fingerprint == unit.fingerprint
    with pytest.raises(MismatchError, match=r"settings|recipe"):
        study.with_task(position)


@pytest.mark.parametrize("of", TASKS)
def test_a_study_that_was_begun_by_position_goes_on_so(of, tmp_path):
    begun = st.Study.create(":memory:", of("position"), PLAN)
    found = begun.with_task(of())
    assert found.task.fingerprint == begun.fingerprint
    assert np.array_equal(margins(found.task), margins(of("position")))
    assert found.task.view is None or found.task.view.labels
    again = st.Study.create(begun.store, of(), PLAN, exist_ok=True)
    assert np.array_equal(margins(again.task), margins(of("position")))
    mine = dataclasses.replace(of(), batch=2, influence=margins)
    other = begun.with_task(mine).task
    assert (other.batch, other.influence, other.earlier) == (2, margins, None)
    tables = [task.influence(MASKS[0], 3, "test_margins") for task in (found.task, of("position"), of())]
    assert np.array_equal(tables[0], tables[1])
    assert not np.array_equal(tables[0], tables[2])
    with pytest.raises(MismatchError, match=r"settings|recipe"):
        begun.with_task(of("unit"))
    with pytest.raises(MismatchError, match=r"settings|recipe"):
        begun.with_task(of(epochs=2))


@pytest.mark.parametrize("of", TASKS)
def test_relabeled_twins_go_by_the_order_of_the_study(of):
    twins = of().relabelled([1, 2], [0, 1])
    assert twins.fingerprint == of("unit").relabelled([1, 2], [0, 1]).fingerprint
    assert twins.earlier().fingerprint == of("position").relabelled([1, 2], [0, 1]).fingerprint


@pytest.mark.parametrize("of", TASKS)
def test_a_task_can_be_pickled(of):
    task = of() if of is not module else dataclasses.replace(of(), source=None)
    again = pickle.loads(pickle.dumps(task))
    assert again.fingerprint == task.fingerprint
    assert again.earlier().fingerprint == of("position").fingerprint


def test_a_task_with_a_training_function_of_ones_own_has_no_earlier_one():
    def other(masks, seeds):
        return {}

    assert mlp().earlier is not None
    assert dataclasses.replace(mlp(), view=None).earlier is not None
    assert dataclasses.replace(mlp(), train_batch=other).earlier is None
    assert dataclasses.replace(mlp(), fingerprint="mine").earlier is None


def using(base: BatchTask) -> BatchTask:
    def train(masks, seeds):
        return {"test_margins": 2 * np.asarray(base.train(masks, seeds)["test_margins"])}

    return st.tasks.batch(train, 40, {"test_margins": [9]})


def test_a_task_that_uses_one_of_ours_says_which_order_its_study_began_with():
    begun = st.Study.create(":memory:", using(mlp("position")), PLAN)
    assert begun.with_task(using(mlp("position"))).fingerprint == begun.fingerprint
    with pytest.raises(MismatchError, match=r"order=.position. there trains as version 0\.1\.0 did"):
        begun.with_task(using(mlp()))
    # Version 0.1.0 did not look at the tasks that a function uses.
    first = dataclasses.replace(begun, fingerprint=using(mlp("position")).watched.old())
    assert first.with_task(using(mlp("position"))).task.fingerprint == first.fingerprint
    with pytest.raises(MismatchError, match='order="position" there'):
        first.with_task(using(mlp()))


@pytest.mark.parametrize("recipe", [Sgd, TorchRecipe])
def test_another_order_is_refused(recipe):
    with pytest.raises(InputError, match="unknown order 'sorted'; choose from unit, position"):
        recipe(order="sorted")


def test_a_training_function_draws_its_own_order():
    pytest.importorskip("torch")

    def train(model, data, indices, seed, device):
        """Nothing."""

    task = st.tasks.torch_module(make, (X, Y), (X_TEST, Y_TEST), train)
    assert task.earlier is None
    with pytest.raises(InputError, match="draws its own"):
        TorchRecipe(train=train, order="unit")


def seen(augment: Augment, order: str, mask: np.ndarray) -> list[dict[int, np.ndarray]]:
    """What a training sees in each epoch, in order: the examples by their number."""
    import torch

    from subtrain.trainers.torch.loop import Trainer

    images = np.broadcast_to(RANDOM.integers(0, 256, (40, 1, 1, 1)), (40, 1, 9, 9)).astype(np.uint8)
    images[:, 0] = np.arange(81).reshape(9, 9)
    recipe = TorchRecipe(2, batch=7, augment=augment, order=order)
    trainer = Trainer(make, {"train": (images, np.arange(40)), "test": (images[:2], np.arange(2))}, recipe)
    batches = list(trainer._minibatches(torch.from_numpy(np.flatnonzero(mask)), 5))
    numbers = torch.cat([y for _, y in batches]).tolist()
    pictures = torch.cat([x for x, _ in batches]).numpy()
    size = int(mask.sum())
    assert len(numbers) == 2 * size
    return [
        dict(zip(numbers[start : start + size], pictures[start : start + size], strict=True)) for start in (0, size)
    ]


@pytest.mark.parametrize("alternate", [False, True])
def test_modules_see_a_shared_example_at_one_place_and_changed_alike(alternate):
    pytest.importorskip("torch")
    augment = Augment(flip=True, alternate=alternate, translate=2, cutout=3)
    one, two = (seen(augment, "unit", mask) for mask in MASKS[:2])
    for first, second in zip(one, two, strict=True):
        assert [k for k in first if k in second] == [k for k in second if k in first]
        assert all(np.array_equal(first[k], second[k]) for k in first if k in second)
        assert len({picture.tobytes() for picture in first.values()}) > 5
    assert list(one[0]) != list(one[1])
    other = seen(augment, "position", MASKS[0])
    assert not all(np.array_equal(other[0][k], one[0][k]) for k in one[0])


@pytest.fixture
def of_0_1_0(tmp_path):
    """16 models to fit and 8 to evaluate of digits(n=150, targets=8, epochs=8), trained by version 0.1.0."""
    return Path(shutil.copytree(FIXTURE, tmp_path / "study"))


def recorded(task: BatchTask, masks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Test margins in the precision in which a study keeps them."""
    return np.asarray(task.train(masks, seeds)["test_margins"]).astype(np.float16)


def test_a_study_of_0_1_0_goes_on_as_it_began(of_0_1_0):
    whole = st.Study.open(of_0_1_0)
    before = {name: whole.read(name) for name in whole.outputs}
    (of_0_1_0 / "segments" / "000008-000015.seg").unlink()
    study = st.Study.open(of_0_1_0, trust=True)
    study.collect(workers=1, progress=False)
    after = {name: study.read(name) for name in study.outputs}
    for name, expected in before.items():
        assert np.allclose(after[name], expected, rtol=2e-3, atol=2e-3), name  # another machine rounds otherwise
    unit = load_task("digits", {**study.source.params, "order": "unit"})[0]
    masks, seeds = study.masks([8, 9]).unpack(), study.design.seeds([8, 9])
    assert np.abs(recorded(unit, masks, seeds) - before["test_margins"][8:10]).max() > 0.05
    assert np.array_equal(recorded(study.task, masks, seeds), after["test_margins"][8:10])


def test_a_study_of_0_1_0_is_extended_retrained_relabeled_and_guessed(of_0_1_0):
    study = st.Study.open(of_0_1_0, trust=True)
    longer = study.extend(models=2)
    longer.collect(workers=1, progress=False)
    masks, seeds = longer.masks([24, 25]).unpack(), longer.design.seeds([24, 25])
    position = st.tasks.digits(n=150, targets=8, epochs=8, order="position")
    assert np.array_equal(longer.read("test_margins", [24, 25]), recorded(position, masks, seeds))
    again = st.retrain(longer, masks, workers=1, progress=False).study
    assert again.fingerprint == longer.fingerprint
    expected = recorded(position, again.masks().unpack(), again.design.seeds())
    assert np.array_equal(again.read("test_margins"), expected)
    dm = st.fit(longer, "test_margins", st.Ridge(), keep_counts=False)
    found = st.brittleness(dm, longer, targets=[0], labels=[1])
    found.verify(1, workers=1, progress=False)
    made = st.guess(longer, 2, workers=1, progress=False)
    rows = longer.done("fit")[:2]
    tables = [
        position.influence(mask, int(seed), "test_margins")
        for mask, seed in zip(longer.masks(rows).unpack(), longer.design.seeds(rows), strict=True)
    ]
    assert np.allclose(made.inside + made.outside, sum(tables), rtol=1e-4, atol=1e-6)
