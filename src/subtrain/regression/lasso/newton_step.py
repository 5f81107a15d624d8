"""A Newton step on the support, for working sets on which coordinate descent crawls (correlated units, m < n)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subtrain.system.kernel import kernel, reordering_kernel
from subtrain.system.types import Floats

# Added to the diagonal, relative: more than float32 rounding of the covariances, so that the factor exists.
RIDGE = 1e-6


@kernel
def newton_step(
    block: NDArray[np.float32], coef: Floats, slope: Floats, drift: NDArray[np.float32], bound: Floats
) -> bool:
    """Move the non-zero coefficients towards the minimum for their signs; drift follows, as in `descend`.

    Coefficients that would change sign stop at 0, if that lowers the objective; otherwise the whole step stops where
    the first of them reaches 0. Either way the objective does not rise, up to rounding. True if another step may help,
    because some coefficient became 0. With s units in the set and u in the support:

    1. Working set: the support and its covariances, O(s + u^2).
    2. Solve C step = q - bound sign(w) by a Cholesky factor, O(u^3 / 6).
    3. Stop coefficients at 0, O(u); what that does to the objective, O(u^2).
    4. Take the step, and let the slopes follow, O(u s).
    """
    # 1. The support.
    support = np.empty(coef.size, np.int64)
    size = 0
    for i in range(coef.size):
        if coef[i] != 0.0:
            support[size] = i
            size += 1
    support = support[:size]
    factor = np.empty((size, size))
    pull = np.empty(size)
    for a in range(size):
        i = support[a]
        pull[a] = slope[i] + drift[i] - (bound[i] if coef[i] > 0 else -bound[i])
        for b in range(a + 1):
            factor[a, b] = block[i, support[b]]
        factor[a, a] *= 1.0 + RIDGE
    # 2. Solve.
    if not cholesky(factor):
        return False
    step = solve_factored(factor, pull)
    # 3. Stop where a sign would change.
    clipped = np.empty(size)
    first = 1.0
    met = False
    for a in range(size):
        now = coef[support[a]]
        crosses = (now + step[a]) * now <= 0.0
        clipped[a] = -now if crosses else step[a]
        if crosses:
            met = True
            first = min(first, -now / step[a])
    if change(block, support, clipped, pull) > 0.0:
        for a in range(size):
            now = coef[support[a]]
            clipped[a] = -now if step[a] * first * now < 0 and abs(step[a] * first) >= abs(now) else first * step[a]
    # 4. Take the step.
    for a in range(size):
        i = support[a]
        coef[i] = 0.0 if clipped[a] == -coef[i] else coef[i] + clipped[a]
        move = np.float32(-clipped[a])
        row = block[i]
        for k in range(coef.size):
            drift[k] += move * row[k]
    return met


@reordering_kernel
def change(block: NDArray[np.float32], support: NDArray[np.int64], step: Floats, pull: Floats) -> float:
    """What a step on the support, within its signs, adds to the objective."""
    total = 0.0
    for a in range(support.size):
        row = block[support[a]]
        product = 0.0
        for b in range(support.size):
            product += row[support[b]] * step[b]
        total += step[a] * (0.5 * product - pull[a])
    return total


@reordering_kernel
def cholesky(matrix: Floats) -> bool:
    """Factor the lower triangle in place, row by row; False if it is not positive definite."""
    for i in range(matrix.shape[0]):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            if j < i:
                matrix[i, j] = total / matrix[j, j]
            elif total > 0.0:
                matrix[i, i] = np.sqrt(total)
            else:
                return False
    return True


@kernel
def solve_factored(factor: Floats, right: Floats) -> Floats:
    """The solution of L L^T x = right."""
    size = right.size
    x = np.empty(size)
    for i in range(size):
        x[i] = right[i]
        for k in range(i):
            x[i] -= factor[i, k] * x[k]
        x[i] /= factor[i, i]
    for i in range(size - 1, -1, -1):
        x[i] /= factor[i, i]
        for k in range(i):
            x[k] -= factor[i, k] * x[i]
    return x
