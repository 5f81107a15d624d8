"""The lambda path of one target, with the validation error of each lambda on the way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from subtrain.regression.counting.gram_rows import CHUNK, GROUP
from subtrain.regression.lasso.coordinate_descent import TargetMoments, quadratic
from subtrain.regression.lasso.path_stopping import ended
from subtrain.regression.lasso.validation_error import leave
from subtrain.regression.lasso.working_set import (
    Block,
    Working,
    WorkingGroup,
    WorkingSetRules,
    filled,
    refresh,
    shrink,
    solve,
    solve_group,
)
from subtrain.system.kernel import kernel
from subtrain.system.types import Floats

# Lambdas are solved in groups while the working set is smaller than this share of the units, and as long as a group
# makes the set no more than this much larger: beyond the best lambda it would soon be many times as large.
NARROW = 4
GROWTH = 1.5
# How much of lambda's last step a slope may make up for: 1 would be the strong rule. Measured at 50,000 units.
SLACK = 0.5

_ended = kernel(ended)


class Targets(NamedTuple):
    """Problems of T targets.

    rho, rho_validation: float64 [T, n]; start: float64 [T, n], coefficients; variance, spread: [T], the outputs' mean
    square about the fitting models' mean, in fitting and in validation models; lambdas: [T, k]; floor: int64 [T], the
    first lambda after which a path may end.
    """

    rho: Floats
    variance: Floats
    rho_validation: Floats
    spread: Floats
    lambdas: Floats
    start: Floats
    floor: NDArray[np.int64]


class PathResult(NamedTuple):
    """Filled in. coef: float64 [T, n] at the chosen lambda; best: int64 [T], its place, the last one if nothing
    validates; gap: [T, k], relative; error: [T, k], validation mean square; passes: int64 [T, k]; every: float64
    [T, k, n], coefficients at every lambda, or [0, 0, 0]. What an early stop leaves out stays as it was."""

    coef: Floats
    best: NDArray[np.int64]
    gap: Floats
    error: Floats
    passes: NDArray[np.int64]
    every: Floats


class ValidationBits(NamedTuple):
    """Validation models as bits. bits: uint64 [n, words], by unit, or [0, 0] for none; outputs: float64 [1, m], the
    outputs minus the fitting models' means."""

    bits: NDArray[np.uint64]
    outputs: Floats


@kernel
def solve_target(
    train: TargetMoments,
    validation: TargetMoments,
    held: ValidationBits,
    penalty: Floats,
    targets: Targets,
    rules: WorkingSetRules,
    t: int,
    found: PathResult,
    block: Block,
) -> Block:
    """Fill `found` for target t; penalty: float64 [n], 0 for a unit that is left out. held.outputs: [1, m], of t.

    block: room for covariances, as another target left it; returned larger if it was too small. With s units in the
    working set, u of them with a weight and n in all, a path repeats these steps down its lambdas:

    1. Working set: drop zero members that the strong rule no longer holds, O(s^2), and look how many would join, O(n);
       the rule is that of Tibshirani et al. 2012 (Strong rules for discarding predictors).
    2. Solve: covariances of those that join, O(s) each; coordinate descent, O(s^2) a sweep, of several lambdas at once
       where a full slope costs more than sweeps over a larger set.
    3. Certify: the slopes of all units from the counts, O(u n), and the duality gap; who violates the conditions
       joins, and step 2 is repeated.
    4. Validate: the error on the validation models, O(m u) from their bits or O(s^2) from their counts.
    5. Stop: keep the best lambda so far; end where `ended` says that no better one is coming.
    """
    n = penalty.size
    work = Working(np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n), np.empty(n), np.empty((GROUP, CHUNK)))
    group = WorkingGroup(np.empty((GROUP, n)), np.empty((GROUP, n)), np.empty(GROUP), np.empty(GROUP, np.int64))
    check = np.empty((0, 0), np.float32)
    rho, variance, lambdas = targets.rho[t], targets.variance[t], targets.lambdas[t]
    size = enter(targets.start[t], penalty, work)
    block = filled(train, work.members, 0, size, block)
    refresh(train, rho, work, size)
    left = np.zeros(64 * held.bits.shape[1], np.float32)
    checked = 0
    lowest = np.inf
    step = 0
    together = 1
    while step < lambdas.size:
        # 1. Working set. Several lambdas are worth it where a full slope costs more than sweeps over a larger set.
        count = min(together, lambdas.size - step) if NARROW * size <= n else 1
        cut = strong_cut(lambdas, step, count)
        while count > 1 and size + outside(work, penalty, cut, rules.positive) > max(GROWTH * size, size + 64):
            count -= 1
            cut = strong_cut(lambdas, step, count)
        size = shrink(work, size, penalty, cut, block, check)
        checked = min(checked, size)
        # 2 and 3. Solve and certify, as many lambdas as the group allows, or one.
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
            # 4. Validate.
            error = 0.0
            if held.bits.size:
                error = bits_error(train, held, inside, coef, left)
                found.error[t, step] = error
            elif validation.models > 0:
                check = filled(validation, work.members, checked, size, check)
                checked = size
                error = targets.spread[t] + quadratic(check, coef)
                for i in range(size):
                    error -= 2.0 * targets.rho_validation[t, inside[i]] * coef[i]
                found.error[t, step] = error
            # 5. Keep the best, or stop.
            if error < lowest or (validation.models == 0 and held.bits.size == 0):
                lowest = error
                found.best[t] = step
                for j in range(penalty.size):
                    found.coef[t, j] = 0.0
                for i in range(size):
                    found.coef[t, inside[i]] = coef[i]
            elif _ended(rules.stop, step - max(found.best[t], targets.floor[t]), error, lowest):
                return block
            else:
                together = 1
            step += 1
    return block


@kernel
def strong_cut(lambdas: Floats, step: int, count: int) -> float:
    """The least slope with which a unit is let in, for `count` lambdas from `step` on.

    The strong rule says that a slope seldom changes by more than lambda does. Here it is let in for half of that, over
    the last of the steps: masks hardly correlate, so most slopes hardly change. The full slopes verify it.
    """
    last = lambdas[step + count - 1]
    cut: float = max(last - SLACK * (lambdas[max(step + count - 2, 0)] - last), 0.5 * last)
    return cut


@kernel
def outside(work: Working, penalty: Floats, cut: float, positive: bool) -> int:
    """How many units `admit` would add."""
    found = 0
    for j in range(penalty.size):
        pull = work.slope[j] if positive else abs(work.slope[j])
        if pull >= cut * penalty[j] and work.place[j] < 0 and penalty[j] > 0.0:
            found += 1
    return found


@kernel
def bits_error(
    train: TargetMoments, held: ValidationBits, members: NDArray[np.int64], coef: Floats, left: NDArray[np.float32]
) -> float:
    """Mean squared error of the coefficients on the validation models; `left`: what remains of each output."""
    rows = np.empty(coef.size, np.int64)
    raw = np.empty(coef.size, np.float32)
    size = 0
    center = 0.0
    for i in range(coef.size):
        if coef[i] != 0.0:
            rows[size] = members[i]
            raw[size] = coef[i] * train.inverse[members[i]]
            # Of the rounded weight, so that its rounding stays centered.
            center += np.float64(raw[size]) * train.mean[members[i]]
            size += 1
    return leave(held.bits, rows[:size], raw[:size], center, held.outputs[0], left)


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
