"""Two fits over the same units and targets, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.explorer.data.target_major import K
from subtrain.explorer.open_studies import OpenFit


@dataclass(frozen=True, eq=False)
class Comparison:
    """cosine [T]: of the two weight vectors of each target; overlap [T]: share of the strongest units in common."""

    cosine: NDArray[np.float64]
    overlap: NDArray[np.float64]


def compare(a: OpenFit, b: OpenFit) -> Comparison:
    """InputError unless both have the same units and targets."""
    if (a.dm.n, a.dm.targets) != (b.dm.n, b.dm.targets):
        raise InputError(
            f"{a.ref} has {a.dm.n} units and {a.dm.targets} targets, {b.ref} has {b.dm.n} and {b.dm.targets}: "
            "only fits of the same units and targets can be compared"
        )
    targets = a.dm.targets
    cosine, overlap = np.empty(targets), np.empty(targets)
    step = max(1, (16 << 20) // (8 * a.dm.n))
    for start in range(0, targets, step):
        rows = slice(start, min(start + step, targets))
        cosine[rows] = _cosine(a.sidecar.weight[rows], b.sidecar.weight[rows])
    for target in range(targets):
        overlap[target] = _overlap(_helpful(a, target), _helpful(b, target))
    return Comparison(cosine, overlap)


def _helpful(fit: OpenFit, target: int) -> NDArray[np.int32]:
    """The strongest units on the side that helps."""
    return fit.table("unit")[target, :K] if fit.sign > 0 else fit.table("unit")[target, K:]


def _cosine(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    a, b = a.astype(np.float64), b.astype(np.float64)
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    cosine: NDArray[np.float64] = np.divide((a * b).sum(axis=1), size, out=np.full(len(a), np.nan), where=size > 0)
    return cosine


def _overlap(a: NDArray[np.int32], b: NDArray[np.int32]) -> float:
    a, b = a[a >= 0], b[b >= 0]
    most = min(a.size, b.size)
    return np.intersect1d(a, b).size / most if most else float("nan")
