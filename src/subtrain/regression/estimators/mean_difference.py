"""`MeanDifference`: what outputs are on average with a unit and without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.threads import Progress
from subtrain.regression.estimators.kit.contract import StandardErrors
from subtrain.regression.estimators.kit.linear_estimator import Fitted, LinearEstimator, all_counts
from subtrain.regression.lasso.problem import problem
from subtrain.regression.study_models import Models, biased
from subtrain.system.types import Floats


@dataclass(eq=False, repr=False)
class MeanDifference(LinearEstimator):
    """weight_[j, t] = mean(Y_t | unit j in) - mean(Y_t | unit j out), over all models.

    With Y the correctness this is the empirical influence of Feldman & Zhang (2020, section 2) estimated from subsets,
    and memorization where target and unit are the same example; with Bernoulli(1/2) masks it is the data Banzhaf
    value's maximum-sample-reuse estimate (Wang & Jia 2023, section 4). It is the slope of the regression on one unit
    alone, so weights of units that come together count the same effect twice: under a design of several alphas those
    of all units, because each stands for the size of the subset as well (`AME` does not confuse the two); where models
    failed for what their subsets lack, those of the units whose presence goes together (use `Lasso` or `Ridge` then:
    they see all units at once).

    Args:
        threads: Default None, all cores.

    Fitted: weight_ float64 [n, T]; bias_ [T] = mean(Y) - weight . mean(mask), so predictions have the outputs' mean
    over the models. A unit in every mask or in none has no such difference: its weight is 0 and a FitWarning counts
    them. lam_ and gap_ are 0, because nothing is optimized; residual_ is NaN.

    Raises:
        InputError: by `fit`, for masks that are not 0/1, outputs that are not finite, and fewer than 2 models.

    Example:
        >>> MeanDifference().fit([[0, 1], [1, 0], [1, 1], [0, 0]], [1.0, 5.0, 5.0, 1.0]).weight_[:, 0]
        array([4., 0.])
    """

    name: ClassVar[str] = "mean-difference"
    standard_errors: ClassVar[StandardErrors] = "lasso"
    gap_name: ClassVar[str] = ""  # nothing is optimized

    threads: int | None = None

    def look_at(self, models: Models) -> tuple[str, ...]:
        """Differences of means are biased where models are missing for what is in their subsets."""
        return biased(models)

    def estimate(self, train: Counts, validation: Counts | None, total: Any, progress: Progress | None) -> Fitted:
        counts = all_counts(train, validation, total)
        problem(counts, "raw")  # For its checks of what can be fitted.
        weight = mean_difference(counts)
        zero, none = np.zeros(counts.targets), np.zeros((0, counts.targets))
        bias = (counts.y_sum - counts.ones @ weight) / counts.m
        unknown = np.full(counts.targets, np.nan)
        return Fitted(weight, bias, zero, zero.copy(), counts.constant_units, none, none, residual=unknown)


def mean_difference(counts: Counts) -> Floats:
    """float64 [n, T], mean output with the unit minus mean output without; 0 for units always or never included."""
    inside = counts.ones[:, None].astype(np.float64)
    outside = counts.m - inside
    both = (inside > 0) & (outside > 0)
    with_unit = np.divide(counts.xty, inside, out=np.zeros_like(counts.xty), where=both)
    without = np.divide(counts.y_sum - counts.xty, outside, out=np.zeros_like(counts.xty), where=both)
    return with_unit - without
