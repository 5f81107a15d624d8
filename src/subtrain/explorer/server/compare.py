"""Two fits, or the fits of two studies, on the same targets."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from numpy.typing import NDArray
from pydantic import Field

from subtrain.explorer.data.fit_comparison import Comparison, compare
from subtrain.explorer.open_studies import OpenFit
from subtrain.explorer.server.shared import (
    LONGEST,
    Answer,
    Background,
    Books,
    Fit,
    Offset,
    Shown,
    find_fit,
    known,
    target_shown,
)
from subtrain.explorer.server.targets import support_of

router = APIRouter(prefix="/api/compare", tags=["compare"])
MOST_ROWS = 500


class Side(Answer):
    """A target in one of the fits."""

    lds: float | None
    margin: float | None
    correct: float | None
    support: int | None


class Compared(Answer):
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
    total: int = 0
    offset: int = 0
    mean_cosine: float | None = None
    mean_overlap: float | None = None
    mean_lds_a: float | None = None
    mean_lds_b: float | None = None
    items: list[Compared] = Field(default_factory=list)


@router.get("", operation_id="compare")
def compared(
    fit: Fit,
    library: Books,
    other: Annotated[str, Query(max_length=LONGEST, description="Name of the other fit; NAME@b of the second study.")],
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
) -> CompareOf:
    """How alike two fits are, target by target; computed in the background when it is first asked for."""
    second = find_fit(library, other)
    job = library.jobs.once(("compare", fit.ref, fit.version, second.ref, second.version), lambda: compare(fit, second))
    if job.state != "done":
        return CompareOf(state=job.state, why=job.why, a=fit.ref, b=second.ref)
    found: Comparison = job.value
    order = np.argsort(found.cosine, kind="stable")
    return CompareOf(
        a=fit.ref,
        b=second.ref,
        offset=offset,
        total=order.size,
        mean_cosine=_mean(found.cosine),
        mean_overlap=_mean(found.overlap),
        mean_lds_a=_mean(fit.table("lds")),
        mean_lds_b=_mean(second.table("lds")),
        items=[_row(fit, second, found, t) for t in order[offset : offset + limit].tolist()],
    )


def _row(a: OpenFit, b: OpenFit, found: Comparison, target: int) -> Compared:
    return Compared(
        target=target_shown(a, target),
        cosine=known(found.cosine[target]),
        overlap=known(found.overlap[target]),
        a=_side(a, target),
        b=_side(b, target),
    )


def _side(fit: OpenFit, target: int) -> Side:
    return Side(
        **{name: known(fit.table(column)[target]) for name, column in _COLUMNS.items()},
        support=support_of(fit, target),
    )


_COLUMNS = {"lds": "lds", "margin": "mean", "correct": "correct"}


def _mean(values: NDArray[np.float64]) -> float | None:
    there = values[np.isfinite(values)]
    return float(there.mean()) if there.size else None
