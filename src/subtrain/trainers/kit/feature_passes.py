"""Passes over chosen rows of a feature matrix: their moments, and products with a few columns of weights.

Sums go over a subset's rows in order, in float32 within a block of rows and in float64 over blocks; so they depend on
that subset alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.system.kernel import contracting_kernel, reordering_kernel

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Middle = Callable[[Any, slice], Any]

_BLOCK = 1024
"""Rows of a block: with 256 float32 features it fits a core's second-level cache."""


@dataclass(frozen=True, eq=False)
class FeatureMoments:
    """gram [D, D] = sum of x xᵀ, sums [C, D] = sums of x by class, counts [C] = rows by class; all float64."""

    gram: Doubles
    sums: Doubles
    counts: Doubles

    def __sub__(self, other: FeatureMoments) -> FeatureMoments:
        return FeatureMoments(self.gram - other.gram, self.sums - other.sums, self.counts - other.counts)

    @property
    def mean(self) -> Doubles:
        """Mean feature vector [D]."""
        return np.asarray(self.sums.sum(axis=0) / self.counts.sum())

    @property
    def covariance(self) -> Doubles:
        """Gram matrix of the features about their mean [D, D]."""
        return np.asarray(self.gram - self.counts.sum() * np.outer(self.mean, self.mean))


def moments(x: Floats, y: Ints, classes: int, rows: Ints, exact: bool = False) -> FeatureMoments:
    """Moments of the given rows of x [n, D], labeled y [n]; exact: products in float64 too, at half the speed."""
    block = np.empty((_BLOCK, x.shape[1]), np.float64 if exact else np.float32)
    gram, sums = np.zeros((x.shape[1], x.shape[1])), np.zeros((classes, x.shape[1]))
    for start in range(0, rows.size, _BLOCK):
        some = rows[start : start + _BLOCK]
        _gather(x, y, some, block, sums)
        part = block[: some.size]
        gram += part.T @ part
    return FeatureMoments(gram, sums, np.bincount(y[rows], minlength=classes).astype(np.float64))


def swept(x: Any, rows: Ints, weight: Doubles, bias: Doubles, middle: Middle) -> tuple[Doubles, Doubles]:
    """Sums over the rows of x ⊗ r and of r, [D, C] and [C], where r = middle(x weight + bias, their positions).

    x [n, D] is float32 or float64; weight [D, C], bias [C] and r are rounded to the same.
    """
    columns, shift = np.ascontiguousarray(weight.T, x.dtype), bias.astype(x.dtype)
    total, sums = np.zeros(columns.shape), np.zeros(bias.shape)
    for start in range(0, rows.size, _BLOCK):
        some = rows[start : start + _BLOCK]
        scores = np.empty((some.size, bias.size), x.dtype)
        _score(x, some, columns, shift, scores)
        pull = middle(scores, slice(start, start + some.size))
        _pull(x, some, pull, total)
        sums += pull.sum(axis=0, dtype=np.float64)
    return total.T, sums


@contracting_kernel
def _gather(x: Floats, y: Ints, rows: Ints, block: Any, sums: Doubles) -> None:
    for r in range(rows.size):
        source, target, total = x[rows[r]], block[r], sums[y[rows[r]]]
        for d in range(source.size):
            target[d] = source[d]
            total[d] += source[d]


@reordering_kernel
def _score(x: Any, rows: Ints, columns: Any, shift: Any, scores: Any) -> None:
    """Four rows at a time, so that each weight is loaded once for four products."""
    zero, last = x.dtype.type(0), rows.size - 1
    for r in range(0, rows.size, 4):
        a, b = x[rows[r]], x[rows[min(r + 1, last)]]
        c, d = x[rows[min(r + 2, last)]], x[rows[min(r + 3, last)]]
        for j in range(columns.shape[0]):
            w = columns[j]
            za = zb = zc = zd = zero
            for i in range(w.size):
                za += a[i] * w[i]
                zb += b[i] * w[i]
                zc += c[i] * w[i]
                zd += d[i] * w[i]
            scores[r, j] = za + shift[j]
            # Past the end these write the last row's own score once more.
            scores[min(r + 1, last), j] = zb + shift[j]
            scores[min(r + 2, last), j] = zc + shift[j]
            scores[min(r + 3, last), j] = zd + shift[j]


@contracting_kernel
def _pull(x: Any, rows: Ints, pull: Any, total: Doubles) -> None:
    zero, last = x.dtype.type(0), rows.size - 1
    classes, columns = total.shape
    part = np.zeros((classes, columns), x.dtype)
    for r in range(0, rows.size, 4):
        a, b = x[rows[r]], x[rows[min(r + 1, last)]]
        c, d = x[rows[min(r + 2, last)]], x[rows[min(r + 3, last)]]
        for j in range(classes):
            pa = pull[r, j]
            pb = pull[r + 1, j] if r + 1 <= last else zero
            pc = pull[r + 2, j] if r + 2 <= last else zero
            pd = pull[r + 3, j] if r + 3 <= last else zero
            row = part[j]
            for i in range(row.size):
                row[i] += (pa * a[i] + pb * b[i]) + (pc * c[i] + pd * d[i])
    for j in range(classes):
        for i in range(columns):
            total[j, i] += part[j, i]
