"""`study.collect(guess=K)`: the outputs are those of `collect`, the guess is that of `st.guess`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import subtrain as st
import worlds
from commands import ok, run
from processes import dying_at, ended, forked
from subtrain.collection import train_segment
from subtrain.collection.workers import checkpoint
from subtrain.errors import CollectError, InputError
from subtrain.guess_models.tables_task import TablesTask
from subtrain.guesses import guess_names, load_guess
from subtrain.influence import native_networks
from subtrain.integrity import examine
from subtrain.trainers.kit import many_models
from subtrain.trainers.kit.sgd import Sgd
from subtrain.uses.budget import machine_rate

PLAN = {"models": 30, "heldout": 4, "replicates": 2}
GUESSABLE = f"{worlds.__file__}:guessable"
OUTPUTS = ("test_margins", "train_logits")
INLINE = {"engine": "inline", "progress": False}


def same_guess(one: st.Guess, other: st.Guess) -> bool:
    parts = all(np.array_equal(getattr(one, part), getattr(other, part)) for part in ("inside", "outside", "holding"))
    return parts and one.meta["models"] == other.meta["models"]


def same_outputs(one: st.Study, other: st.Study) -> bool:
    return all(one.read(name).tobytes() == other.read(name).tobytes() for name in one.outputs)


def digits(shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(0)
    y, y_test = (np.arange(count) % 3 for count in (24, 6))
    centers = random.normal(size=(3, *shape))
    x, x_test = (random.normal(size=(labels.size, *shape)) + centers[labels] for labels in (y, y_test))
    return x.astype(np.float32), y, x_test.astype(np.float32), y_test


def mlp() -> Any:
    return st.tasks.mlp(*digits((5,)), widths=(6,), recipe=Sgd(epochs=3, batch=8, lr=0.05), outputs=OUTPUTS)


def cnn() -> Any:
    recipe = Sgd(epochs=3, batch=8, lr=0.05)
    return st.tasks.cnn(*digits((8, 8)), channels=(4,), recipe=recipe, outputs=OUTPUTS)


def head() -> Any:
    return st.tasks.logistic_head(*digits((5,)), outputs=OUTPUTS)


def module() -> Any:
    torch = pytest.importorskip("torch")
    from subtrain.tasks.torch import TorchRecipe

    x, y, x_test, y_test = digits((5,))

    def net() -> Any:
        layers = (
            torch.nn.Linear(5, 6),
            torch.nn.BatchNorm1d(6),
            torch.nn.ReLU(),
            torch.nn.Dropout(),
            torch.nn.Linear(6, 3),
        )
        return torch.nn.Sequential(*layers)

    recipe = TorchRecipe(epochs=2, batch=8, lr=0.1, drop_last=True, device="cpu")
    return st.tasks.torch_module(net, (x, y), (x_test, y_test), recipe, outputs=OUTPUTS)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One number in the list for each network that is trained from here on, native or of PyTorch."""
    seeds: list[int] = []
    descend = many_models.descend

    def native(loops: Any, shape: Any, parameters: Any, data: Any, mask: Any, seed: int, recipe: Any) -> None:
        seeds.append(int(seed))
        descend(loops, shape, parameters, data, mask, seed, recipe)

    for place in (many_models, native_networks):
        monkeypatch.setattr(place, "descend", native)
    try:
        from subtrain.trainers.torch.loop import Trainer
    except ImportError:
        return seeds
    real = Trainer._descend
    monkeypatch.setattr(Trainer, "_descend", lambda self, rows, seed: seeds.append(int(seed)) or real(self, rows, seed))
    return seeds


@pytest.mark.parametrize("make", [mlp, cnn, module, head])
def test_models_are_those_of_collect_and_the_guess_is_that_of_guess(make, monkeypatch) -> None:
    plain, both = (st.Study.create(":memory:", make(), st.Design(**PLAN), segment=4) for _ in range(2))
    plain.collect(**INLINE)
    trained = counted(monkeypatch)
    done = both.collect(guess=6, **INLINE)
    assert done.done == done.trained == both.models
    if make is not head:
        assert sorted(trained) == sorted(both.design.seeds().tolist()), "each model is trained once"
    assert same_outputs(plain, both)
    assert same_guess(load_guess(both), st.guess(plain, 6, **INLINE))
    assert load_guess(both).meta["output"] == "test_margins"
    assert examine(both).damage == examine(both).notes == []
    assert not [name for name in both.store.names("partial") if name.endswith(".seg")]


@pytest.mark.parametrize("engine", [{"engine": "inline"}, {"engine": "local", "workers": 2}])
def test_every_engine_makes_the_same(make_study, engine) -> None:
    plain = make_study(name="plain", task=GUESSABLE, **PLAN)
    both = make_study(done=False, task=GUESSABLE, **PLAN)
    both.collect(guess=5, progress=False, **engine)
    assert same_outputs(plain, both)
    assert same_guess(load_guess(both), st.guess(plain, 5, **INLINE))
    assert both.done().size == both.models


def with_outputs(task: Any, said: list[int]) -> Any:
    """The task, whose influence also says what the model records."""
    tables = task.influence

    def influence(mask: np.ndarray, seed: int, output: str, outputs: bool = False) -> Any:
        table = tables(mask, seed, output)
        if not outputs:
            return table
        said.append(seed)
        return table, {name: array[0] for name, array in task.train(mask[None], np.array([seed])).items()}

    return replace(task, influence=influence)


def test_influence_of_ones_own_may_say_what_the_model_records() -> None:
    said: list[int] = []
    plain, both = (
        st.Study.create(":memory:", with_outputs(worlds.guessable(), said), st.Design(**PLAN), segment=4)
        for _ in range(2)
    )
    plain.collect(**INLINE)
    both.collect(guess=5, **INLINE)
    assert sorted(said) == sorted(both.design.seeds(range(5)).tolist())
    assert same_outputs(plain, both)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (np.zeros(9), r"output test_margins has shape \[9\], declared \[3\]"),
        (np.full(3, np.nan), "output test_margins of model 0 is nan"),
    ],
)
def test_what_a_table_says_of_its_model_is_checked(wrong, sentence) -> None:
    task = with_outputs(worlds.guessable(), [])
    right = task.influence

    def influence(mask: np.ndarray, seed: int, output: str, outputs: bool = False) -> Any:
        found = right(mask, seed, output, outputs)
        return (found[0], found[1] | {"test_margins": wrong}) if outputs else found

    study = st.Study.create(":memory:", replace(task, influence=influence), st.Design(**PLAN), segment=4)
    with pytest.raises(InputError, match=sentence):
        study.collect(guess=5, **INLINE)
    assert guess_names(study.store) == []
    assert study.done().size == 0


def test_a_group_is_a_unit() -> None:
    groups = np.arange(20) // 2
    plain, both = (
        st.Study.create(":memory:", worlds.guessable(), st.Design(models=20, groups=groups), segment=4)
        for _ in range(2)
    )
    plain.collect(**INLINE)
    both.collect(guess=3, **INLINE)
    assert same_outputs(plain, both)
    assert same_guess(load_guess(both), st.guess(plain, 3, **INLINE))


def test_a_process_that_dies_at_any_step_is_gone_on_with(make_study) -> None:
    plain = make_study(name="plain", task=worlds.guessable(), **PLAN)
    wanted = st.guess(plain, 3, **INLINE)
    for step in (2, 6, 10, 16, 20, 22, 24, 26, 28, 30, 32, 36, 50):
        study = make_study(done=False, name=f"step{step}", task=worlds.guessable(), **PLAN)

        def collect(step: int = step, study: st.Study = study) -> None:
            dying_at(step, "replace", "fsync", "link", "rename", after=True)
            study.collect(guess=3, **INLINE)

        assert ended(forked(collect)) == 9, step
        again = st.Study.open(study.path).made_by(worlds.guessable(), None)
        assert again.collect(guess=3, **INLINE).done == plain.models
        assert same_outputs(plain, again)
        assert same_guess(load_guess(again), wanted)
        assert examine(again).damage == examine(again).notes == []


def test_a_dead_worker_costs_its_part_alone(make_study, tmp_path) -> None:
    control = tmp_path / "control"
    control.mkdir()
    study = make_study(done=False, task=GUESSABLE, params={"control": str(control)}, **PLAN)
    order = control / str(study.design.seeds([2])[0])
    order.write_text("raise")
    with pytest.raises(CollectError, match="ValueError: told to fail"):
        study.collect(guess=4, progress=False, engine="local", workers=1)
    assert study.done().size == 0
    order.unlink()
    study.collect(guess=4, progress=False, engine="local", workers=1)
    plain = make_study(name="plain", task=GUESSABLE, **PLAN)
    assert same_outputs(plain, study)
    assert same_guess(load_guess(study), st.guess(plain, 4, **INLINE))


def test_a_segment_that_somebody_else_committed_stays(make_study, monkeypatch) -> None:
    study = make_study(done=False, task=worlds.guessable(), **PLAN)
    first = study.segments[0]
    real, before = checkpoint.save, []

    def meanwhile(*arguments: Any) -> None:
        if not before:
            train_segment(study, first)
            before.append((study.path / "segments").joinpath("000000-000003.seg").read_bytes())
        real(*arguments)

    monkeypatch.setattr(checkpoint, "save", meanwhile)
    study.collect(guess=6, **INLINE)
    assert (study.path / "segments" / "000000-000003.seg").read_bytes() == before[0]
    assert study.done().size == study.models
    assert not [name for name in study.store.names("partial") if name.endswith(".seg")]


def test_only_what_lacks_is_made(make_study, monkeypatch) -> None:
    study = make_study(task=worlds.guessable(), **PLAN)
    asked: list[list[int]] = []
    real = TablesTask.of.__func__
    monkeypatch.setattr(TablesTask, "of", classmethod(lambda c, *a: asked.append(a[3].tolist()) or real(c, *a)))
    assert study.collect(guess=3, **INLINE).trained == 0, "all models were there"
    study.collect(guess=3, **INLINE)
    study.collect(guess=2, **INLINE)
    study.collect(guess=5, **INLINE)
    assert asked == [[0, 1, 2], [3, 4]]
    st.guess(study, [7, 8], **INLINE, name="default")
    study.collect(guess=4, **INLINE)
    assert asked[2:] == [[7, 8], [0, 1]]
    assert load_guess(study).meta["models"] == [0, 1, 7, 8]
    assert load_guess(study).meta["seconds_each"] >= 0


def test_a_part_of_the_segments_can_be_collected(make_study) -> None:
    study = make_study(done=False, task=worlds.guessable(), **PLAN)
    study.collect(guess=6, segments=[0, 3], **INLINE)
    assert study.done().tolist() == [0, 1, 2, 3, 12, 13, 14, 15]
    study.collect(guess=6, **INLINE)
    assert study.done().size == study.models


def test_segments_that_took_no_training_say_nothing_of_its_speed(make_study) -> None:
    study = make_study(done=False, task=worlds.guessable(), **PLAN)
    study.collect(guess=4, segments=[0], **INLINE)
    assert study.done().size == 4
    assert np.isnan(machine_rate(study))


def test_what_cannot_be_is_refused(make_study) -> None:
    study = make_study(done=False, task=worlds.guessable(), **PLAN)
    for wrong in (0, -1, 31):
        with pytest.raises(InputError, match=r"a guess takes 1 to 30 models, for so many of .* are to fit on, got"):
            study.collect(guess=wrong, **INLINE)
    plain = make_study(done=False, name="plain", task=worlds.linear(), **PLAN)
    with pytest.raises(InputError, match=r"knows no influence: .* or make a table elsewhere"):
        plain.collect(guess=3, **INLINE)
    named = make_study(done=False, name="named", task=GUESSABLE, **PLAN)
    with pytest.raises(InputError, match=r"leave out detach \(--detach\)"):
        named.collect(guess=3, engine="slurm", detach=True)
    with pytest.raises(InputError, match=r"collect_with_guess\(\) has no keyword 'wokers'"):
        study.collect(guess=3, wokers=2)
    for one in (study, plain, named):
        assert one.done().size == 0


def test_the_command_line_collects_and_guesses(make_study) -> None:
    study = make_study(done=False, task=GUESSABLE, **PLAN)
    path = str(study.path)
    done = ok("collect", path, "--guess", "6", "--engine", "inline")
    assert f"Trained {study.models} models" in done
    assert f"{study.models} of {study.models} models are done" in done
    assert f"Next: subtrain fit {path} --guess default" in done
    assert load_guess(study).models == 6
    assert "The guess: inside x " in ok("fit", path, "--guess", "default", "--name", "guessed")
    assert "Computes influence tables" in " ".join(ok("collect", "--help").split()) or "--guess" in ok(
        "collect", "--help"
    )
    for arguments, sentence in (
        (("--guess", "99"), "a guess takes 1 to 30 models"),
        (("--guess", "0"), "--guess"),
        (("--guess", "3", "--engine", "slurm", "--dry-run"), "--dry-run does not go with --guess"),
    ):
        refused = run("collect", path, *arguments)
        assert refused.returncode == 2
        assert sentence in refused.stderr
