"""Guesses over more units than tables of their pairs have room for: the guess alone, read in blocks, and it says so."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest

import subtrain as st
from subtrain.cli.main import main
from subtrain.errors import InputError
from subtrain.guesses import Guess, save_guess
from subtrain.masks import pack
from subtrain.regression.counting.count_stream import count
from subtrain.regression.estimators.kit import guess_alone
from subtrain.regression.estimators.kit.dense_problem import dense
from subtrain.regression.estimators.kit.guess_alone import GuessPlan, fit_alone
from subtrain.regression.estimators.kit.guessed import effects, moments_of
from subtrain.regression.fit_warnings import FitWarning
from subtrain.regression.lasso.problem import problem
from subtrain.uses.kit.standard_errors import standard_errors

SAID = "the guess alone is fitted, without a correction"


def world(n: int, targets: int, m: int = 60, held: int = 0) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Masks, outputs with as much noise as signal, and two tables that their weights follow."""
    random = np.random.default_rng(2)
    masks = random.random((m + held, n)) < 0.5
    tables = [random.standard_normal((n, targets), np.float32) for _ in range(2)]
    effect = np.array([1.0, 0.4]) + 0.2 * random.normal(size=(targets, 2))
    y = sum(masks.astype(np.float32) @ (table * effect[:, f].astype(np.float32)) for f, table in enumerate(tables))
    return masks, y + y.std(axis=0) * random.standard_normal(y.shape, np.float32), tables


def study_of(path: Any, n: int, targets: int, m: int = 60, held: int = 20) -> st.Study:
    """An imported study with a guess, named planted, of 10 of its models."""
    masks, y, tables = world(n, targets, m, held)
    study = st.Study.from_arrays(path, masks, {"test_margins": y}, heldout=held)
    holding = masks[:10].sum(axis=0)
    counts = holding[:, None], 10 - holding[:, None]
    sums = [(table * count).astype(np.float32) for table, count in zip(tables, counts, strict=True)]
    meta = {"output": "test_margins", "models": list(range(10)), "study_id": study.identity}
    save_guess(study, Guess(*sums, holding, meta), "planted")
    return study


@pytest.fixture
def little(monkeypatch):
    """As if so many bytes were free."""

    def free(memory: int) -> None:
        monkeypatch.setattr(guess_alone, "available_memory", lambda: memory)

    return free


@pytest.mark.parametrize(("predictions", "rows"), [(1 << 30, 1 << 27), (60 * 8 * 2 * 7, 4 * 7 * 16)])
def test_blocks_give_what_covariances_of_all_pairs_give(monkeypatch, predictions, rows):
    monkeypatch.setattr(guess_alone, "PREDICTIONS", predictions)
    monkeypatch.setattr(guess_alone, "ROWS", rows)
    masks, y, tables = world(83, 31)
    masks[:, 5], y[:, 3] = True, 2.0
    named = [("one", tables[0]), ("two", tables[1])]
    found = fit_alone(pack(masks), y, np.arange(60) % 5, named)
    plan = problem(count(masks, y, 1), "raw")
    exact = effects(moments_of(dense(plan), 60, named))
    weight, bias = plan.raw(exact.weights(named))
    assert np.allclose(found.weight, weight.T, atol=1e-4)
    assert found.weight.dtype == np.float32
    assert np.allclose(found.bias, bias, atol=1e-3)
    assert found.constant.tolist() == [5]
    assert found.beta == pytest.approx(dict(zip(("one", "two"), exact.mean, strict=True)), rel=1e-4)


def test_its_scores_are_those_of_a_fit_with_all_pairs(little):
    masks, y, tables = world(120, 40, m=400)
    model = st.SharedPrior(pairs=None, guess=[t * 3 for t in tables])
    with_pairs = model.fit(masks, y).choice()
    little(1000)
    with pytest.warns(FitWarning, match=SAID):
        alone = model.fit(masks, y).choice()
    assert alone["chosen"] == "guess"
    assert alone["scores"] == pytest.approx(with_pairs["scores"], abs=2e-3)
    assert alone["guess"]["beta"] == pytest.approx(with_pairs["guess"]["beta"], rel=1e-3)
    assert alone["guess"]["residual_share"] == 0
    assert not hasattr(model, "error_")


def test_a_study_is_fitted_with_the_guess_alone_and_says_so(tmp_path, little):
    study = study_of(tmp_path / "study", 200, 30)
    little(1_000_000)
    plans: list[Any] = []
    with pytest.warns(FitWarning, match=f"{SAID}: that needs tables of all pairs of 200 units, about 2.9"):
        dm = st.fit(study, estimator=st.SharedPrior(guess="planted"), announce=plans.append)
    assert dm.meta["chosen"] == "guess"
    assert any(SAID in note for note in dm.meta["notes"])
    assert "lasso-large" not in str(dm.meta["notes"])
    assert isinstance(plans[0], GuessPlan)
    assert "the guess alone: about" in str(plans[0])
    assert st.evaluate(dm, study, bootstrap=0).lds.value > 0.6
    with pytest.raises(InputError, match="the guess alone was fitted, which has no standard errors"):
        standard_errors(dm, study)


def test_with_more_models_than_units_it_names_the_estimator_that_may_do_better(tmp_path, little):
    study = study_of(tmp_path / "study", 40, 10, m=100)
    little(1000)
    with pytest.warns(FitWarning, match=r"models are more than units, so compare it with LassoLarge \(--estimator"):
        st.fit(study, estimator=st.SharedPrior(guess="planted"))


def test_what_not_even_the_guess_has_room_for_is_refused(tmp_path, little, monkeypatch):
    study = study_of(tmp_path / "study", 200, 30)
    little(1000)
    monkeypatch.setattr("subtrain.regression.fit_plan.available_memory", lambda: 1000)
    with (
        pytest.warns(FitWarning, match=SAID),
        pytest.raises(InputError, match=r"the guess alone needs about .* kB of memory \(24 kB of it for the weights"),
    ):
        st.fit(study, estimator=st.SharedPrior(guess="planted"))


@pytest.mark.filterwarnings("default")
def test_the_command_line_says_it_too(tmp_path, little, monkeypatch, capsys):
    study_of(tmp_path / "study", 200, 30)
    little(1_000_000)
    monkeypatch.setattr(sys, "argv", ["subtrain", "fit", str(tmp_path / "study"), "--guess", "planted"])
    with pytest.raises(SystemExit) as stop:
        main()
    said = "".join(capsys.readouterr())
    assert not stop.value.code, said
    assert SAID in said.replace("\n", " ")
    assert "the guess alone: about" in said.replace("\n", " ")


@pytest.mark.slow
def test_no_table_is_copied_and_no_pair_counted(tmp_path, little):
    n, targets = 20_000, 200
    study = study_of(tmp_path / "study", n, targets)
    little(2**28)
    plans: list[Any] = []
    tracemalloc.start()
    with pytest.warns(FitWarning, match=SAID):
        dm = st.fit(study, estimator=st.SharedPrior(guess="planted"), announce=plans.append)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < plans[0].memory < 4 * n * n
    assert dm.meta["guess"]["beta"] == pytest.approx({"inside": 1.0, "outside": 0.4}, abs=0.1)
    assert st.evaluate(dm, study, bootstrap=0).lds.value > 0.6
