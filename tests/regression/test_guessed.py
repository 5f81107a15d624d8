"""Fits that begin from a guess: what tables are worth is learned, useless ones cost nothing, wrong ones are refused."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import subtrain as st
from subtrain.errors import InputError
from subtrain.fits import save_fit
from subtrain.regression.counting.count_stream import count
from subtrain.regression.estimators.kit.dense_problem import dense
from subtrain.regression.estimators.kit.guessed import FOLDS, effects, folds_in_turn, moments_of
from subtrain.regression.fit_warnings import FitWarning
from subtrain.regression.lasso.problem import problem

N, T = 200, 50


@cache
def world(m: int = 200, noise: float = 3.0) -> tuple[Any, ...]:
    """Masks, outputs, two tables, the effect of each on each target [T, 2], and the true weights [n, T].

    Weights are what both tables say by effects that vary around 1 and -0.5, and a part that no table knows.
    """
    random = np.random.default_rng(5)
    tables = [random.normal(size=(N, T)), random.standard_t(4, size=(N, T))]
    beta = np.array([1.0, -0.5]) + np.array([0.3, 0.2]) * random.normal(size=(T, 2))
    weight = sum(table * beta[:, f] for f, table in enumerate(tables)) + 0.3 * random.normal(size=(N, T))
    masks = st.Design(0.5, models=m, n=N, heldout=0, anchors=0, kind="fixed").masks()
    clean = masks.unpack() @ weight
    return masks, clean + noise * random.normal(size=clean.shape), tables, beta, weight


def with_guess(guess: Any, m: int = 200, noise: float = 3.0) -> st.SharedPrior:
    masks, y, *_ = world(m, noise)
    return st.SharedPrior(pairs=None, guess=guess, threads=1).fit(masks, y)


@cache
def plain() -> st.SharedPrior:
    """The fit of the first table."""
    return with_guess(world()[2][0])


def of(y: np.ndarray, masks: Any) -> Any:
    return dense(problem(count(masks, y, 1), "raw"))


@cache
def heldout() -> np.ndarray:
    return st.Design(0.5, models=200, n=N, heldout=0, anchors=0, seed=99, kind="fixed").masks().unpack().astype(float)


def agreement(weight: np.ndarray, true: np.ndarray | None = None) -> float:
    """Mean over targets of the correlation of predictions on subsets that nothing was fitted on with the truth."""
    seen, truth = heldout() @ weight, heldout() @ (world()[4] if true is None else true)
    seen, truth = seen - seen.mean(axis=0), truth - truth.mean(axis=0)
    return float(((seen * truth).sum(axis=0) / np.sqrt((seen**2).sum(axis=0) * (truth**2).sum(axis=0))).mean())


def named(*tables: np.ndarray) -> list[tuple[str, np.ndarray]]:
    return [(f"table{k}", table) for k, table in enumerate(tables)]


def test_effects_have_the_mean_and_spread_of_those_planted() -> None:
    masks, y, tables, beta, _ = world(400)
    found = effects(moments_of(of(y, masks), 400, named(*tables)))
    assert np.allclose(found.mean, beta.mean(axis=0), atol=0.05)
    spread = found.spread / np.outer(found.scale, found.scale)
    assert np.allclose(np.sqrt(np.diagonal(spread)), beta.std(axis=0), atol=0.12)
    own = found.beta / found.scale
    assert all(np.corrcoef(own[:, f], beta[:, f])[0, 1] > 0.8 for f in range(2))


def test_a_useless_table_has_no_effect() -> None:
    masks, y, tables, beta, _ = world(400)
    useless = np.random.default_rng(1).normal(size=(N, T))
    found = effects(moments_of(of(y, masks), 400, named(tables[0], useless)))
    assert abs(found.mean[1]) < 0.05
    assert abs(found.mean[0] - beta[:, 0].mean()) < 0.1


@pytest.mark.parametrize("factor", [1e6, 1e-6, -1.0])
def test_scale_and_sign_of_a_table_are_free(factor: float) -> None:
    scaled = with_guess(factor * world()[2][0])
    assert np.abs(plain().weight_ - scaled.weight_).max() <= 1e-6 * np.abs(plain().weight_).max()
    assert np.allclose(plain().beta_["table"], factor * scaled.beta_["table"], rtol=1e-6)
    assert plain().scores_[0] == pytest.approx(scaled.scores_[0], abs=1e-6)


def test_a_table_of_small_integers_does_as_well() -> None:
    table = np.round(3 * world()[2][0]).astype(np.int8)
    assert np.allclose(with_guess(table).weight_, with_guess(table.astype(float)).weight_)


@pytest.mark.parametrize("more", ["constant", "zero", "twice", "sum"])
def test_tables_that_add_nothing_do_no_harm(more: str) -> None:
    first, second = world()[2]
    added = {"constant": np.ones((N, T)), "zero": np.zeros((N, T)), "twice": 2 * first, "sum": first + second}[more]
    two, more_tables = with_guess([first, second]), with_guess([first, second, added])
    assert np.isfinite(more_tables.weight_).all()
    assert agreement(more_tables.weight_) >= agreement(two.weight_) - 0.005


@pytest.mark.parametrize("alone", [np.zeros((N, T)), np.ones((N, T))])
def test_nothing_but_an_empty_table_is_no_guess(alone: np.ndarray) -> None:
    masks, y, *_ = world(400)
    found = with_guess(alone, 400)
    none = st.SharedPrior(pairs=None, ranks=(1,), lasso=False, threads=1).fit(masks, y)
    assert agreement(found.weight_) >= agreement(none.weight_) - 0.005


# At as many models as units more models help most, so that folds, of fewer, choose fewer sweeps than are best.
@pytest.mark.parametrize(("m", "cost"), [(100, 0.005), (200, 0.012), (400, 0.005)])
def test_a_shuffled_table_costs_next_to_nothing(m: int, cost: float) -> None:
    masks, y, tables, *_ = world(m)
    shuffled = tables[0][np.random.default_rng(3).permutation(N)]
    none = st.SharedPrior(pairs=None, ranks=(1,), lasso=False, threads=1).fit(masks, y)
    found = with_guess(shuffled, m)
    assert agreement(found.weight_) >= agreement(none.weight_) - cost
    assert abs(found.beta_["table"]) < 0.1


@pytest.mark.parametrize("m", [20, 100])
def test_a_right_table_needs_few_models(m: int) -> None:
    weight = world(m)[4]
    found = with_guess(weight, m)
    assert agreement(found.weight_) > 0.99
    assert found.beta_["table"] == pytest.approx(1.0, abs=0.1)


def test_a_guess_is_better_than_none_at_few_models() -> None:
    masks, y, tables, *_ = world(100)
    none = st.SharedPrior(pairs=None, ranks=(1,), lasso=False, threads=1).fit(masks, y)
    found = with_guess(tables, 100)
    assert agreement(found.weight_) > agreement(none.weight_) + 0.1
    assert 0.0 <= found.share_ <= 1.0
    assert found.candidates_ == ["guess", "table1", "table2"]
    assert found.scores_[0] > found.scores_[1] > 0 > found.scores_[2], "the second has a negative effect"


def test_targets_that_do_not_vary_are_left_alone() -> None:
    masks, y, tables, *_ = world()
    still = y.copy()
    still[:, 3] = 7.0
    with pytest.warns(FitWarning, match="for 1 of 50 targets all weights are 0"):
        found = st.SharedPrior(pairs=None, guess=tables, threads=1).fit(masks, still)
    assert not found.weight_[:, 3].any()
    assert found.bias_[3] == pytest.approx(7.0)
    assert np.isfinite(found.weight_).all()


def test_wrong_tables_are_refused_by_name(tmp_path) -> None:
    right = world()[2][0]
    broken = right.copy()
    broken[4, 2] = np.nan
    path = tmp_path / "trak.npy"
    np.save(path, broken)
    for table, sentence in (
        (broken, r"the table table is nan at unit 4, target 2"),
        (path, r"the table trak is nan at unit 4, target 2"),
        ([right, broken], r"the table table2 is nan"),
        (right.T, r"shape \[50, 200\], not \[200 units, 50 targets\]: give its transpose"),
        (right[:-1], r"shape \[199, 50\], not \[200 units, 50 targets\]"),
        (right.astype(str), "must hold numbers|must be an array of numbers"),
        (right > 0, "must hold numbers, got dtype bool"),
        (tmp_path / "none.npy", "there is no such file"),
        ("default", "there is no such file"),
    ):
        with pytest.raises(InputError, match=sentence):
            with_guess(table)


def test_a_guess_needs_two_folds() -> None:
    masks, y, tables, *_ = world()
    with pytest.raises(InputError, match="at least 2 folds"):
        folds_in_turn([count(masks, y, 1)])
    assert st.SharedPrior(guess=tables[0]).fold_count == FOLDS
    assert st.SharedPrior().fold_count == 0


def test_an_estimator_with_a_table_is_cloned() -> None:
    table = world()[2][0]
    found = clone(st.SharedPrior(guess=table, threads=1, pairs=None))
    assert np.array_equal(found.guess, table)
    masks, y, *_ = world()
    assert np.array_equal(found.fit(masks, y).weight_, plain().weight_)
    assert "guess=array" in repr(found)


def planted(models: int = 60, **options: Any) -> st.Study:
    masks, y, *_ = world()
    return st.Study.from_arrays(
        ":memory:", masks.unpack()[:models], {"test_margins": y[:models].astype(np.float32)}, **options
    )


def test_a_fit_of_a_study_says_what_the_guess_was_worth_and_holds_no_arrays(tmp_path) -> None:
    study = planted()
    path = tmp_path / "trak.npy"
    np.save(path, world()[2][0])
    dm = study.fit("test_margins", estimator=st.SharedPrior(pairs=None, guess=[world()[2][1], path], threads=1))
    assert set(dm.meta["guess"]["beta"]) == {"table1", "trak"}
    assert 0 <= dm.meta["guess"]["residual_share"] <= 1
    save_fit(study, dm, "mine")
    again = st.load_fit(study, "mine")
    assert np.array_equal(again.weight, dm.weight)
    assert len(str(again.meta)) < 4000, "no table is in the metadata"


def test_tables_are_evaluated() -> None:
    weight = world()[4]
    study = planted(200, heldout=40)
    right, wrong = (st.evaluate(table, study, bootstrap=0) for table in (weight, -weight))
    assert right.lds.value == pytest.approx(-wrong.lds.value)
    assert right.lds.value > 0.8
    assert np.isnan(right.mse)
    assert np.isnan(right.baselines["random weights"]["mse"])
    assert right.to_json()["mse"] is None
    scaled = st.evaluate(1e6 * weight, study, bootstrap=0)
    assert scaled.lds.value == pytest.approx(right.lds.value)
    with pytest.raises(InputError, match="give its transpose"):
        st.evaluate(weight.T, study)
