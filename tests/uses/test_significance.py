"""Intervals hold the truth, p-values of nothing are uniform, and what is found is mostly real: in planted worlds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sklearn.linear_model
from scipy.stats import kstest

import worlds
from subtrain import Datamodels, Lasso, LeastSquares, Ridge, fit
from subtrain.errors import InputError
from subtrain.regression.mask_covariance import design_covariance
from subtrain.studies.imports.arrays import import_arrays
from subtrain.uses.kit.debias import debias, least_squares
from subtrain.uses.kit.residuals import fitted_parts, residual_sums, sums_of_counts
from subtrain.uses.kit.standard_errors import standard_errors
from subtrain.uses.significance import Significance, significance
from uses.planted import lasso, sparse_world

pytestmark = pytest.mark.filterwarnings("ignore::subtrain.regression.fit_warnings.FitWarning")


def result(found, weight, **options):
    return Significance(
        np.arange(weight.shape[1]), found.weight, found.error, found.freedom, found.noise, weight, **options
    )


def debiased(design, masks, y):
    weight, bias, counts = lasso(masks, y)
    sums = sums_of_counts(weight, bias, counts)
    return result(debias(weight, sums, design_covariance(design), np.count_nonzero(weight, axis=0)), weight)


CASES = [
    {"m": 60},  # As many models as units.
    {"m": 300},
    {"m": 300, "alpha": 0.15},
    {"m": 300, "alpha": 0.8},
    {"m": 150, "kind": "bernoulli"},
    {"m": 300, "kind": "bernoulli", "alpha": (0.2, 0.4, 0.6, 0.8)},
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_intervals_hold_the_truth_and_few_of_those_found_are_false(case):
    design, masks, y, truth = sparse_world(**case, targets=60)
    found = debiased(design, masks, y)
    low, high = found.interval()
    held = (low <= truth) & (truth <= high)
    assert held.mean() == pytest.approx(0.95, abs=0.015)
    if case["m"] == 300:
        assert found.noise.mean() == pytest.approx(1, abs=0.1)
    assert held[truth != 0].mean() == pytest.approx(0.95, abs=0.04)
    assert kstest(found.p[truth == 0], "uniform").statistic < 0.05
    if case["m"] >= 150:
        assert found.found.sum() > 60
        assert (found.found & (truth == 0)).sum() / found.found.sum() < 0.1


def test_the_shrinkage_of_the_lasso_is_undone():
    design, masks, y, truth = sparse_world(m=150, targets=60)
    found = debiased(design, masks, y)
    large = np.abs(truth) > 0.5

    def slope(weight):
        return (weight[large] * truth[large]).sum() / (truth[large] ** 2).sum()

    assert slope(found.weight) < 0.9
    assert slope(found.estimate) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("kind", ["fixed", "bernoulli"])
def test_least_squares_is_the_textbooks(kind):
    """Against the normal equations written out; a median settled by 12 weights of masks of one size adds its error."""
    _, masks, y, truth = sparse_world(n=12, m=80, targets=5, kind=kind)
    _, _, counts = lasso(masks, y)
    found = least_squares(counts)
    x = masks.unpack().astype(float)
    free = sklearn.linear_model.LinearRegression().fit(x, y).coef_.T
    shift = np.median(free, axis=0) if kind == "fixed" else 0.0
    assert np.allclose(found.weight, free - shift)
    centred = x - x.mean(axis=0)
    inverse = np.linalg.pinv(centred.T @ centred, rcond=1e-10)
    left = y - y.mean(axis=0) - centred @ free
    freedom = 80 - 1 - (11 if kind == "fixed" else 12)
    over = found.error**2 / np.outer(np.diag(inverse), (left**2).sum(axis=0) / freedom)
    assert np.allclose(over, over[0])
    assert np.all((over[0] > 1.05) & (over[0] < 2)) if kind == "fixed" else np.allclose(over, 1)
    assert np.all(found.freedom == freedom)
    assert np.allclose(found.noise, np.sqrt((left**2).sum(axis=0) / freedom))
    low, high = result(found, truth).interval()
    assert ((low <= truth) & (truth <= high)).mean() > 0.85


def test_two_halves_differ_as_their_errors_say():
    """Halves of the models are independent: their unbiased weights differ as their errors say.

    No weight is zero here, so the few in the middle settle the constant, whose error is then a large one.
    """
    design, masks, y, _ = sparse_world(m=600, targets=60, share=1.0)
    first, second = (debiased(design, masks[part], y[part]) for part in (slice(0, 300), slice(300, 600)))
    z = (first.estimate - second.estimate) / np.hypot(first.error, second.error)
    assert 0.95 < z.std() < 1.03
    assert (np.abs(z) < 1.96).mean() == pytest.approx(0.953, abs=0.01)


def test_per_target_control_is_control_of_every_target():
    random = np.random.default_rng(0)
    weight = random.normal(size=(50, 3)) + np.array([8.0, 0.0, 0.0])
    weight[0, 1] = 2.5  # Not among the few of its own target, but among the many of all.
    found = Significance(np.arange(3), weight, np.ones((1, 3)), np.full(3, 1e6), np.ones(3), weight, per_target=True)
    assert found.found[:, 0].all()
    alone = replace(found, estimate=weight[:, 1:2], targets=np.arange(1), per_target=False, error=np.ones((1, 1)))
    assert np.allclose(found.q[:, 1], alone.q[:, 0])
    assert not found.found[0, 1]
    assert replace(found, per_target=False).found[0, 1]


def study_of_noise(make_study, **design):
    return make_study(task=worlds.linear(noise=0.5, size=64), models=200, heldout=3, segment=500, **design)


def test_counts_that_a_fit_kept_and_a_pass_over_the_models_give_the_same(make_study):
    study = study_of_noise(make_study)
    kept = fit(study)
    passed = fit(study, keep_counts=False)
    assert np.array_equal(kept.weight, passed.weight)
    x, y = study.masks(slice(0, 200)).unpack(), study.read("test_margins", slice(0, 200)).astype(float)
    left = y - kept.predict(x)
    for targets in (np.arange(3), np.array([2, 0])):
        sums = residual_sums(kept, *fitted_parts(kept, study), targets)
        assert sums.m == 200
        assert np.allclose(sums.cross, x.T @ left[:, targets], atol=1e-9)
        assert np.allclose(sums.rss, ((left - left.mean(axis=0)) ** 2).sum(axis=0)[targets])
    for folder in (study.path / "counts").iterdir():
        (folder / "counts.json").unlink()
    again = residual_sums(kept, *fitted_parts(kept, study), np.array([2, 0]))
    assert np.allclose(again.cross, sums.cross, atol=1e-9)
    assert np.allclose(again.square, sums.square)


def test_a_study_from_end_to_end(make_study):
    study = study_of_noise(make_study)
    dm = fit(study)
    truth, _ = worlds.weights(20, 3)
    found = significance(dm, study, fdr=0.01)
    real = truth != 0
    assert found.found[np.abs(truth) > 0.6].all()
    assert (found.found & ~real).sum() <= 2
    assert np.allclose(standard_errors(dm, study, [2]), found.error[0, 2])
    assert "\n" not in repr(found)
    assert "200 models of one run each" in repr(found)
    table = pd.DataFrame(found.table())
    assert len(table) == found.found.sum()
    assert table.q.is_monotonic_increasing
    row = table.iloc[0]
    assert row.estimate == found.estimate[int(row.unit), int(row.target)]
    assert set(found.to_json()) == set(table.columns)
    assert "200 models" in found.figure()._suptitle.get_text()
    exact = significance(dm, study, [1], method="exact")
    assert np.all(np.abs(exact.estimate - found.estimate[:, 1:2]) < 5 * exact.error)


@pytest.mark.parametrize("keep_counts", [True, False])
def test_another_estimator_gets_the_errors_of_a_lasso_on_its_models(make_study, keep_counts):
    study = study_of_noise(make_study)
    expected = significance(fit(study), study, [2, 0])
    ridge = fit(study, estimator=Ridge(), keep_counts=keep_counts)
    found = significance(ridge, study, [2, 0])
    assert np.allclose(found.estimate, expected.estimate, atol=1e-6)
    assert np.allclose(found.error, expected.error, rtol=1e-6)
    assert np.array_equal(found.weight, ridge.weight[:, [2, 0]])
    assert np.allclose(standard_errors(ridge, study, [2, 0]), expected.error[0], rtol=1e-6)
    own = significance(ridge, study, [2, 0], used=[19, 19])
    assert np.abs(own.estimate - expected.estimate).max() < 3 * expected.error.max()


def test_imported_masks_are_judged_by_their_sizes(make_study, tmp_path):
    _, masks, y, truth = sparse_world(n=20, targets=3, m=200, noise=0.3)
    study = import_arrays(tmp_path / "given", masks.unpack(), {"y": y}, heldout=0)
    found = significance(fit(study), study)
    low, high = found.interval()
    assert ((low <= truth) & (truth <= high)).mean() > 0.85


def test_what_cannot_be_answered_is_refused(make_study):
    study = study_of_noise(make_study)
    dm = fit(study)
    with pytest.raises(InputError, match="were not fitted on"):
        significance(replace(dm, meta={**dm.meta, "study_id": "other"}), study)
    with pytest.raises(InputError, match="were not fitted on"):
        significance(Datamodels(dm.weight, dm.bias, dm.lam), study)
    with pytest.raises(InputError, match="weights of AME have no standard errors"):
        significance(replace(dm, meta={**dm.meta, "estimator": "AME"}), study)
    with pytest.raises(InputError, match="numbered 0 to 2, got 7"):
        significance(dm, study, [7])
    with pytest.raises(InputError, match="no targets to test"):
        significance(dm, study, [])
    with pytest.raises(InputError, match="method must be"):
        significance(dm, study, method="magic")
    with pytest.raises(InputError, match="fdr must be"):
        significance(dm, study, fdr=5)
    few = make_study(name="few", models=12, segment=50)
    with pytest.raises(InputError, match="at least 23 models, and there are 12"):
        significance(fit(few, estimator=LeastSquares()), few, method="exact")


def test_a_support_that_leaves_nothing_free_finds_nothing(make_study):
    study = make_study(task=worlds.linear(noise=0.5), models=12, segment=50)
    dm = fit(study, estimator=Lasso(lambdas=[1e-4], validation=None))
    found = significance(dm, study, used=[11, 12, 3])
    assert np.isinf(found.error[0, :2]).all()
    assert np.isfinite(found.error[0, 2])
    assert np.all(found.p[:, :2] == 1)
