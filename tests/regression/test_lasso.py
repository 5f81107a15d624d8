"""`Lasso` end to end: known datamodels come back, and what it could not do it says."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from subtrain.errors import InputError
from subtrain.masks import pack
from subtrain.regression import FitWarning, Lasso, LassoOptions, count, lasso_from_counts
from subtrain.regression.estimators.kit.sample_split import given_rows, validation_rows


def planted(m: int, n: int, targets: int, support: int, noise: float, seed: int = 0):
    """Masks of half the units, outputs of `support` units a target with weights of at least 0.5, and noise."""
    random = np.random.default_rng(seed)
    masks = random.random((m, n)).argsort(axis=1) < n // 2
    weight = np.zeros((n, targets))
    for t in range(targets):
        units = random.choice(n, support, replace=False)
        weight[units, t] = random.choice([-1, 1], support) * random.uniform(0.5, 1.5, support)
    bias = random.normal(size=targets)
    y = masks @ weight + bias + noise * random.normal(size=(m, targets))
    return masks, y.astype(np.float16), weight, bias


def test_planted_datamodels_come_back() -> None:
    masks, y, weight, bias = planted(m=4000, n=120, targets=12, support=6, noise=0.5)
    model = Lasso().fit(masks, y)
    assert model.weight_.shape == (120, 12)
    assert model.bias_.shape == model.lam_.shape == model.gap_.shape == (12,)
    assert model.lambdas_.shape == model.validation_mse_.shape == (100, 12)
    assert np.all(model.gap_ <= 1e-4)
    true = weight != 0
    # Sign: positive means that including the unit raises the output.
    np.testing.assert_array_equal(np.sign(model.weight_[true]), np.sign(weight[true]))
    np.testing.assert_allclose(model.weight_, weight, atol=0.1)
    assert np.abs(model.weight_[~true]).max() < 0.3 * np.abs(model.weight_[true]).min()
    np.testing.assert_allclose(model.bias_, bias, atol=0.5)
    fresh = np.random.default_rng(9).random((500, 120)) < 0.5
    assert model.score(fresh, fresh @ weight + bias) > 0.98


def test_including_a_helpful_unit_raises_the_output() -> None:
    random = np.random.default_rng(1)
    masks = random.random((500, 10)) < 0.5
    model = Lasso().fit(masks, np.where(masks[:, 3], 2.0, -1.0) - 0.5 * masks[:, 7] + 0.1 * random.normal(size=500))
    assert model.weight_[3, 0] == pytest.approx(3.0, abs=0.05)
    assert model.weight_[7, 0] == pytest.approx(-0.5, abs=0.05)
    assert model.bias_[0] == pytest.approx(-1.0, abs=0.05)
    assert model.predict(masks).shape == (500,)


def test_masks_of_every_kind_give_the_same() -> None:
    masks, y, *_ = planted(m=300, n=60, targets=2, support=3, noise=1.0)
    want = Lasso().fit(masks, y)
    for form in (pack(masks), masks.astype(np.int8), masks.astype(float), masks.tolist(), np.asfortranarray(masks)):
        got = clone(want).fit(form, y)
        np.testing.assert_array_equal(got.weight_, want.weight_)
        np.testing.assert_array_equal(got.predict(form), want.predict(masks))


def test_the_raw_objective_has_its_own_lambda() -> None:
    masks, y, weight, _ = planted(m=3000, n=60, targets=3, support=5, noise=0.5)
    model = Lasso(objective="raw").fit(masks, y)
    np.testing.assert_allclose(model.weight_, weight, atol=0.1)
    standard = Lasso().fit(masks, y)
    # At alpha = 1/2 the standard deviation of a mask is 1/2, and so is the ratio of the largest lambdas.
    np.testing.assert_allclose(model.lambdas_[0] / standard.lambdas_[0], 0.5, atol=0.01)


def test_the_refit_uses_all_models_at_the_chosen_lambda() -> None:
    masks, y, *_ = planted(m=600, n=40, targets=3, support=4, noise=1.0)
    model = Lasso(seed=5, tol=1e-10).fit(masks, y)
    rows = validation_rows(600, 0.1, 5)
    assert rows.sum() == 60
    best = np.nanargmin(model.validation_mse_, axis=0)
    np.testing.assert_array_equal(model.lam_, model.lambdas_[best, np.arange(3)])
    alone = [Lasso(lambdas=[lam], tol=1e-10).fit(masks, y[:, t]).weight_[:, 0] for t, lam in enumerate(model.lam_)]
    np.testing.assert_allclose(model.weight_, np.stack(alone, axis=1), atol=1e-7)
    part = Lasso(seed=5, tol=1e-10, refit=False).fit(masks, y)
    np.testing.assert_allclose(
        part.validation_mse_[best, np.arange(3)],
        ((y[rows].astype(float) - part.predict(masks[rows])) ** 2).mean(axis=0),
        rtol=1e-5,
    )
    assert not np.array_equal(part.weight_, model.weight_)


def test_a_split_of_ones_own() -> None:
    masks, y, *_ = planted(m=400, n=30, targets=2, support=4, noise=1.0)
    rows = np.arange(400) % 4 == 1
    one = Lasso().fit(masks, y, sample_split=rows)
    two = Lasso().fit(masks[~rows], y[~rows], validation=(masks[rows], y[rows]))
    three = Lasso().fit(masks, y, sample_split=np.flatnonzero(rows))
    np.testing.assert_array_equal(one.weight_, two.weight_)
    np.testing.assert_array_equal(one.weight_, three.weight_)
    fit = lasso_from_counts(count(masks[~rows], y[~rows]), count(masks[rows], y[rows]), count(masks, y), LassoOptions())
    np.testing.assert_array_equal(one.weight_, fit.weight)


def test_the_split_depends_on_its_seed_alone() -> None:
    """These rows never change, on any numpy: a fit made today is made again in ten years."""
    assert np.flatnonzero(validation_rows(20, 0.2, 0)).tolist() == [0, 2, 11, 17]
    assert not np.array_equal(validation_rows(100, 0.1, 0), validation_rows(100, 0.1, 1))
    assert validation_rows(3, 0.9, 0).sum() == 1


def test_constant_units_are_counted_and_weigh_nothing() -> None:
    masks, y, *_ = planted(m=300, n=30, targets=2, support=3, noise=0.5)
    masks[:, 4], masks[:, 9] = True, False
    with pytest.warns(FitWarning, match="2 of 30 units are in every mask or in none"):
        model = Lasso().fit(masks, y)
    assert not model.weight_[[4, 9]].any()
    assert model.constant_units_.tolist() == [4, 9]


def test_a_constant_target_is_its_bias() -> None:
    masks, y, *_ = planted(m=300, n=30, targets=3, support=3, noise=0.5)
    y[:, 1] = 2.5
    with pytest.warns(FitWarning, match="1 of 3 targets all weights are 0: their outputs are the same in all fitting"):
        model = Lasso().fit(masks, y)
    assert not model.weight_[:, 1].any()
    assert model.bias_[1] == pytest.approx(2.5)
    assert model.gap_[1] == 0
    assert model.weight_[:, 0].any()


def test_a_target_constant_among_the_fitting_models_only() -> None:
    masks, y, *_ = planted(m=300, n=60, targets=2, support=3, noise=1.0)
    rows = validation_rows(300, 0.1, 0)
    y[~rows, 1] = 1.0
    with pytest.warns(FitWarning, match="1 of 2 targets all weights are 0: their outputs are the same in all fitting"):
        model = Lasso().fit(masks, y)
    assert not model.weight_[:, 1].any()
    assert model.gap_[1] <= 1e-4
    assert model.bias_[1] == pytest.approx(y[:, 1].astype(float).mean())


def test_a_best_lambda_at_an_end_is_said() -> None:
    masks, y, *_ = planted(m=400, n=30, targets=2, support=3, noise=0.0)
    with pytest.warns(FitWarning, match="for 2 of 2 targets the smallest lambda validates best"):
        Lasso(eps=0.5, lambdas=5).fit(masks, y)
    with pytest.warns(FitWarning, match="for 1 of 1 targets all weights are 0: every lambda given leaves them so"):
        Lasso(lambdas=[4.0, 5.0]).fit(masks, y[:, 0])


def test_a_target_that_misses_the_tolerance_is_said() -> None:
    masks, y, *_ = planted(m=60, n=90, targets=3, support=20, noise=0.0)
    y[:, 1] = 0
    missed = pytest.warns(FitWarning, match=r"for 2 of 3 targets the relative duality gap stays above tol = 1e-09")
    with (
        missed,
        pytest.warns(FitWarning, match="1 of 3 targets all weights are 0: their outputs are the same in all fitting"),
    ):
        Lasso(lambdas=[0.01], tol=1e-9, max_iter=2).fit(masks, y)


def test_a_good_fit_warns_of_nothing() -> None:
    masks, y, *_ = planted(m=1000, n=30, targets=2, support=3, noise=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Lasso().fit(masks, y)


@pytest.mark.filterwarnings("ignore::subtrain.regression.FitWarning")
def test_progress_goes_through_the_stages() -> None:
    masks, y, *_ = planted(m=1000, n=60, targets=9, support=3, noise=1.0)
    seen: list[tuple[str, int, int]] = []
    Lasso().fit(masks, y, progress=lambda *at: seen.append(at))
    assert [stage for stage, done, total in seen if done == total] == ["counts", "path", "join counts", "refit"]
    assert [done for stage, done, _ in seen if stage == "path"] == sorted(
        done for stage, done, _ in seen if stage == "path"
    )


def test_bad_input_is_refused() -> None:
    masks, y, *_ = planted(m=50, n=10, targets=2, support=3, noise=0.5)
    bad = y.copy()
    bad[7, 1] = np.nan
    for wrong, match in (
        (lambda: Lasso().fit(masks, bad), "target 1 is nan in the model at position 7"),
        (lambda: Lasso().fit(masks, y[:49]), "50 masks but outputs of 49 models"),
        (lambda: Lasso().fit(masks, y[:, :0]), "no targets"),
        (lambda: Lasso().fit(masks * 2, y), "0 and 1"),
        (lambda: Lasso(validation=None).fit(masks, y), "needs validation models"),
        (lambda: Lasso(validation=1.5).fit(masks, y), "share of the models"),
        (lambda: Lasso(lambdas=[1.0, 0.5], validation=0).fit(masks, y), "needs validation models"),
        (lambda: Lasso(objective="paper").fit(masks, y), "objective"),
        (lambda: Lasso().fit(masks[:2], y[:2]), "at least 3 models"),
        (lambda: Lasso().fit(masks, y, sample_split=np.ones(50, bool)), "both parts need models"),
        (lambda: Lasso().fit(masks, y, validation=(masks[:, :9], y)), "features"),
        (lambda: Lasso(threads=0).fit(masks, y), "threads"),
    ):
        with pytest.raises(InputError if match != "features" else ValueError, match=match):
            wrong()
    with pytest.raises(InputError, match="bool"):
        given_rows(np.array([0.5]), 4)
    with pytest.raises(NotFittedError):
        Lasso().predict(masks)
    with pytest.raises(InputError, match="over 9 units, the datamodels over 10"):
        Lasso().fit(pack(masks), y).predict(pack(masks[:, :9]))
