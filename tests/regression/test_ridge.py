"""Closed forms against scikit-learn and numpy, on the raw data that the counts came from."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import linear_model

from subtrain.errors import InputError
from subtrain.regression import FitWarning, count
from subtrain.regression.estimators.kit.sample_split import validation_rows
from subtrain.regression.estimators.ridge import LeastSquares, Ridge


def world(m: int, n: int, targets: int = 4, fixed: bool = True, seed: int = 0):
    random = np.random.default_rng(seed)
    uniform = random.random((m, n))
    masks = uniform.argsort(axis=1) < n // 2 if fixed else uniform < 0.3
    weight = random.normal(size=(n, targets))
    y = masks @ weight + random.normal(size=targets) + random.normal(size=(m, targets))
    return masks, y.astype(np.float32)


@pytest.mark.parametrize("shape", [(300, 40), (50, 80)])
@pytest.mark.parametrize("fixed", [True, False])
def test_ridge_is_scikit_learns(shape, fixed) -> None:
    masks, y = world(*shape, fixed=fixed)
    for lam in (1e-3, 0.1, 30.0):
        ours = Ridge(lambdas=[lam], objective="raw").fit(masks, y)
        theirs = linear_model.Ridge(alpha=lam * len(masks), solver="cholesky").fit(masks.astype(float), y)
        np.testing.assert_allclose(ours.weight_, theirs.coef_.T, atol=1e-8)
        np.testing.assert_allclose(ours.bias_, theirs.intercept_, atol=1e-7)
        assert np.all(ours.gap_ < 1e-20)
        assert np.all(ours.residual_ < 1e-10)
        np.testing.assert_array_equal(ours.lam_, lam)


def test_ridge_on_standardized_masks() -> None:
    masks, y = world(200, 30, fixed=False)
    ours = Ridge(lambdas=[0.2]).fit(masks, y)
    scaled = (masks - masks.mean(axis=0)) / masks.std(axis=0)
    theirs = linear_model.Ridge(alpha=0.2 * 200).fit(scaled, y)
    np.testing.assert_allclose(ours.weight_, theirs.coef_.T / masks.std(axis=0)[:, None], atol=1e-6)
    np.testing.assert_allclose(ours.predict(masks), theirs.predict(scaled), atol=1e-6)


@pytest.mark.parametrize("objective", ["raw", "standardized"])
def test_every_targets_lambda_is_the_best_on_validation_models(objective) -> None:
    masks, y = world(260, 60, targets=3)
    y[:, 1] += 30 * np.random.default_rng(5).normal(size=260)
    grid = np.geomspace(100, 1e-4, 12)
    ours = Ridge(lambdas=grid, objective=objective, seed=2).fit(masks, y)
    rows = validation_rows(260, 0.1, 2)
    scale = masks[~rows].std(axis=0) if objective == "standardized" else 1.0
    x = masks / scale
    for k, lam in enumerate(grid):
        model = linear_model.Ridge(alpha=lam * (~rows).sum()).fit(x[~rows], y[~rows].astype(float))
        error = ((y[rows] - model.predict(x[rows])) ** 2).mean(axis=0)
        np.testing.assert_allclose(ours.validation_mse_[k], error, rtol=1e-6)
    np.testing.assert_array_equal(ours.lam_, grid[ours.validation_mse_.argmin(axis=0)])
    assert ours.lam_[1] > 3 * max(ours.lam_[0], ours.lam_[2])
    scale = masks.std(axis=0) if objective == "standardized" else 1.0
    for t, lam in enumerate(ours.lam_):
        again = linear_model.Ridge(alpha=lam * 260).fit(masks / scale, y[:, t].astype(float))
        np.testing.assert_allclose(ours.weight_[:, t], again.coef_ / scale, atol=1e-6)


def test_the_certificate_notices_wrong_weights() -> None:
    """gap_ bounds what the objective could still fall: checked with the closed form spoilt on the way."""
    from subtrain.regression.estimators import ridge
    from subtrain.regression.estimators.kit.dense_problem import dense
    from subtrain.regression.lasso.problem import problem

    masks, y = world(200, 20)
    plan = problem(count(masks, y), "raw")
    spectrum = ridge.decompose(dense(plan))
    spoilt = ridge.Spectrum(spectrum.problem, spectrum.values * 1.3, spectrum.vectors)
    none = np.zeros((4, 0))
    lam = np.full(4, 0.01)
    found = ridge._fitted(plan, spoilt, lam, np.ones(20, bool), none, none)

    def objective(weight, bias):
        return ((y - masks @ weight - bias) ** 2).mean(axis=0) / 2 + 0.01 * (weight**2).sum(axis=0) / 2

    best = Ridge(lambdas=[0.01], objective="raw").fit(masks, y)
    above = objective(found.weight, found.bias) - objective(best.weight_, best.bias_)
    assert np.all(above > 1e-4)
    bound = found.gap * y.var(axis=0) / 2
    # The bound used the spoilt curvature, which is 1.3 times too large at most.
    assert np.all((bound >= above / 1.31) & (bound <= above * 1.31))


def test_least_squares_is_scikit_learns_where_masks_determine_it() -> None:
    masks, y = world(300, 40, fixed=False)
    ours = LeastSquares().fit(masks, y)
    theirs = linear_model.LinearRegression().fit(masks.astype(float), y.astype(float))
    np.testing.assert_allclose(ours.weight_, theirs.coef_.T, atol=1e-9)
    np.testing.assert_allclose(ours.bias_, theirs.intercept_, atol=1e-9)
    assert ours.rank_ == 40
    assert np.all(ours.gap_ < 1e-20)
    assert not ours.lam_.any()


@pytest.mark.parametrize(("m", "n", "rank"), [(300, 40, 39), (30, 80, 29)])
def test_least_squares_has_the_least_norm_where_they_do_not(m, n, rank) -> None:
    masks, y = world(m, n)
    ours = LeastSquares().fit(masks, y)
    centered = masks - masks.mean(axis=0)
    least, _, found, _ = np.linalg.lstsq(centered, y - y.mean(axis=0, dtype=float), rcond=1e-10)
    assert ours.rank_ == found == rank
    np.testing.assert_allclose(ours.weight_, least, atol=1e-8)
    np.testing.assert_allclose(ours.weight_.sum(axis=0), 0 if m > n else least.sum(axis=0), atol=1e-8)


def test_constant_units_and_targets() -> None:
    masks, y = world(120, 20)
    masks[:, 3], y[:, 2] = True, 4.0
    for estimator in (Ridge(lambdas=[0.01]), LeastSquares()):
        units = pytest.warns(FitWarning, match="1 of 20 units are in every mask or in none")
        with units, pytest.warns(FitWarning, match="for 1 of 4 targets all weights are 0: their outputs are the same"):
            estimator.fit(masks, y)
        assert estimator.constant_units_.tolist() == [3]
        assert not estimator.weight_[3].any()
        assert not estimator.weight_[:, 2].any()
        assert estimator.bias_[2] == pytest.approx(4.0)
        assert np.all(np.isfinite(estimator.weight_))


def test_a_best_lambda_at_an_end_is_said() -> None:
    masks, y = world(300, 10)
    with pytest.warns(FitWarning, match="for 4 of 4 targets the smallest lambda validates best"):
        Ridge(lambdas=[50.0, 20.0]).fit(masks, y)


def test_too_many_units_for_memory_are_refused_before_any_work() -> None:
    from subtrain.regression.estimators.kit.dense_problem import check_memory

    with pytest.raises(InputError, match=r"1000000 units need .* GiB for 5 dense matrices"):
        check_memory(10**6, 5)
