"""When paths may end: never where that loses anything against the whole path, and early where it does not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from subtrain import AME, ElasticNet, Lasso, LassoLarge
from subtrain.errors import InputError
from subtrain.regression import FitWarning
from subtrain.regression.lasso.path_stopping import FLOOR, NEVER, ended, floors, stopping
from subtrain.regression.lasso.saved_blocks import KeptBlocks

pytestmark = pytest.mark.filterwarnings("ignore::subtrain.regression.FitWarning")


def world(n: int, m: int, noise: float, targets: int = 12, seed: int = 0, dense: bool = True):
    """Masks of half the units, outputs, and a score: mean correlation with the truth on other masks."""
    random = np.random.default_rng(seed)
    masks, new = (random.random((k, n)).argsort(axis=1) < n // 2 for k in (m, 300))
    weight = random.normal(size=(n, targets)) * (dense or random.random((n, targets)) < 0.4)
    clean, truth = masks @ weight, new @ weight

    def score(found) -> float:
        each = [(new @ found[:, t], truth[:, t]) for t in range(targets)]
        return float(np.mean([np.corrcoef(*pair)[0, 1] if pair[0].std() else 0.0 for pair in each]))

    return masks, clean + noise * clean.std(axis=0) * random.normal(size=clean.shape), score


@pytest.mark.parametrize(
    ("n", "m", "noise"), [(60, 70, 1e-3), (60, 100, 0.1), (50, 300, 0.0), (100, 200, 0.1), (40, 45, 1.0), (80, 60, 0.3)]
)
def test_the_default_loses_nothing_against_the_whole_path(n: int, m: int, noise: float) -> None:
    masks, y, score = world(n, m, noise)
    default, whole = (Lasso(early_stop=stop, threads=1).fit(masks, y).weight_ for stop in (5, None))
    assert score(default) > score(whole) - 1e-3


def test_few_models_were_the_fault() -> None:
    """300 linear models of 50 units without noise: 0.998 is what the whole path reaches."""
    masks, y, score = world(50, 260, 0.0)
    for estimator in (Lasso(), ElasticNet(l1_ratio=0.9), Lasso(validation=5), LassoLarge()):
        assert score(estimator.fit(masks, y).weight_) > 0.98, estimator


def test_average_marginal_effects_follow_the_same_rule() -> None:
    random = np.random.default_rng(0)
    alpha = random.choice([0.3, 0.5, 0.7], 240)
    masks = random.random((240, 40)) < alpha[:, None]
    weight = random.normal(size=(40, 4))
    found = AME().fit(masks, masks @ weight, alpha).weight_
    assert np.corrcoef(found.ravel(), weight.ravel())[0, 1] > 0.99


def test_many_judges_and_models_end_a_path() -> None:
    masks, y, _score = world(40, 1500, 1.0, dense=False)
    default, whole = (Lasso(early_stop=stop, threads=1).fit(masks, y) for stop in (5, None))
    solved = (~np.isnan(default.validation_mse_)).sum(axis=0)
    best = np.nanargmin(default.validation_mse_, axis=0)
    first = np.argmax(default.lambdas_ <= FLOOR * default.lambdas_[0], axis=0)
    np.testing.assert_array_equal(solved, np.minimum(np.maximum(best, first) + 6, 100))
    assert solved.mean() < 70
    np.testing.assert_array_equal(default.weight_, whole.weight_)


def test_a_hopeless_error_ends_a_path_that_would_cost_most() -> None:
    """As many models as units and noise: far down the path the error is several times the least."""
    masks, y, _ = world(220, 220, 1.0, targets=3)
    default, whole = (Lasso(early_stop=stop, threads=1).fit(masks, y) for stop in (5, None))
    assert np.isnan(default.validation_mse_[-1]).all()
    assert np.all(whole.validation_mse_[-1] > 1.5 * whole.validation_mse_.min(axis=0))
    np.testing.assert_array_equal(default.weight_, whole.weight_)


def test_the_rule() -> None:
    assert stopping(None, 5000, 100, 500) == NEVER == stopping(5, 5000, 100, 0)
    sizes = (300, 50, 19), (299, 100, 400), (300, 100, 100), (900, 1000, 300)
    few, short, enough, many = (stopping(5, *some) for some in sizes)
    assert [s.believed for s in (few, short, enough, many)] == [False, False, True, True]
    assert [s.hopeless for s in (few, short, enough, many)] == [False, True, True, True]
    assert [bool(ended(enough, since, 1.0, 1.0)) for since in (4, 5)] == [False, True]
    assert [bool(ended(short, *at)) for at in ((50, 1.4, 1.0), (9, 1.6, 1.0), (10, 1.6, 1.0))] == [False, False, True]
    assert not ended(few, 90, 9.0, 1.0)
    assert not ended(NEVER, 90, 9.0, 1.0)
    several = ended(enough, np.array([4, 5]), np.ones(2), np.ones(2))
    assert several.tolist() == [False, True]
    grid = np.array([[1.0, 0.5, 0.1, 0.05], [0.9, 0.8, 0.7, 0.6]])
    assert floors(grid, np.ones(2)).tolist() == [2, 4]
    with pytest.raises(InputError, match="early_stop must be at least 1 lambda, or None, got 0"):
        stopping(0, 10, 10, 10)


def test_paths_kept_under_another_rule_are_not_taken(tmp_path, monkeypatch) -> None:
    from subtrain.regression import LassoOptions
    from subtrain.regression.lasso import saved_blocks

    now = KeptBlocks(tmp_path, LassoOptions(), None).common
    monkeypatch.setattr(saved_blocks, "RULE", "another")
    assert KeptBlocks(tmp_path, LassoOptions(), None).common != now


def test_warnings_are_of_this_package() -> None:
    masks, y, _ = world(20, 60, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", FitWarning)
        Lasso().fit(masks, y)
