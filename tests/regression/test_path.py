"""The path solver against scikit-learn on the same objective, and its certificate against the raw data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from sklearn.linear_model import Lasso as ReferenceLasso
from sklearn.linear_model import lasso_path as reference_path

from subtrain.errors import InputError
from subtrain.regression.counting.count_stream import count
from subtrain.regression.lasso.path import lasso_path, solve_at
from subtrain.regression.lasso.problem import lambda_max, problem

OBJECTIVES = ("standardized", "raw")


@dataclass(frozen=True)
class World:
    """Masks and outputs, and the masks as the objective scales them."""

    masks: np.ndarray
    y: np.ndarray

    def scaled(self, objective: str) -> tuple[np.ndarray, np.ndarray]:
        x = self.masks.astype(np.float64)
        if objective == "raw":
            return x, np.ones(x.shape[1])
        scale = x.std(axis=0)
        constant = self.masks.all(axis=0) | ~self.masks.any(axis=0)
        return np.where(constant, 0.0, (x - x.mean(axis=0)) / np.where(constant, 1.0, scale)), scale


def world(m: int, n: int, targets: int, seed: int, awkward: bool = True, noise: float = 1.0) -> World:
    """Sparse linear outputs of random masks; awkward: constant and duplicate units, and one constant target."""
    random = np.random.default_rng(seed)
    masks = random.random((m, n)) < random.uniform(0.3, 0.7, n)
    if awkward and n >= 8:
        masks[:, 1], masks[:, 4], masks[:, 6] = True, False, masks[:, 2]
    weight = random.normal(size=(n, targets)) * (random.random((n, targets)) < 0.4)
    y = masks @ weight + noise * random.normal(size=(m, targets)) + 3.0
    if awkward and targets > 1:
        y[:, 1] = -1.25
    return World(masks, y)


def objective_value(x: np.ndarray, y: np.ndarray, coef: np.ndarray, bias: float, lam: float) -> float:
    return float(np.mean((y - x @ coef - bias) ** 2) / 2 + lam * np.abs(coef).sum())


def gap_from_data(x: np.ndarray, y: np.ndarray, coef: np.ndarray, bias: float, lam: float) -> float:
    """Primal minus dual of (1/2m) ||y - x w - b||^2 + lam ||w||_1, from the residuals, without any Gram.

    Dual: maximise <theta, y> - m |theta|^2 / 2 over sum theta = 0 and |x^T theta| <= lam.
    """
    m = len(y)
    residual = y - x @ coef - bias
    residual = residual - residual.mean()
    theta = residual / m
    theta = theta / max(1.0, np.abs(x.T @ theta).max() / lam)
    dual = theta @ y - m * (theta @ theta) / 2
    return objective_value(x, y, coef, bias, lam) - float(dual)


@settings(max_examples=25, deadline=None)
@given(
    m=some.integers(30, 300),
    n=some.integers(2, 70),
    objective=some.sampled_from(OBJECTIVES),
    share=some.floats(0.05, 0.9),
    seed=some.integers(0, 2**32),
)
def test_weights_agree_with_scikit_learn(m: int, n: int, objective: str, share: float, seed: int) -> None:
    w = world(m + n, n, 2, seed, awkward=False)
    x, scale = w.scaled(objective)
    lams = share * lambda_max(problem(count(w.masks, w.y), objective))
    got = solve_at(count(w.masks, w.y), lams, objective=objective, tol=1e-12)
    for t, lam in enumerate(lams):
        want = ReferenceLasso(alpha=lam, tol=1e-14, max_iter=200_000).fit(x, w.y[:, t])
        weight = np.divide(want.coef_, scale, out=np.zeros(n), where=scale > 0)
        np.testing.assert_allclose(got.weight[t], weight, rtol=1e-4, atol=1e-6 * np.abs(weight).max(initial=1e-9))
        shift = 0.0 if objective == "raw" else w.masks.mean(axis=0) @ weight
        assert got.bias[t] == pytest.approx(want.intercept_ - shift, rel=1e-4, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    m=some.integers(3, 120),
    n=some.integers(1, 150),
    objective=some.sampled_from(OBJECTIVES),
    share=some.floats(0.02, 0.95),
    seed=some.integers(0, 2**32),
)
def test_objective_and_predictions_agree_when_weights_are_not_unique(
    m: int, n: int, objective: str, share: float, seed: int
) -> None:
    """Fewer models than units, duplicate units, constant units, a constant target."""
    w = world(m, n, 3, seed)
    x, scale = w.scaled(objective)
    counts = count(w.masks, w.y)
    top = lambda_max(problem(counts, objective))
    lams = np.where(top > 0, share * top, 1.0)
    got = solve_at(counts, lams, objective=objective, tol=1e-9)
    assert np.all(got.gap <= 1e-9)
    for t, lam in enumerate(lams):
        want = ReferenceLasso(alpha=lam, tol=1e-12, max_iter=200_000).fit(x, w.y[:, t])
        coef = got.weight[t] * scale
        bias = got.bias[t] + (0.0 if objective == "raw" else w.masks.mean(axis=0) @ got.weight[t])
        mine = objective_value(x, w.y[:, t], coef, bias, lam)
        theirs = objective_value(x, w.y[:, t], want.coef_, want.intercept_, lam)
        assert mine <= theirs + 1e-9 * w.y[:, t].var() + 1e-15
        np.testing.assert_allclose(
            w.masks @ got.weight[t] + got.bias[t], want.predict(x), atol=2e-4 * w.y[:, t].std() + 1e-12
        )
        constant = w.masks.all(axis=0) | ~w.masks.any(axis=0)
        assert not got.weight[t][constant].any()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_whole_path_agrees_with_scikit_learn(objective: str) -> None:
    w = world(240, 60, 2, seed=5, awkward=False)
    x, scale = w.scaled(objective)
    got = lasso_path(count(w.masks, w.y), lambdas=30, eps=1e-2, objective=objective, tol=1e-11, keep=True)
    for t in range(2):
        centered = x - x.mean(axis=0)
        _, coefs, _ = reference_path(
            centered, w.y[:, t] - w.y[:, t].mean(), alphas=got.lambdas[t], tol=1e-13, max_iter=100_000
        )
        np.testing.assert_allclose(got.weights[t] * scale, coefs.T, rtol=1e-4, atol=1e-6)
        assert got.lambdas[t, -1] == pytest.approx(1e-2 * got.lambdas[t, 0])


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("m", "n"), [(400, 90), (50, 130)])
def test_the_gap_is_that_of_the_raw_data(m: int, n: int, objective: str) -> None:
    w = world(m, n, 4, seed=11)
    x, scale = w.scaled(objective)
    for tol in (1e-2, 1e-4, 1e-9):
        got = lasso_path(count(w.masks, w.y), lambdas=20, objective=objective, tol=tol, keep=True)
        for t in (0, 2, 3):
            for k, lam in enumerate(got.lambdas[t]):
                coef = got.weights[t, k] * scale
                bias = float(np.mean(w.y[:, t] - x @ coef))
                half = w.y[:, t].var() / 2
                true = gap_from_data(x, w.y[:, t], coef, bias, lam) / half
                # The solver also scales the dual point by a factor below one where that is better.
                assert got.gap[t, k] <= true + 1e-12
                assert got.gap[t, k] >= true - 0.5 * true - 1e-12
                assert got.gap[t, k] <= tol


def test_the_gap_bounds_what_a_better_solution_could_gain() -> None:
    w = world(300, 80, 3, seed=2, awkward=False)
    x, scale = w.scaled("standardized")
    counts = count(w.masks, w.y)
    lam = 0.1 * lambda_max(problem(counts))
    rough, exact = solve_at(counts, lam, tol=0.05), solve_at(counts, lam, tol=1e-12)
    for t in range(3):
        values = [
            objective_value(x, w.y[:, t], s.weight[t] * scale, float(np.mean(w.y[:, t])), lam[t])
            for s in (rough, exact)
        ]
        excess = (values[0] - values[1]) / (w.y[:, t].var() / 2)
        assert 1e-6 < excess <= rough.gap[t, 0] <= 0.05


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_lambda_max_is_where_the_zero_solution_ends(objective: str) -> None:
    w = world(200, 50, 3, seed=7)
    counts = count(w.masks, w.y)
    top = lambda_max(problem(counts, objective))
    assert top[1] == 0.0
    lams = np.where(top > 0, top, 1.0)
    assert not solve_at(counts, lams, objective=objective, tol=1e-9).weight.any()
    below = solve_at(counts, lams * (1 - 1e-4), objective=objective, tol=1e-12).weight
    assert below[0].any()
    assert below[2].any()
    assert not below[1].any()


def test_positive_weights_and_penalty_factors() -> None:
    w = world(300, 40, 2, seed=9, awkward=False)
    x, scale = w.scaled("standardized")
    counts = count(w.masks, w.y)
    factor = np.linspace(0.5, 2.0, 40)
    factor[3] = np.inf
    lam = 0.05
    got = solve_at(counts, lam, tol=1e-12, positive=True, penalty=factor)
    for t in range(2):
        want = ReferenceLasso(alpha=lam, tol=1e-14, max_iter=100_000, positive=True).fit(x / factor, w.y[:, t])
        np.testing.assert_allclose(got.weight[t] * scale, want.coef_ / factor, rtol=1e-4, atol=1e-7)
    assert not got.weight[:, 3].any()
    zero = solve_at(counts, lambda_max(problem(counts, penalty=factor), positive=True), positive=True, penalty=factor)
    assert not zero.weight.any()


def test_validation_error_is_that_of_the_predictions() -> None:
    fitting, judging = world(400, 60, 3, seed=1), world(150, 60, 3, seed=1)
    judging = World(judging.masks[:130], judging.y[:130] + 0.5)
    got = lasso_path(count(fitting.masks, fitting.y), count(judging.masks, judging.y), 25, keep=True)
    for t in range(3):
        predicted = judging.masks @ got.weights[t].T + got.biases[t]
        want = ((judging.y[:, t, None] - predicted) ** 2).mean(axis=0)
        np.testing.assert_allclose(got.error[t], want, rtol=1e-5, atol=1e-12)
        if t != 1:
            assert got.best[t] == np.argmin(want)
            np.testing.assert_array_equal(got.weight[t], got.weights[t, got.best[t]])


def test_an_early_stop_chooses_as_the_whole_path_does() -> None:
    w = world(1200, 150, 24, seed=4)
    train, valid = count(w.masks[:1000], w.y[:1000]), count(w.masks[1000:], w.y[1000:])
    whole, early = (lasso_path(train, valid, 80, early_stop=stop) for stop in (None, 5))
    np.testing.assert_array_equal(early.best, whole.best)
    np.testing.assert_array_equal(early.weight, whole.weight)
    made = ~np.isnan(early.error)
    np.testing.assert_array_equal(early.error[made], whole.error[made])
    assert np.isnan(early.gap[~made]).all()
    assert (~made).any()
    assert not np.isnan(whole.error).any()


def test_a_warm_start_ends_at_the_same_weights() -> None:
    w = world(300, 60, 2, seed=8, awkward=False)
    counts = count(w.masks, w.y)
    cold = solve_at(counts, 0.1, tol=1e-12)
    warm = solve_at(counts, 0.1, start=cold.weight, tol=1e-12)
    np.testing.assert_allclose(warm.weight, cold.weight, atol=1e-9)
    assert warm.passes.sum() < cold.passes.sum()


def test_the_number_of_threads_changes_nothing() -> None:
    w = world(300, 60, 40, seed=8)
    counts = count(w.masks, w.y)
    one, three = (lasso_path(counts, counts, 15, threads=k) for k in (1, 3))
    np.testing.assert_array_equal(one.weight, three.weight)


def test_a_target_that_runs_out_of_sweeps_says_so() -> None:
    w = world(40, 80, 1, seed=3, awkward=False)
    got = solve_at(count(w.masks, w.y), 0.001, tol=1e-10, passes=3)
    assert got.passes[0, 0] <= 3
    assert got.gap[0, 0] > 1e-10


def test_what_cannot_be_solved_is_refused() -> None:
    w = world(50, 10, 2, seed=0, awkward=False)
    counts = count(w.masks, w.y)
    with pytest.raises(InputError, match="objective"):
        lasso_path(counts, objective="normal")
    with pytest.raises(InputError, match="positive and finite"):
        lasso_path(counts, lambdas=[1.0, 0.0])
    with pytest.raises(InputError, match="at least 2 values"):
        lasso_path(counts, lambdas=1)
    with pytest.raises(InputError, match="tol"):
        lasso_path(counts, tol=0)
    with pytest.raises(InputError, match="early_stop"):
        lasso_path(counts, early_stop=0)
    with pytest.raises(InputError, match="penalty"):
        lasso_path(counts, penalty=np.zeros(10))
    with pytest.raises(InputError, match="at least 2 models"):
        lasso_path(count(w.masks[:1], w.y[:1]))
    with pytest.raises(InputError, match="do not match"):
        lasso_path(counts, count(w.masks, w.y[:, :1]))
    flat = w.y * [1.0, 1e-13] + [0.0, 1e3]
    assert not lasso_path(count(w.masks, flat)).weight[1].any()
    with pytest.raises(InputError, match="target 0 lies between"):
        lasso_path(count(w.masks, flat[:, 1:]))
