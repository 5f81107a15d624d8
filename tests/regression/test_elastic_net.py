"""Elastic nets against scikit-learn, and their certificate against the objective itself."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import linear_model

from subtrain.errors import InputError
from subtrain.regression import FitWarning, Lasso
from subtrain.regression.estimators.elastic_net import ElasticNet
from subtrain.regression.estimators.kit.sample_split import validation_rows


def world(m: int = 250, n: int = 60, targets: int = 3, seed: int = 0):
    random = np.random.default_rng(seed)
    masks = random.random((m, n)).argsort(axis=1) < n // 2
    weight = random.normal(size=(n, targets)) * (random.random((n, targets)) < 0.3)
    return masks, masks @ weight + 1.0 + random.normal(size=(m, targets))


def reference(x, y, lam, ratio, positive=False):
    model = linear_model.ElasticNet(alpha=lam, l1_ratio=ratio, positive=positive, tol=1e-12, max_iter=200_000)
    return model.fit(x.astype(float), y)


@pytest.mark.parametrize("ratio", [0.1, 0.7])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("m", [250, 40])
def test_it_is_scikit_learns(ratio, positive, m) -> None:
    masks, y = world(m)
    lam = 0.03
    ours = ElasticNet(lambdas=[lam], l1_ratio=ratio, positive=positive, objective="raw", tol=1e-13).fit(masks, y)
    theirs = reference(masks, y, lam, ratio, positive)
    np.testing.assert_allclose(ours.weight_, theirs.coef_.T, atol=2e-5)
    np.testing.assert_allclose(ours.bias_, theirs.intercept_, atol=2e-4)
    assert not positive or ours.weight_.min() == 0.0
    assert 0 < np.count_nonzero(ours.weight_) < ours.weight_.size


def test_the_gap_bounds_the_distance_to_the_minimum() -> None:
    masks, y = world()
    lam, ratio = 0.02, 0.5

    def objective(weight, bias):
        penalty = ratio * np.abs(weight).sum(axis=0) + (1 - ratio) / 2 * (weight**2).sum(axis=0)
        return ((y - masks @ weight - bias) ** 2).mean(axis=0) / 2 + lam * penalty

    best = reference(masks, y, lam, ratio)
    least = objective(best.coef_.T, best.intercept_)
    seen = []
    for sweeps in (1, 2, 4, 8):
        with pytest.warns(FitWarning, match="duality gap stays above tol"):
            ours = ElasticNet(lambdas=[lam], l1_ratio=ratio, objective="raw", tol=1e-15, max_iter=sweeps).fit(masks, y)
        above = objective(ours.weight_, ours.bias_) - least
        bound = ours.gap_ * y.var(axis=0) / 2
        assert np.all(above <= bound + 1e-10)
        assert np.all(bound < 1e4 * above + 1e-10)
        seen.append(ours.gap_.max())
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] < 0.1 * seen[0]


def test_with_l1_alone_it_is_the_lasso() -> None:
    masks, y = world()
    net = ElasticNet(l1_ratio=1.0, tol=1e-9, lambdas=30).fit(masks, y)
    lasso = Lasso(tol=1e-9, lambdas=30).fit(masks, y)
    np.testing.assert_allclose(net.lam_, lasso.lam_, rtol=1e-9)
    np.testing.assert_allclose(net.weight_, lasso.weight_, atol=1e-4)
    some = ~np.isnan(net.validation_mse_) & ~np.isnan(lasso.validation_mse_)
    assert some.sum() > 30
    np.testing.assert_allclose(net.validation_mse_[some], lasso.validation_mse_[some], rtol=1e-4)


def test_the_path_chooses_by_validation_and_stops_after_it() -> None:
    masks, y = world(1100, 40)
    ours = ElasticNet(seed=3, tol=1e-9, early_stop=3).fit(masks, y)
    rows = validation_rows(1100, 0.1, 3)
    scaled = masks / masks[~rows].std(axis=0)
    best = np.nanargmin(ours.validation_mse_, axis=0)
    assert np.all((best > 0) & (best < 99))
    for t in range(3):
        last = np.flatnonzero(~np.isnan(ours.validation_mse_[:, t]))[-1]
        since = max(best[t], np.argmax(ours.lambdas_[:, t] <= 0.1 * ours.lambdas_[0, t]))
        assert since + 3 <= last < since + 3 + 5
        lam = ours.lambdas_[best[t], t]
        model = reference(scaled[~rows], y[~rows, t], lam, 0.5)
        error = ((y[rows, t] - model.predict(scaled[rows])) ** 2).mean()
        assert ours.validation_mse_[best[t], t] == pytest.approx(error, rel=1e-4)
    # The path starts where the first weight leaves zero.
    top = reference(scaled[~rows], y[~rows, 0], ours.lambdas_[0, 0] * 0.99, 0.5)
    assert np.count_nonzero(top.coef_) == 1


def test_a_constant_target_and_unit() -> None:
    masks, y = world(200, 20)
    masks[:, 5], y[:, 1] = False, 3.0
    with (
        pytest.warns(FitWarning, match="1 of 20 units"),
        pytest.warns(FitWarning, match="1 of 3 targets all weights are 0: their outputs are the same in all fitting"),
    ):
        ours = ElasticNet().fit(masks, y)
    assert not ours.weight_[5].any()
    assert not ours.weight_[:, 1].any()
    assert ours.bias_[1] == pytest.approx(3.0)
    assert np.all(ours.gap_ <= 1e-4)
    assert ours.weight_[:, 0].any()


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"l1_ratio": 0.0}, "l1_ratio"),
        ({"tol": 0.0}, "tol"),
        ({"early_stop": 0}, "early_stop"),
        ({"lambdas": [0.1, -1.0]}, "positive"),
        ({"lambdas": 1}, "at least 2"),
        ({"validation": None}, "needs validation"),
    ],
)
def test_bad_parameters_are_refused(params, match) -> None:
    masks, y = world(40, 10)
    with pytest.raises(InputError, match=match):
        ElasticNet(**params).fit(masks, y)
