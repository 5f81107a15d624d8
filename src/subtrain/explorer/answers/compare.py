"""Two fits, or the fits of two studies, target by target."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from subtrain.errors import InputError
from subtrain.explorer.answers.examples import Shown, target_shown
from subtrain.explorer.answers.numbers import known, mean
from subtrain.explorer.answers.targets import figures, support_of
from subtrain.explorer.data.target_major import K
from subtrain.explorer.jobs import Background
from subtrain.explorer.open_studies import OpenFit

BYTES = 16 << 20


class Side(TypedDict):
    """A target in one of the fits."""

    lds: float | None
    margin: float | None
    correct: float | None
    support: int | None


class Compared(TypedDict):
    """A target in both fits. cosine: of its weights; overlap: share of the 50 most helpful units in common."""

    target: Shown
    cosine: float | None
    overlap: float | None
    a: Side
    b: Side


class CompareOf(Background):
    """All targets, the least alike first, of which these are some. mean_*: over targets, per target."""

    a: str
    b: str
    total: int
    offset: int
    mean_cosine: float | None
    mean_overlap: float | None
    mean_lds_a: float | None
    mean_lds_b: float | None
    items: list[Compared]


NOTHING: dict[str, Any] = {
    "total": 0,
    "offset": 0,
    **dict.fromkeys(("mean_cosine", "mean_overlap", "mean_lds_a", "mean_lds_b")),
    "items": [],
}
Likeness = tuple[NDArray[np.float64], NDArray[np.float64]]


def likeness(a: OpenFit, b: OpenFit) -> Likeness:
    """cosine [T] of the two weight vectors of each target, and overlap [T], the share of the strongest units in common;
    InputError unless both fits have the same units and targets."""
    if (a.dm.n, a.dm.targets) != (b.dm.n, b.dm.targets):
        raise InputError(
            f"{a.ref} has {a.dm.n} units and {a.dm.targets} targets, {b.ref} has {b.dm.n} and {b.dm.targets}: "
            "only fits of the same units and targets can be compared"
        )
    targets = a.dm.targets
    cosine = np.empty(targets)
    step = max(1, BYTES // (8 * a.dm.n))
    for start in range(0, targets, step):
        rows = slice(start, min(start + step, targets))
        cosine[rows] = _cosine(a.sidecar.weight[rows], b.sidecar.weight[rows])
    overlap = np.array([_overlap(_helpful(a, target), _helpful(b, target)) for target in range(targets)])
    return cosine, overlap


def compared(a: OpenFit, b: OpenFit, found: Likeness, offset: int, limit: int) -> dict[str, Any]:
    """The fields of a `CompareOf`."""
    cosine, overlap = found
    order = np.argsort(cosine, kind="stable")
    items: list[Compared] = [
        {
            "target": target_shown(a, target),
            "cosine": known(cosine[target]),
            "overlap": known(overlap[target]),
            "a": _side(a, target),
            "b": _side(b, target),
        }
        for target in order[offset : offset + limit].tolist()
    ]
    return {
        "total": int(order.size),
        "offset": offset,
        "mean_cosine": mean(cosine),
        "mean_overlap": mean(overlap),
        "mean_lds_a": mean(a.table("lds")),
        "mean_lds_b": mean(b.table("lds")),
        "items": items,
    }


def _side(fit: OpenFit, target: int) -> Side:
    return cast(Side, {**figures(fit, target, ("lds", "margin", "correct")), "support": support_of(fit, target)})


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
