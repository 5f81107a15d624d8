"""The lambda path of one target, with the validation error of each lambda on the way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from subtrain.regression.descent import Moments, quadratic, slopes
from subtrain.regression.kernel import kernel
from subtrain.regression.working import Rules, Working, filled, shrink, solve

Floats = NDArray[np.float64]


class Targets(NamedTuple):
    """Problems of T targets. rho, rho_valid, start: float64 [T, n], start holds coefficients; variance, spread: [T],
    the outputs' mean square about the fitting models' mean, in fitting and in validation models; lambdas: [T, k]."""

    rho: Floats
    variance: Floats
    rho_valid: Floats
    spread: Floats
    lambdas: Floats
    start: Floats


class Found(NamedTuple):
    """Filled in. coef: float64 [T, n] at the chosen lambda; best: int64 [T], its place, the last one if nothing
    validates; gap: [T, k], relative; error: [T, k], validation mean square; passes: int64 [T, k]; every: float64
    [T, k, n], coefficients at every lambda, or [0, 0, 0]. What an early stop leaves out stays as it was."""

    coef: Floats
    best: NDArray[np.int64]
    gap: Floats
    error: Floats
    passes: NDArray[np.int64]
    every: Floats


@kernel
def solve_target(
    train: Moments,
    valid: Moments,
    penalty: Floats,
    targets: Targets,
    rules: Rules,
    t: int,
    found: Found,
) -> None:
    """Fill `found` for target t; penalty: float64 [n], 0 for a unit that is left out."""
    n = penalty.size
    work = Working(np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n), np.empty(n), np.empty(n))
    block = np.empty((0, 0), np.float32)
    check = np.empty((0, 0), np.float32)
    rho, variance, lambdas = targets.rho[t], targets.variance[t], targets.lambdas[t]
    size = enter(targets.start[t], penalty, work)
    block = filled(train, work.members, 0, size, block)
    slopes(train, rho, work.members[:size], work.coef[:size], work.product, work.slope)
    checked = 0
    lowest = np.inf
    for step in range(lambdas.size):
        lam = lambdas[step]
        # Strong rule: a slope changes by at most as much as lambda does, as a rule; `solve` verifies it.
        cut = max(2.0 * lam - lambdas[max(step - 1, 0)], 0.5 * lam)
        size = shrink(work, size, penalty, cut, block, check)
        checked = min(checked, size)
        size, block, gap, passes = solve(train, rho, variance, penalty, lam, cut, rules, work, size, block)
        found.gap[t, step] = 2.0 * gap / variance
        found.passes[t, step] = passes
        coef = work.coef[:size]
        inside = work.members[:size]
        if rules.keep:
            for i in range(size):
                found.every[t, step, inside[i]] = coef[i]
        error = 0.0
        if valid.models > 0:
            check = filled(valid, work.members, checked, size, check)
            checked = size
            error = targets.spread[t] + quadratic(check, coef)
            for i in range(size):
                error -= 2.0 * targets.rho_valid[t, inside[i]] * coef[i]
            found.error[t, step] = error
        if error < lowest or valid.models == 0:
            lowest = error
            found.best[t] = step
            for j in range(penalty.size):
                found.coef[t, j] = 0.0
            for i in range(size):
                found.coef[t, inside[i]] = coef[i]
        elif rules.patience >= 0 and step - found.best[t] >= rules.patience:
            break


@kernel
def enter(start: Floats, penalty: Floats, work: Working) -> int:
    """Make the working set the support of `start`; its size."""
    size = 0
    for j in range(penalty.size):
        work.place[j] = -1
        if start[j] != 0.0 and penalty[j] > 0.0:
            work.members[size] = j
            work.place[j] = size
            work.coef[size] = start[j]
            size += 1
    return size
