"""The set of units whose weights on one another sum to most: local search on a symmetric matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
# Units on either side that a swap is chosen from; the best swap by gain alone is nearly always among them.
CANDIDATES = 16
SPARSE = 0.1
GRID = 24


@dataclass(frozen=True, eq=False)
class Found:
    """A set as bool [n], and the sum of the matrix over its pairs, each counted once from either side."""

    inside: Flags
    value: float


def symmetric(weight: NDArray[Any]) -> Any:
    """weight + its transpose, zero diagonal: float64 [n, n], dense, or a scipy CSR array where most weights are 0."""
    from scipy import sparse

    if np.count_nonzero(weight) <= SPARSE * weight.size:
        matrix = sparse.csr_array(weight).astype(np.float64)
        matrix = matrix + matrix.T
        return (matrix - sparse.diags_array(matrix.diagonal())).tocsr()
    dense = weight.astype(np.float64)
    dense = dense + dense.T
    np.fill_diagonal(dense, 0)
    return dense


def largest_submatrix(matrix: Any, size: int, starts: int = 10, seed: int = 0) -> Found:
    """The best set of `size` units that local search finds from several starts: those that the largest eigenvector
    names, those that grow from single units, and random ones. There is no guarantee: the problem is NP-hard.
    """
    best = Found(np.zeros(matrix.shape[0], np.bool_), -np.inf)
    for inside in _starts(matrix, size, starts, seed):
        found = climb(matrix, inside)
        if found.value > best.value:
            best = found
    return best


def densest_submatrix(
    matrix: Any, most: int, starts: int = 10, seed: int = 0, tried: Callable[[Found], object] | None = None
) -> Found:
    """The set of 2 to `most` units with the largest sum a member: the best of a geometric grid of sizes, then grown or
    shrunk a unit at a time as long as that helps. tried: is told the best set of every size of the grid.
    """
    grid = np.unique(np.geomspace(2, max(2, most), GRID).round().astype(int))
    found = [largest_submatrix(matrix, int(size), starts, seed) for size in grid]
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


def _density(found: Found) -> float:
    return found.value / int(found.inside.sum())


def _toggled(inside: Flags, unit: int) -> Flags:
    changed = inside.copy()
    changed[unit] = not changed[unit]
    return changed


def climb(matrix: Any, inside: Flags) -> Found:
    """Swap units in and out as long as the sum grows."""
    inside, size = _jump(matrix, inside), int(inside.sum())
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
    return Found(inside, float(gain[inside].sum() / 2))


def _jump(matrix: Any, inside: Flags) -> Flags:
    """Take the units that gain most from the set in place of the set, as long as the sum grows."""
    size = int(inside.sum())
    value, current = -np.inf, inside
    while True:
        gain = np.asarray(matrix @ current.astype(np.float64))
        here = float(gain[current].sum())
        if here <= value:
            return inside.copy()
        inside, value = current, here
        current = np.zeros_like(inside)
        current[_first(-gain, size)] = True


def _starts(matrix: Any, size: int, starts: int, seed: int) -> list[Flags]:
    random = np.random.default_rng(seed)
    n = matrix.shape[0]
    orders = [-_leading(matrix)]
    # Heavy rows first: a unit of the set sought gains much from the others.
    positive = matrix.maximum(0) if hasattr(matrix, "maximum") else np.maximum(matrix, 0)
    heavy = np.argsort(-np.asarray(positive.sum(axis=1)).ravel(), kind="stable")
    seeds = [*heavy[: starts // 2].tolist(), *random.choice(n, min(n, starts - starts // 2), replace=False).tolist()]
    orders += [-row(matrix, unit) for unit in seeds] + [random.random(n) for _ in range(2)]
    found = []
    for order in orders:
        inside = np.zeros(n, np.bool_)
        inside[_first(order, size)] = True
        found.append(inside)
    return found


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
