"""Coordinate descent for one target's elastic-net path, on a dense matrix of covariances.

At one lambda: minimize v/2 - rho^T w + w^T C w / 2 + lam (ratio |w|_1 + (1 - ratio) |w|^2 / 2). That is a LASSO with
lam (1 - ratio) added to the diagonal of C, whose duality gap certifies it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from subtrain.regression.lasso.coordinate_descent import duality_gap
from subtrain.system.kernel import kernel
from subtrain.system.types import Floats


class ElasticProblem(NamedTuple):
    """covariance: [n, n]; rho: [T, n]; variance: [T]; lambdas: [T, k], decreasing; ratio: the l1 share; tol: relative
    gap; sweeps: at most for one lambda; positive: no negative coefficients."""

    covariance: Floats
    rho: Floats
    variance: Floats
    lambdas: Floats
    ratio: float
    tol: float
    sweeps: int
    positive: bool


@kernel
def net_target(
    net: ElasticProblem, t: int, first: int, coef: Floats, every: Floats, gaps: Floats, taken: NDArray[np.int64]
) -> None:
    """Solve lambdas first <= k < first + len(every) of target t from `coef` [n], which is left at the last of them.

    every: [count, n], gaps and taken: [count] are filled with coefficients, relative gaps and sweeps.
    """
    n = coef.size
    slope = np.empty(n)
    active = np.empty(n, np.int64)
    for k in range(gaps.size):
        l1 = net.lambdas[t, first + k] * net.ratio
        l2 = net.lambdas[t, first + k] * (1.0 - net.ratio)
        taken[k] = 0
        while True:
            net_slope(net, t, l2, coef, slope)
            gaps[k] = 2.0 * net_gap(net, t, l1, coef, slope) / net.variance[t]
            # At least one sweep: within tolerance the path would else stand still between lambdas.
            if (taken[k] and gaps[k] <= net.tol) or taken[k] >= net.sweeps:
                break
            size = 0
            for j in range(n):
                pull = slope[j] if net.positive else abs(slope[j])
                if coef[j] != 0.0 or (pull > l1 and net.covariance[j, j] > 0.0):
                    active[size] = j
                    size += 1
            taken[k] += net_sweeps(net, l1, l2, coef, slope, active[:size], net.sweeps - taken[k])
        for j in range(n):
            every[k, j] = coef[j]


@kernel
def net_slope(net: ElasticProblem, t: int, l2: float, coef: Floats, slope: Floats) -> None:
    """slope = rho - (C + l2) w, over all units."""
    for j in range(coef.size):
        slope[j] = net.rho[t, j] - l2 * coef[j]
    for i in range(coef.size):
        if coef[i] != 0.0:
            for j in range(coef.size):
                slope[j] -= net.covariance[i, j] * coef[i]


@kernel
def net_sweeps(
    net: ElasticProblem, l1: float, l2: float, coef: Floats, slope: Floats, active: NDArray[np.int64], most: int
) -> int:
    """Sweep the active units until a sweep lowers the objective by a thousandth of the first's; the sweeps taken."""
    lowest = 0.0
    for sweep in range(most):
        gained = 0.0
        for i in active:
            curvature = net.covariance[i, i] + l2
            pull = slope[i] + curvature * coef[i]
            after = 0.0
            if pull > l1:
                after = (pull - l1) / curvature
            elif pull < -l1 and not net.positive:
                after = (pull + l1) / curvature
            step = after - coef[i]
            if step != 0.0:
                coef[i] = after
                gained += curvature * step * step
                for j in active:
                    slope[j] -= step * net.covariance[i, j]
                slope[i] -= step * l2
        lowest = max(lowest, gained)
        if gained <= 1e-3 * lowest:
            return sweep + 1
    return most


@kernel
def net_gap(net: ElasticProblem, t: int, l1: float, coef: Floats, slope: Floats) -> float:
    """Primal minus the dual value of the best feasible multiple of the residual (of the LASSO with l2 in C)."""
    fitted = residual = net.variance[t]
    norm = 0.0
    excess = 1.0
    for j in range(coef.size):
        fitted -= net.rho[t, j] * coef[j]
        residual -= (net.rho[t, j] + slope[j]) * coef[j]
        norm += abs(coef[j])
        excess = max(excess, (slope[j] if net.positive else abs(slope[j])) / l1)
    return duality_gap(fitted, residual, l1 * norm, excess)
