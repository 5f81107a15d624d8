"""Coordinate descent for one target at one lambda, on the covariances of a working set of units.

The problem, in coefficients w of centered and scaled masks with covariance C, rho = cov(mask, y), v = var(y):
minimize v/2 - rho^T w + w^T C w / 2 + sum_j bound_j |w_j|. Its slope is q = rho - C w; w is optimal where
|q_j| <= bound_j, with equality and the sign of w_j where w_j is not zero.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from subtrain.regression.counting.gram_rows import CHUNK, GROUP, ROWS, add_rows, chosen, gathered, prepared
from subtrain.regression.lasso.newton_step import newton_step
from subtrain.system.kernel import kernel, reordering_kernel
from subtrain.system.types import Floats

# Newton steps in a row, each of which takes at least one unit out of the support.
STEPS = 8


class TargetMoments(NamedTuple):
    """Second moments of masks about given centers, kept as counts (a `table` of them), never as a matrix of floats.

    C[j, k] = (gram[j, k] / models - mean[j] mean[k] + offset[j] offset[k]) inverse[j] inverse[k], where offset is the
    models' mean minus the center and inverse is 1 / scale, 0 for a unit that is left out.
    """

    gram: Any
    models: float
    mean: Floats
    offset: Floats
    inverse: Floats


@kernel
def extend(moments: TargetMoments, members: NDArray[np.int64], old: int, new: int, block: NDArray[np.float32]) -> None:
    """Fill block = C over members[:new], where it already is C over members[:old]; O(new (new - old))."""
    inside = members[:new]
    ready = gathered(moments.gram, inside)
    mean, offset, inverse = moments.mean[inside], moments.offset[inside], moments.inverse[inside]
    share = 1.0 / moments.models
    counts = np.empty(new)
    for a in range(old, new):
        chosen(moments.gram, ready, members[a], members, a + 1, counts)
        for b in range(a + 1):
            covariance = counts[b] * share - mean[a] * mean[b] + offset[a] * offset[b]
            block[a, b] = covariance * inverse[a] * inverse[b]
    # Later and in squares: writing a column at a time would touch one line a number.
    for first in range(0, new, 16):
        for a in range(max(first, old), new):
            for b in range(first, min(first + 16, a)):
                block[b, a] = block[a, b]


@kernel
def slopes(
    moments: TargetMoments, rho: Floats, members: NDArray[np.int64], coefs: Floats, product: Floats, slope: Floats
) -> None:
    """slope[s] = rho - C w over all units, in float64 from the exact counts, for GROUP coefficient vectors at once.

    O(u n) for u members with a coefficient. w is coefs[s] at members and 0 elsewhere. coefs: [s, size], product:
    [GROUP, CHUNK], slope: [s, n], s <= GROUP. The rows of the Gram are read once for all of them: at large n reading is
    what this costs.
    """
    n = moments.mean.size
    count, width = coefs.shape
    center = np.zeros(GROUP)
    active = np.zeros(width + ROWS, np.int64)
    raw = np.zeros((width + ROWS, GROUP))
    size = 0
    for i in range(width):
        some = False
        for s in range(count):
            some = some or coefs[s, i] != 0.0
        if some:
            active[size] = members[i]
            for s in range(count):
                raw[size, s] = coefs[s, i] * moments.inverse[members[i]]
                center[s] += raw[size, s] * moments.mean[members[i]]
            size += 1
    ready = prepared(moments.gram, active[:size], raw)
    share = 1.0 / moments.models
    for start in range(0, n, CHUNK):
        length = min(CHUNK, n - start)
        product[:, :] = 0.0
        add_rows(moments.gram, ready, active, raw, size, count, start, length, product)
        for s in range(count):
            for j in range(length):
                k = start + j
                fitted = product[s, j] * share - moments.mean[k] * center[s]
                slope[s, k] = rho[k] - fitted * moments.inverse[k]


@kernel
def duality_gap(fitted: float, residual: float, penalty: float, excess: float) -> float:
    """Primal minus the best dual value along the residual, all from sufficient statistics, O(1).

    The dual point is the residual scaled into the feasible set, as in Kim, Koh, Lustig, Boyd & Gorinevsky 2007.

    fitted = v - rho^T w (the residual against y), residual = v - rho^T w - q^T w (the residual against itself),
    penalty = sum bound |w|, excess = the largest |q_j| / bound_j, at least 1. The dual point is c times the residual:
    feasible while c <= 1 / excess, best at c = fitted / residual. Both v/2 terms cancel.
    """
    residual = max(residual, 0.0)
    scale = fitted / residual if residual > 0.0 else 1.0
    scale = max(min(scale, 1.0 / excess), 0.0)
    return max(0.5 * residual + penalty - scale * fitted + 0.5 * scale * scale * residual, 0.0)


@kernel
def descend(
    block: NDArray[np.float32],
    coef: Floats,
    slope: Floats,
    rho: Floats,
    bound: Floats,
    variance: float,
    positive: bool,
    goal: float,
    passes: int,
) -> int:
    """Sweep the working set until its duality gap is at most `goal`, or 1e-3 of what it was; the sweeps it took.

    1. Certify: the gap within the set, O(s). 2. Stop where it is small enough. 3. Now and then, Newton steps on the
    support (`newton_step`). 4. Sweep: each coefficient in turn to its optimum, soft(q_i + C_ii w_i, bound_i) / C_ii
    (Friedman, Hastie & Tibshirani 2010, section 2), and O(s) for each that changes.

    coef [size] and slope [size], its q, are updated. What the sweeps change of q is held in float32 apart from it, so
    rounding is relative to the change and a caller that refreshes the slope reaches float64 accuracy.
    """
    size = coef.size
    drift = np.zeros(size, np.float32)
    taken = 0
    target = goal
    # A factorization costs as much as size / 2 sweeps or so, and seldom is needed at all.
    patience = 8 + size // 8
    while True:
        # 1. Certify.
        fitted = variance
        residual = variance
        penalty = 0.0
        excess = 1.0
        for i in range(size):
            q = slope[i] + drift[i]
            fitted -= rho[i] * coef[i]
            residual -= (rho[i] + q) * coef[i]
            penalty += bound[i] * abs(coef[i])
            excess = max(excess, (q if positive else abs(q)) / bound[i])
        gap = duality_gap(fitted, residual, penalty, excess)
        if taken == 0:
            target = max(goal, 1e-3 * gap)
        # 2. Stop, but after one sweep at least: else the path of a noiseless target, which is within tolerance at once,
        # would stand still between lambdas.
        if taken and (gap <= target or taken >= passes):
            for i in range(size):
                slope[i] += drift[i]
            return taken
        taken += 1
        # 3. Newton steps.
        if taken % patience == 0:
            for _ in range(STEPS):
                if not newton_step(block, coef, slope, drift, bound):
                    break
        # 4. Sweep.
        for i in range(size):
            row = block[i]
            before = coef[i]
            pull = slope[i] + drift[i] + row[i] * before
            after = 0.0
            if pull > bound[i]:
                after = (pull - bound[i]) / row[i]
            elif pull < -bound[i] and not positive:
                after = (pull + bound[i]) / row[i]
            if after != before:
                coef[i] = after
                step = np.float32(before - after)
                for k in range(size):
                    drift[k] += step * row[k]


@reordering_kernel
def quadratic(block: NDArray[np.float32], coef: Floats) -> float:
    """coef^T block coef."""
    single = np.empty(coef.size, np.float32)
    for i in range(coef.size):
        single[i] = coef[i]
    total = 0.0
    for i in range(coef.size):
        if coef[i] != 0.0:
            row = block[i]
            product = np.float32(0.0)
            for k in range(coef.size):
                product += row[k] * single[k]
            total += coef[i] * product
    return total
