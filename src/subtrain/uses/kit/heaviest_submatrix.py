"""The set of units whose weights on one another sum to most: local search on a symmetric matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.system.types import Floats

Flags = NDArray[np.bool_]
# Units on either side that a swap is chosen from; the best swap is nearly always among those of most and least gain.
CANDIDATES = 16
SPARSE = 0.1
GRID = 24
# Of more units than SMALL only the REFINED best starts are worth their swaps.
REFINED, SMALL = 3, 1000
ROWS = 1024


@dataclass(frozen=True, eq=False)
class HeaviestSubmatrix:
    """A set as bool [n], and the sum of the matrix over its pairs, each counted once from either side."""

    inside: Flags
    value: float


def symmetric(weight: NDArray[Any]) -> Any:
    """weight + its transpose, zero diagonal: float64 [n, n], dense, or a scipy CSR array where most weights are 0.

    Memory-mapped weights are read a block of rows at a time.
    """
    from scipy import sparse

    blocks = [weight[start : start + ROWS] for start in range(0, len(weight), ROWS)]
    if sum(np.count_nonzero(block) for block in blocks) <= SPARSE * weight.size:
        matrix = sparse.vstack([sparse.csr_array(block, dtype=np.float64) for block in blocks], format="csr")
        matrix = matrix + matrix.T
        return (matrix - sparse.diags_array(matrix.diagonal())).tocsr()
    dense = weight.astype(np.float64)
    dense = dense + dense.T
    np.fill_diagonal(dense, 0)
    return dense


def largest_submatrix(matrix: Any, size: int, starts: int = 10, seed: int = 0) -> HeaviestSubmatrix:
    """The best set of `size` units that local search finds from several starts: those that the largest eigenvector
    names, those that grow from single units, and random ones. There is no guarantee: the problem is NP-hard.
    """
    return _best(matrix, size, _orders(matrix, starts, seed))


def _best(matrix: Any, size: int, orders: list[Floats]) -> HeaviestSubmatrix:
    """The best of the sets that the first `size` units of each order climb to."""
    starts = [np.zeros(order.size, np.bool_) for order in orders]
    for start, order in zip(starts, orders, strict=True):
        start[_first(order, size)] = True
    jumped = {found.inside.tobytes(): found for found in (_jump(matrix, start) for start in starts)}
    promising = sorted(jumped.values(), key=lambda found: -found.value)
    if matrix.shape[0] > SMALL:
        promising = promising[:REFINED]
    return max((climb(matrix, found.inside) for found in promising), key=lambda found: found.value)


def densest_submatrix(
    matrix: Any, most: int, starts: int = 10, seed: int = 0, tried: Callable[[HeaviestSubmatrix], object] | None = None
) -> HeaviestSubmatrix:
    """The set of 2 to `most` units with the largest sum a member: the best of a geometric grid of sizes, then grown or
    shrunk a unit at a time as long as that helps. tried: is told the best set of every size of the grid.
    """
    grid = np.unique(np.geomspace(2, max(2, most), GRID).round().astype(int)).tolist()
    orders = _orders(matrix, starts, seed)
    found = [_best(matrix, size, orders) for size in grid]
    for one in found:
        if tried:
            tried(one)
    best = max(found, key=_density)
    while True:
        gain = np.asarray(matrix @ best.inside.astype(np.float64))
        changed = [_toggled(best.inside, int(np.where(best.inside, np.inf, -gain).argmin()))]
        changed.append(_toggled(best.inside, int(np.where(best.inside, gain, np.inf).argmin())))
        better = [climb(matrix, inside) for inside in changed if 2 <= inside.sum() <= most]
        next_ = max(better, key=_density, default=best)
        if _density(next_) <= _density(best) * (1 + 1e-9):
            return best
        best = next_


def _density(found: HeaviestSubmatrix) -> float:
    return found.value / int(found.inside.sum())


def _toggled(inside: Flags, unit: int) -> Flags:
    changed = inside.copy()
    changed[unit] = not changed[unit]
    return changed


def climb(matrix: Any, inside: Flags) -> HeaviestSubmatrix:
    """Swap units in and out, one for one, as long as the sum grows."""
    inside, size = inside.copy(), int(inside.sum())
    gain = np.asarray(matrix @ inside.astype(np.float64))
    few = min(CANDIDATES, size, inside.size - size)
    while few > 0:
        leave = _first(np.where(inside, gain, np.inf), few)
        join = _first(np.where(inside, np.inf, -gain), few)
        between = matrix[leave][:, join]
        between = between.toarray() if hasattr(between, "toarray") else between
        better = gain[join][None, :] - gain[leave][:, None] - between
        i, j = np.unravel_index(better.argmax(), better.shape)
        if better[i, j] <= 1e-12 * max(1.0, np.abs(gain).max()):
            break
        out, into = int(leave[i]), int(join[j])
        inside[out], inside[into] = False, True
        gain = gain + row(matrix, into) - row(matrix, out)
    return HeaviestSubmatrix(inside, float(gain[inside].sum() / 2))


def _jump(matrix: Any, inside: Flags) -> HeaviestSubmatrix:
    """Take the units that gain most from the set in place of the set, as long as the sum grows."""
    size, best, current = int(inside.sum()), HeaviestSubmatrix(inside, -np.inf), inside
    while True:
        gain = np.asarray(matrix @ current.astype(np.float64))
        value = float(gain[current].sum() / 2)
        if value <= best.value:
            return best
        best, current = HeaviestSubmatrix(current, value), np.zeros_like(inside)
        current[_first(-gain, size)] = True


def _orders(matrix: Any, starts: int, seed: int) -> list[Floats]:
    """Orders of the units [n] whose first ones, the smallest, make sets to start from."""
    random = np.random.default_rng(seed)
    n = matrix.shape[0]
    # Heavy rows first: a unit of the set sought gains much from the others.
    positive = matrix.maximum(0) if hasattr(matrix, "maximum") else np.maximum(matrix, 0)
    heavy = np.argsort(-np.asarray(positive.sum(axis=1)).ravel(), kind="stable")
    seeds = [*heavy[: starts // 2].tolist(), *random.choice(n, min(n, starts - starts // 2), replace=False).tolist()]
    return [-_leading(matrix), *(-row(matrix, unit) for unit in seeds), *(random.random(n) for _ in range(2))]


def _leading(matrix: Any) -> Floats:
    """The eigenvector of the largest eigenvalue, its sign such that most of it is positive."""
    from scipy.sparse.linalg import eigsh

    vector = np.asarray(eigsh(matrix, k=1, which="LA", v0=np.ones(matrix.shape[0]))[1][:, 0])
    return vector if vector.sum() >= 0 else -vector


def row(matrix: Any, unit: int) -> Floats:
    """One row as a dense vector."""
    return np.asarray(matrix[[unit]].toarray()[0] if hasattr(matrix, "toarray") else matrix[unit])


def _first(values: Floats, count: int) -> NDArray[np.int64]:
    """The places of the `count` smallest values."""
    return np.argpartition(values, count - 1)[:count]
