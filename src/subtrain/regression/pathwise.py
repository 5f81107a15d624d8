"""The lambda path of one target, with the validation error of each lambda on the way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from subtrain.kernel import kernel
from subtrain.regression.descent import CHUNK, GROUP, Moments, quadratic
from subtrain.regression.judging import mean_square
from subtrain.regression.working import Group, Rules, Working, filled, refresh, shrink, solve, solve_group

Floats = NDArray[np.float64]
# Lambdas are solved in groups while the working set is smaller than this share of the units.
NARROW = 4


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


class Jury(NamedTuple):
    """Validation models as bits. bits: uint64 [n, words], by unit, or [0, 0] for none; outputs: float64 [1, m], the
    outputs minus the fitting models' means."""

    bits: NDArray[np.uint64]
    outputs: Floats


@kernel
def solve_target(
    train: Moments,
    valid: Moments,
    jury: Jury,
    penalty: Floats,
    targets: Targets,
    rules: Rules,
    t: int,
    found: Found,
) -> None:
    """Fill `found` for target t; penalty: float64 [n], 0 for a unit that is left out. jury.outputs: [1, m], of t."""
    n = penalty.size
    work = Working(np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n), np.empty(n), np.empty((GROUP, CHUNK)))
    group = Group(np.empty((GROUP, n)), np.empty((GROUP, n)), np.empty(GROUP), np.empty(GROUP, np.int64))
    block = np.empty((0, 0), np.float32)
    check = np.empty((0, 0), np.float32)
    rho, variance, lambdas = targets.rho[t], targets.variance[t], targets.lambdas[t]
    size = enter(targets.start[t], penalty, work)
    block = filled(train, work.members, 0, size, block)
    refresh(train, rho, work, size)
    checked = 0
    lowest = np.inf
    step = 0
    together = 1
    while step < lambdas.size:
        # Worth it where a full slope costs more than the sweeps over a larger set.
        count = min(together, lambdas.size - step) if NARROW * size <= n else 1
        last = lambdas[step + count - 1]
        # Strong rule: a slope changes by at most as much as lambda does, as a rule; the full slopes verify it.
        cut = max(2.0 * last - lambdas[max(step - 1, 0)], 0.5 * last)
        size = shrink(work, size, penalty, cut, block, check)
        checked = min(checked, size)
        done = 0
        if count > 1:
            ahead = lambdas[step : step + count]
            size, block, done = solve_group(train, rho, variance, penalty, ahead, cut, rules, work, size, block, group)
            together = min(together + 1, GROUP) if done == count else max(done, 1)
        else:
            together = min(together + 1, GROUP)
        if done == 0:
            size, block, gap, passes = solve(
                train, rho, variance, penalty, lambdas[step], cut, rules, work, size, block
            )
            group.coef[0, :size] = work.coef[:size]
            group.gap[0], group.passes[0] = gap, passes
            done = 1
        inside = work.members[:size]
        for s in range(done):
            coef = group.coef[s, :size]
            found.gap[t, step] = 2.0 * group.gap[s] / variance
            found.passes[t, step] = group.passes[s]
            if rules.keep:
                for i in range(size):
                    found.every[t, step, inside[i]] = coef[i]
            error = 0.0
            if jury.bits.size:
                error = jury_error(train, jury, inside, coef)
                found.error[t, step] = error
            elif valid.models > 0:
                check = filled(valid, work.members, checked, size, check)
                checked = size
                error = targets.spread[t] + quadratic(check, coef)
                for i in range(size):
                    error -= 2.0 * targets.rho_valid[t, inside[i]] * coef[i]
                found.error[t, step] = error
            if error < lowest or (valid.models == 0 and jury.bits.size == 0):
                lowest = error
                found.best[t] = step
                for j in range(penalty.size):
                    found.coef[t, j] = 0.0
                for i in range(size):
                    found.coef[t, inside[i]] = coef[i]
            elif rules.patience >= 0 and step - found.best[t] >= rules.patience:
                return
            step += 1


@kernel
def jury_error(train: Moments, jury: Jury, members: NDArray[np.int64], coef: Floats) -> float:
    """Mean squared error of the coefficients on the jury."""
    rows = np.empty(coef.size, np.int64)
    raw = np.empty(coef.size, np.float32)
    size = 0
    centre = 0.0
    for i in range(coef.size):
        if coef[i] != 0.0:
            rows[size] = members[i]
            raw[size] = coef[i] * train.inverse[members[i]]
            # Of the rounded weight, so that its rounding stays centred.
            centre += np.float64(raw[size]) * train.mean[members[i]]
            size += 1
    return mean_square(jury.bits, rows[:size], raw[:size], centre, jury.outputs[0])


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
