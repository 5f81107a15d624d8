"""The working set of a coordinate descent: the units that may matter at this lambda, and their covariances."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from subtrain.regression.lasso.coordinate_descent import TargetMoments, descend, duality_gap, extend, slopes
from subtrain.regression.lasso.path_stopping import Stop
from subtrain.system.kernel import kernel
from subtrain.system.types import Floats

Block = NDArray[np.float32]


class WorkingSetRules(NamedTuple):
    """tol: relative gap to reach. passes: sweeps at most for one lambda. stop: when a validated path ends. positive:
    weights may not be negative. keep: store every lambda's weights."""

    tol: float
    passes: int
    stop: Stop
    positive: bool
    keep: bool


class Working(NamedTuple):
    """members: int64 [n], the units in the set, in order; place: int64 [n], where a unit is in it or -1; coef: float64
    [n], the members' coefficients; slope: float64 [n], of all units; product: float64 [GROUP, CHUNK], scratch."""

    members: NDArray[np.int64]
    place: NDArray[np.int64]
    coef: Floats
    slope: Floats
    product: Floats


class WorkingGroup(NamedTuple):
    """Results of lambdas solved together. coef, slope: float64 [GROUP, n], the members' coefficients and the slopes of
    all units; gap: float64 [GROUP]; passes: int64 [GROUP]."""

    coef: Floats
    slope: Floats
    gap: Floats
    passes: NDArray[np.int64]


@kernel
def admit(work: Working, size: int, penalty: Floats, cut: float, positive: bool) -> int:
    """Add the units outside whose slope is at least cut * penalty; the new size."""
    for j in range(penalty.size):
        if work.place[j] < 0 and penalty[j] > 0.0:
            pull = work.slope[j] if positive else abs(work.slope[j])
            if pull >= cut * penalty[j]:
                work.members[size] = j
                work.place[j] = size
                work.coef[size] = 0.0
                size += 1
    return size


@kernel
def shrink(work: Working, size: int, penalty: Floats, cut: float, block: Block, check: Block) -> int:
    """Drop zero members that the strong rule no longer holds, when they are a third or more; the new size."""
    kept = np.empty(size, np.int64)
    left = 0
    for i in range(size):
        j = work.members[i]
        if work.coef[i] != 0.0 or abs(work.slope[j]) >= cut * penalty[j]:
            kept[left] = i
            left += 1
    if 3 * left > 2 * size:
        return size
    for i in range(size):
        work.place[work.members[i]] = -1
    for a in range(left):
        work.members[a] = work.members[kept[a]]
        work.coef[a] = work.coef[kept[a]]
        work.place[work.members[a]] = a
        # kept[b] >= b: nothing is overwritten before it is read.
        for b in range(left):
            block[a, b] = block[kept[a], kept[b]]
        if check.shape[0] >= size:
            for b in range(left):
                check[a, b] = check[kept[a], kept[b]]
    return left


@kernel
def filled(moments: TargetMoments, members: NDArray[np.int64], old: int, size: int, block: Block) -> Block:
    """`block` with the covariances of members[old:size] added, moved to a larger array when it is full."""
    if size > block.shape[0]:
        side = max(size, 2 * block.shape[0])
        # An odd number of cache lines a row keeps the rows out of each other's cache sets.
        larger = np.empty((side, 16 * ((side + 15) // 16 | 1)), np.float32)
        for a in range(old):
            for b in range(old):
                larger[a, b] = block[a, b]
        block = larger
    extend(moments, members, old, size, block)
    return block


@kernel
def full_gap(
    work: Working,
    coef: Floats,
    slope: Floats,
    rho: Floats,
    variance: float,
    penalty: Floats,
    lam: float,
    positive: bool,
) -> float:
    """Duality gap of the members' coefficients `coef` over all units, from the slope of all units."""
    fitted = variance
    residual = variance
    l1 = 0.0
    for i in range(coef.size):
        j = work.members[i]
        fitted -= rho[j] * coef[i]
        residual -= (rho[j] + slope[j]) * coef[i]
        l1 += lam * penalty[j] * abs(coef[i])
    excess = 1.0
    for j in range(penalty.size):
        if penalty[j] > 0.0:
            pull = slope[j] if positive else abs(slope[j])
            excess = max(excess, pull / (lam * penalty[j]))
    return duality_gap(fitted, residual, l1, excess)


@kernel
def solve(
    train: TargetMoments,
    rho: Floats,
    variance: float,
    penalty: Floats,
    lam: float,
    cut: float,
    rules: WorkingSetRules,
    work: Working,
    size: int,
    block: Block,
) -> tuple[int, Block, float, int]:
    """One lambda from the coefficients at hand, until the gap over all units is at most tol * variance / 2.

    Returns the new size, the block, the gap and the sweeps. With s units in the set, u of them with a coefficient:

    1. Working set: units whose slope is above the cut join, O(n), and their covariances are counted, O(s) each.
    2. Solve within the set, O(s^2) a sweep.
    3. Certify over all n units: slopes in float64 from the counts, O(u n), and the duality gap, O(n).
    4. Stop there, or take in the units that violate the optimality conditions: from step 1, with the cut at lam.
    """
    goal = 0.5 * rules.tol * variance
    taken = 0
    while True:
        old = size
        size = admit(work, size, penalty, cut, rules.positive)
        block = filled(train, work.members, old, size, block)
        slope, rho_in, bound = inside(work, size, rho, penalty, lam)
        coef = work.coef[:size]
        left = rules.passes - taken
        taken += descend(block, coef, slope, rho_in, bound, variance, rules.positive, 0.5 * goal, left)
        refresh(train, rho, work, size)
        gap = full_gap(work, coef, work.slope, rho, variance, penalty, lam, rules.positive)
        if gap <= goal or taken >= rules.passes:
            return size, block, gap, taken
        cut = lam


@kernel
def inside(work: Working, size: int, rho: Floats, penalty: Floats, lam: float) -> tuple[Floats, Floats, Floats]:
    """The members' slopes, rho and bounds at `lam`."""
    slope, rho_in, bound = np.empty(size), np.empty(size), np.empty(size)
    for i in range(size):
        j = work.members[i]
        slope[i] = work.slope[j]
        rho_in[i] = rho[j]
        bound[i] = lam * penalty[j]
    return slope, rho_in, bound


@kernel
def refresh(train: TargetMoments, rho: Floats, work: Working, size: int) -> None:
    """work.slope anew, from the counts, of the coefficients at hand."""
    slopes(train, rho, work.members[:size], work.coef[:size].reshape(1, size), work.product, work.slope.reshape(1, -1))


@kernel
def solve_group(
    train: TargetMoments,
    rho: Floats,
    variance: float,
    penalty: Floats,
    lambdas: Floats,
    cut: float,
    rules: WorkingSetRules,
    work: Working,
    size: int,
    block: Block,
    group: WorkingGroup,
) -> tuple[int, Block, int]:
    """A few lambdas in a row within one working set, then the slopes of all at once; size, block, lambdas certified.

    Those are the first of group.coef, group.gap and group.passes; the state at hand is that of the last of them.
    """
    goal = 0.5 * rules.tol * variance
    old = size
    size = admit(work, size, penalty, cut, rules.positive)
    block = filled(train, work.members, old, size, block)
    slope, rho_in, bound = inside(work, size, rho, penalty, lambdas[0])
    coef = work.coef[:size]
    for s in range(lambdas.size):
        for i in range(size):
            bound[i] = lambdas[s] * penalty[work.members[i]]
        group.passes[s] = descend(block, coef, slope, rho_in, bound, variance, rules.positive, 0.5 * goal, rules.passes)
        group.coef[s, :size] = coef
    held = group.coef[: lambdas.size, :size]
    slopes(train, rho, work.members[:size], held, work.product, group.slope)
    certified = 0
    while certified < lambdas.size:
        s = certified
        gap = full_gap(work, held[s], group.slope[s], rho, variance, penalty, lambdas[s], rules.positive)
        if gap > goal:
            break
        group.gap[s] = gap
        certified += 1
    # With none certified, go on from the first: its slope says which units were missing.
    at = max(certified - 1, 0)
    work.coef[:size] = held[at]
    work.slope[:] = group.slope[at]
    return size, block, certified
