"""`MeanDifference`: what outputs are on average with a unit and without it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.threads import Progress
from subtrain.regression.estimators.kit.estimator import Fitted, Linear
from subtrain.regression.lasso.problem import problem

Floats = NDArray[np.float64]


class MeanDifference(Linear):
    """weight_[j, t] = mean(Y_t | unit j in) - mean(Y_t | unit j out), over all models.

    With Y the correctness this is the empirical influence of Feldman & Zhang (2020, section 2) estimated from subsets,
    and memorisation where target and unit are the same example; with Bernoulli(1/2) masks it is the data Banzhaf
    value's maximum-sample-reuse estimate (Wang & Jia 2023, section 4). It is the slope of the regression on one unit
    alone, so weights of units that come together count the same effect twice: under a design of several alphas those
    of all units, because each stands for the size of the subset as well (`AME` does not confuse the two); where models
    failed for what their subsets lack, those of the units whose presence goes together (use `Lasso` or `Ridge` then:
    they see all units at once).

    bias_ = mean(Y) - weight . mean(mask): predictions have the outputs' mean over the models. A unit in every mask or
    in none has no such difference: its weight is 0 and a FitWarning counts them. lam_ and gap_ are 0: nothing is
    optimised; residual_ is NaN.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads

    def _estimate(self, train: Counts, valid: Counts | None, total: Counts | None, progress: Progress | None) -> Fitted:
        counts = train if valid is None else total or train + valid
        problem(counts, "raw")  # For its checks of what can be fitted.
        weight = mean_difference(counts)
        zero, none = np.zeros(counts.targets), np.zeros((0, counts.targets))
        bias = (counts.y_sum - counts.ones @ weight) / counts.m
        return Fitted(weight, bias, zero, zero.copy(), np.full(counts.targets, np.nan), none, none)


def mean_difference(counts: Counts) -> Floats:
    """float64 [n, T], mean output with the unit minus mean output without; 0 for units always or never included."""
    inside = counts.ones[:, None].astype(np.float64)
    outside = counts.m - inside
    both = (inside > 0) & (outside > 0)
    with_unit = np.divide(counts.xty, inside, out=np.zeros_like(counts.xty), where=both)
    without = np.divide(counts.y_sum - counts.xty, outside, out=np.zeros_like(counts.xty), where=both)
    return with_unit - without
