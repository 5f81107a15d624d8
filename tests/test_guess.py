"""`st.guess`: tables of some of a study's models, added up by any engine, killed and gone on with, and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from obstore.store import MemoryStore

import subtrain as st
import worlds
from commands import ok, run
from processes import dying_at, ended, forked
from subtrain.errors import CollectError, CorruptError, InputError, MismatchError
from subtrain.fits import save_fit
from subtrain.guess_models import tables_study
from subtrain.guess_models.tables_task import TablesTask, own_influence
from subtrain.guesses import guess_names, load_guess
from subtrain.integrity import examine
from subtrain.store.bucket import Bucket
from subtrain.studies.export import export
from subtrain.uses.kit.standard_errors import standard_errors

PLAN = {"models": 30, "heldout": 4, "replicates": 2}
GUESSABLE = f"{worlds.__file__}:guessable"
ARRAYS = ("inside", "outside", "holding")


@pytest.fixture
def study(make_study) -> st.Study:
    """A study of the linear world, whose task knows its weights."""
    return make_study(task=worlds.guessable(), **PLAN)


@pytest.fixture
def ordered(make_study, tmp_path):
    """A study whose worker processes find its task, and order(model, what): what happens to the table of this model."""
    control = tmp_path / "control"
    control.mkdir()
    made = make_study(task=GUESSABLE, params={"control": str(control)}, **PLAN)

    def order(model: int, what: str | None) -> None:
        file = control / str(made.design.seeds([model])[0])
        file.write_text(what) if what else file.unlink()

    return made, order


guess = partial(st.guess, progress=False)
guess_here = partial(guess, engine="inline")


def same(one: st.Guess, other: st.Guess, exactly: bool = True) -> bool:
    close = np.array_equal if exactly else np.allclose
    return one.meta["models"] == other.meta["models"] and all(
        close(getattr(one, part), getattr(other, part)) for part in ARRAYS
    )


def made_by_hand(study: st.Study, rows: list[int], output: str = "test_margins") -> tuple[np.ndarray, np.ndarray]:
    inside, outside = 0.0, 0.0
    for mask, seed in zip(study.masks(rows).unpack(), study.design.seeds(rows), strict=True):
        table = study.task.influence(mask, int(seed), output)
        inside, outside = inside + table * mask[:, None], outside + table * ~mask[:, None]
    return inside, outside


def test_a_guess_is_the_sum_of_tables(study) -> None:
    made = guess_here(study, models=5)
    rows = study.done()[:5].tolist()
    inside, outside = made_by_hand(study, rows)
    assert made.meta["models"] == rows
    assert np.allclose(made.inside, inside, atol=1e-5)
    assert np.allclose(made.outside, outside, atol=1e-5)
    assert np.array_equal(made.holding, study.masks(rows).unpack().sum(axis=0))
    assert np.allclose(made.tables()[0], worlds.weights(20, 3)[0], atol=0.1)
    assert same(made, load_guess(study))


def test_a_guess_gets_only_the_models_it_lacks(study, monkeypatch) -> None:
    guess_here(study, models=4, name="grown")
    asked: list[Any] = []
    real = TablesTask.of.__func__
    monkeypatch.setattr(TablesTask, "of", classmethod(lambda c, *a: asked.append(a[3].tolist()) or real(c, *a)))
    grown = guess_here(study, models=9, name="grown")
    assert asked == [study.done()[4:9].tolist()]
    assert same(grown, guess_here(study, models=9, name="at once"), exactly=False)
    assert same(grown, guess_here(study, models=9, name="grown"))
    few = guess_here(study, models=[1, 2], name="grown")
    assert few.meta["models"] == [1, 2], "fewer models than there are: made anew"
    assert guess_names(study.store) == ["at once", "grown"]


def test_models_of_one_part_add_up(study, monkeypatch) -> None:
    whole = guess_here(study, models=9, name="whole")
    monkeypatch.setattr("subtrain.guess_models.tables_task.cores", lambda: 1)
    two = guess_here(study, models=9, name="two")
    monkeypatch.setattr("subtrain.guess_models.tables_task.DISK", 1)
    one = guess_here(study, models=9, name="one")
    assert same(whole, two, exactly=False)
    assert same(whole, one, exactly=False)


def test_engines_make_the_same_bytes(ordered) -> None:
    study, _ = ordered
    inline = guess_here(study, models=6, name="inline")
    local = guess(study, models=6, name="local", progress=False, engine="local", workers=2)
    assert same(inline, local)


def test_a_group_is_a_unit(tmp_path) -> None:
    groups = np.arange(20) // 2
    study = st.Study.create(":memory:", worlds.guessable(), st.Design(models=20, groups=groups))
    study.collect(progress=False, engine="inline")
    made = guess_here(study, models=3)
    assert made.inside.shape == (10, 3)
    inside, outside = 0.0, 0.0
    rows = study.done()[:3]
    for mask, seed in zip(study.masks(rows).unpack(), study.design.seeds(rows), strict=True):
        table = study.task.influence(mask[groups], int(seed), "test_margins").reshape(10, 2, 3).sum(axis=1)
        inside, outside = inside + table * mask[:, None], outside + table * ~mask[:, None]
    assert np.allclose(made.inside, inside, atol=1e-5)
    assert np.allclose(made.outside, outside, atol=1e-5)


@pytest.mark.parametrize("store", ["folder", "memory", "bucket"])
def test_every_store_holds_a_guess(store, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SUBTRAIN_CACHE", str(tmp_path / "cache"))
    where = {"folder": tmp_path / "s", "memory": ":memory:", "bucket": Bucket(MemoryStore(), "s3://memory/s")}[store]
    study = st.Study.create(where, worlds.guessable(), st.Design(**PLAN), segment=4)
    study.collect(progress=False, engine="inline")
    # A bucket in memory has no address at which it can be opened once more.
    if store == "bucket":
        monkeypatch.setattr(tables_study, "open_store", lambda at: Bucket(MemoryStore(), at))
    made = guess_here(study, models=4)
    assert same(made, load_guess(study))
    assert sorted(study.store.names("guesses")) == [
        f"guesses/default/{file}" for file in ("guess.json", "holding.npy", "inside.npy", "outside.npy")
    ], "nothing of the tables of single models is left"
    assert examine(study).damage == examine(study).notes == []
    plain = st.Study.create(":memory:", worlds.guessable(), st.Design(**PLAN), segment=4)
    plain.collect(progress=False, engine="inline")
    assert same(guess_here(plain, models=4), made)


def test_a_dead_worker_costs_its_table_alone(ordered) -> None:
    study, order = ordered
    model = int(study.done()[2])
    order(model, "kill")
    order(int(study.done()[0]), "raise")
    with pytest.raises(CollectError, match="2 of 4 models are missing") as failed:
        guess(study, models=4, progress=False, engine="local", workers=1)
    assert "model 2: its worker process died with signal SIGKILL" in str(failed.value)
    assert "model 0: ValueError: told to fail" in str(failed.value)
    assert guess_names(study.store) == []
    assert any("is not finished: guess again" in note for note in examine(study).notes)
    segments = [file for file in study.store.names("guesses") if file.endswith(".seg")]
    assert len(segments) == 2
    order(model, None)
    order(int(study.done()[0]), None)
    made = guess(study, models=4, progress=False, engine="local", workers=1)
    assert same(made, guess_here(study, models=4, name="undisturbed"))
    assert examine(study).notes == []


def test_a_process_that_dies_at_any_step_is_gone_on_with(make_study) -> None:
    for step in (2, 5, 9, 14, 20, 27):
        study = make_study(name=f"step{step}", task=worlds.guessable(), **PLAN)
        path = study.path

        def run(step: int = step, study: st.Study = study) -> None:
            dying_at(step, "replace", "fsync", "link", "rename", after=True)
            guess_here(study, models=3)

        assert ended(forked(run)) in (0, 9)
        again = st.Study.open(path).made_by(worlds.guessable(), None)
        made = guess_here(again, models=3)
        inside, _ = made_by_hand(again, made.meta["models"])
        assert np.allclose(made.inside, inside, atol=1e-5)
        assert examine(again).damage == []


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("nan", r"table of model 1 of the study: influence\(\) returned numbers that are inf or NaN"),
        ("turn", r"table of model 1 of the study: influence\(\) must return floats \[20, 3\], .* float64 \[3, 20\]"),
        ("whole", r"table of model 1 of the study: influence\(\) must return floats \[20, 3\], it returned bool"),
    ],
)
def test_a_table_that_is_none_is_refused(ordered, what, sentence) -> None:
    study, order = ordered
    order(1, what)
    with pytest.raises(InputError, match=sentence):
        guess_here(study, models=4)


def test_models_that_may_not_be_seen_are_refused(study) -> None:
    held = int(study.done(st.designs.drawn.EVALUATION)[0])
    with pytest.raises(InputError, match=f"model {held} is held out or not finished: held-out models stay unseen"):
        guess_here(study, models=[0, held])
    with pytest.raises(InputError, match=r"at most 30 models, .* got 31"):
        guess_here(study, models=31)
    for none in (0, []):
        with pytest.raises(InputError, match="a guess takes"):
            guess_here(study, models=none)


def test_what_cannot_be_guessed_is_said(study, make_study, tmp_path) -> None:
    with pytest.raises(InputError, match=r"records no output 'losses'; it has test_margins"):
        guess_here(study, 3, "losses")
    plain = make_study(name="plain", task=worlds.linear(), **PLAN)
    with pytest.raises(InputError, match=r"knows no influence: .* or make a table elsewhere"):
        guess_here(plain, 3)
    masks = np.random.default_rng(0).random((40, 12)) < 0.5
    imported = st.Study.from_arrays(":memory:", masks, {"test_margins": masks.astype(float)})
    with pytest.raises(InputError, match="was imported: without its task no model can be trained again"):
        guess_here(imported, 3)
    for name in ("", "a/b", ".hidden"):
        with pytest.raises(InputError, match="one plain folder name"):
            guess_here(study, 3, name=name)


def test_another_guess_of_the_same_name_stays(study) -> None:
    made = guess_here(study, models=3)
    with pytest.raises(MismatchError, match=r"another guess named 'default', made with output 'test_margins'"):
        guess_here(study, 3, "train_margins")
    assert same(made, load_guess(study))
    other = guess_here(study, 3, "train_margins", name="train")
    assert other.inside.shape == (20, 20)


def test_influence_can_be_given_to_the_task_of_a_finished_study() -> None:
    plain = worlds.linear(noise=0.5)
    study = st.Study.create(":memory:", plain, st.Design(**PLAN))
    study.collect(progress=False, engine="inline")
    weight = worlds.weights(20, 3)[0]

    def rough(mask: np.ndarray, seed: int, output: str) -> np.ndarray:
        return weight + 0.1

    def exact(mask: np.ndarray, seed: int, output: str) -> np.ndarray:
        return weight

    more = replace(plain, influence=exact)
    assert more.fingerprint == plain.fingerprint
    again = study.made_by(more, None)
    made = guess_here(again, models=4)
    assert np.allclose(sum(made.tables()) / 2, weight)
    with pytest.raises(MismatchError, match="made with influence"):
        guess_here(study.made_by(replace(plain, influence=rough), None), models=4)
    assert own_influence(st.tasks.digits(n=30, targets=8)) == ""


@pytest.mark.parametrize("kind", ["function", "batch"])
def test_tasks_of_ones_own_take_influence(kind) -> None:
    weight = worlds.weights(20, 3)[0]

    def one(indices: np.ndarray, seed: int) -> dict[str, Any]:
        return {"test_margins": weight[indices].sum(axis=0)}

    def many(masks: np.ndarray, seeds: np.ndarray) -> dict[str, Any]:
        return {"test_margins": masks @ weight}

    def influence(mask: np.ndarray, seed: int, output: str) -> np.ndarray:
        return weight

    make, train = {"function": (st.tasks.function, one), "batch": (st.tasks.batch, many)}[kind]
    task = make(train, 20, {"test_margins": st.Output([3], "float32")}, influence=influence)
    assert task.fingerprint == make(train, 20, {"test_margins": st.Output([3], "float32")}).fingerprint
    study = st.Study.create(":memory:", task, st.Design(**PLAN))
    study.collect(progress=False, engine="inline")
    assert st.evaluate(guess_here(study, 3), study, bootstrap=0).lds.value > 0.999


def test_damage_is_found(study) -> None:
    guess_here(study, models=3)
    folder = Path(study.path) / "guesses/default"
    before = (folder / "inside.npy").read_bytes()
    (folder / "inside.npy").write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    with pytest.raises(CorruptError, match=r"inside\.npy"):
        load_guess(study)
    assert len(examine(study).damage) == 1
    (folder / "inside.npy").unlink()
    with pytest.raises(CorruptError, match=r"inside\.npy is missing: delete .*guesses/default, and guess again"):
        load_guess(study)
    (folder / "inside.npy").write_bytes(before)
    meta = json.loads((folder / "guess.json").read_text())
    (folder / "guess.json").write_text(json.dumps({**meta, "models": [7]}))
    with pytest.raises(CorruptError, match=r"guess\.json"):
        load_guess(study)
    assert len(examine(study).damage) == 1


def test_guesses_of_two_studies_or_of_shared_models_are_not_added(study, make_study) -> None:
    one = guess_here(study, models=[0, 1])
    other = guess_here(study, models=[1, 2], name="other")
    with pytest.raises(InputError, match="share models, or are of two studies"):
        one + other
    elsewhere = make_study(name="else", task=worlds.guessable(), **{**PLAN, "seed": 8})
    with pytest.raises(InputError, match="of two studies"):
        one + guess_here(elsewhere, models=[5, 6])


def test_exports_do_not_know_guesses(study, tmp_path) -> None:
    before = export(study, tmp_path / "before")
    guess_here(study, models=3)
    after = export(study, tmp_path / "after")
    assert [path.name for path in before] == [path.name for path in after]
    assert study.status().done == study.models


def test_the_command_line_guesses_fits_and_evaluates(ordered, tmp_path) -> None:
    study, _ = ordered
    path = str(study.path)
    done = ok("guess", path, "--models", "6", "--engine", "inline")
    assert "models=6" in done
    assert f"Next: subtrain fit {path} --guess default" in done
    assert "Note" not in done + ok("guess", path, "--models", "6", "--engine", "inline")
    fewer = " ".join(ok("guess", path, "--models", "4", "--engine", "inline").split())
    assert "Note: it replaces the guess default of 6 models" in fewer
    table = tmp_path / "mine.npy"
    np.save(table, -1e6 * worlds.weights(20, 3)[0])
    shown = ok("fit", path, "--guess", "default", "--guess", str(table), "--name", "both")
    assert "The guess: inside1 x " in shown
    assert "mine x " in shown
    assert "mine x -0.00" in ok("fit", path, "--guess", str(table), "--output", "test_margins")
    evaluated = ok("evaluate", path, "--table", str(table))
    assert "LDS" in evaluated
    assert "a table" in evaluated
    for absent in ("nan", "MSE", "R²", "pooled score", "elsewhere"):
        assert absent not in evaluated
    judged = json.loads(ok("evaluate", path, "--table", str(table), "--json"))
    assert judged["lds"]["value"] < -0.7
    assert judged["mse"] is None
    assert run("status", path, "--check").returncode == 0


def test_the_command_line_refuses_in_a_sentence(ordered, tmp_path) -> None:
    study, _ = ordered
    path = str(study.path)
    np.save(tmp_path / "turned.npy", worlds.weights(20, 3)[0].T)
    for arguments, sentence in (
        (("guess", path, "--models", "99"), "at most 30 models"),
        (("guess", path, "--models", "0"), "--models"),
        (("fit", path, "--guess", "none"), f"has no guess named 'none': run subtrain guess {path} first"),
        (("fit", path, "--guess", str(tmp_path / "no.npy")), "no such file"),
        (("fit", path, "--guess", str(tmp_path / "turned.npy")), "give its transpose"),
        (("fit", path, "--guess", "none", "--estimator", "lasso"), "guess"),
        (("evaluate", path, "--table", str(tmp_path / "turned.npy")), "give its transpose"),
    ):
        done = run(*arguments)
        assert done.returncode == 2, arguments
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_questions_take_fits_from_a_guess_and_few_models() -> None:
    task = st.tasks.ridge_head(*digits_of(40, 12))
    study = st.Study.create(":memory:", task, st.Design(models=24, heldout=8, replicates=1))
    study.collect(progress=False, engine="inline")
    made = guess_here(study, models=8)
    fitted = study.fit("test_margins", estimator=st.SharedPrior(guess=made))
    save_fit(study, fitted)
    dm = st.load_fit(study)
    assert np.array_equal(dm.weight, fitted.weight)
    assert st.evaluate(dm, study, bootstrap=0).lds.value > 0.5
    assert len(st.neighbors(dm, study, [1], k=3).unit) == 6
    assert st.counterfactuals(dm, study, [1], sizes=[2]).finding()
    assert st.support(dm, study, [1]).finding()
    # A LASSO on the same models says how well weights are known.
    assert st.significance(dm, study).finding()
    assert (standard_errors(dm, study) > 0).all()
    with pytest.raises(InputError, match="24 models are too few to extend a learning curve"):
        st.budget(study, 0.9)


def digits_of(n: int, targets: int) -> tuple[np.ndarray, ...]:
    from sklearn.datasets import load_digits

    found = load_digits()
    x, y = found.data.astype(np.float32), found.target
    return x[:n], y[:n], x[n : n + targets], y[n : n + targets]
