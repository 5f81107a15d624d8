"""Targets: the gallery, one of them in full, and what it would be without some units."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query

from subtrain.explorer.data.intervals import half_width
from subtrain.explorer.data.target_major import K
from subtrain.explorer.data.target_search import columns
from subtrain.explorer.open_studies import OpenFit
from subtrain.explorer.server.shared import (
    LONGEST,
    Answer,
    Fit,
    Offset,
    Only,
    Shown,
    Target,
    UnitWeight,
    floats,
    known,
    numbers,
    rounded,
    target_shown,
    unit_shown,
)

router = APIRouter(prefix="/api/targets", tags=["targets"])
MOST_ROWS = 500


class TargetRow(Shown):
    """A target in the gallery. margin: mean output over all models; correct: share of models that are right about it;
    support: how many of the most helpful units must go before the predicted margin falls below zero (0: it is below
    already, null: it never does, or the output is no margin); nonzero: units with a weight that is not zero; leakage:
    the highest score of a suspect pair with this target."""

    margin: float | None
    correct: float | None
    lds: float | None
    lds_ceiling: float | None
    support: int | None
    nonzero: int
    leakage: float | None


class TargetRows(Answer):
    """total: targets that match, of which these are some."""

    total: int
    offset: int
    version: str
    items: list[TargetRow]


class Histogram(Answer):
    """counts [B] of models between edges [B + 1]."""

    edges: list[float]
    counts: list[int]


class Heldout(Answer):
    """Predicted and actual output on held-out subsets, the actual one a mean over `runs`; at most 400 of `subsets`."""

    predicted: list[float | None]
    actual: list[float | None]
    runs: int
    subsets: int
    ceiling: float | None


class TargetDetail(Answer):
    """One target. full and average: predicted output of a model trained on every unit, and of one trained on a random
    subset (alpha of them); each unit that is removed takes its weight away from `full`. helpful:
    the units that make the output better, that raise it where neither way is; harmful: the others."""

    shown: Shown
    fit: str
    version: str
    margin: float | None
    sd: float | None
    accuracy: float | None
    models: int
    margins: Histogram
    lds: float | None
    lds_ceiling: float | None
    lds_one: float | None
    lds_one_ceiling: float | None
    lam: float | None
    support: int | None
    nonzero: int
    bias: float
    weight_sum: float
    alpha: float
    full: float
    average: float
    leakage: float | None
    helpful: list[UnitWeight]
    harmful: list[UnitWeight]
    heldout: Heldout | None
    previous: int | None
    next: int | None


class Sort(StrEnum):
    """What targets are sorted by; a minus in front: largest first."""

    NUMBER, NUMBER_DOWN = "target", "-target"
    LABEL, LABEL_DOWN = "label", "-label"
    MARGIN, MARGIN_DOWN = "margin", "-margin"
    CORRECT, CORRECT_DOWN = "correct", "-correct"
    LDS, LDS_DOWN = "lds", "-lds"
    SUPPORT, SUPPORT_DOWN = "support", "-support"
    NONZERO, NONZERO_DOWN = "nonzero", "-nonzero"
    LEAKAGE, LEAKAGE_DOWN = "leakage", "-leakage"


Bound = Annotated[float | None, Query(allow_inf_nan=False)]


@router.get("", operation_id="targets")
def targets(
    fit: Fit,
    q: Annotated[str, Query(max_length=LONGEST, description="Part of the name, label, text or table row.")] = "",
    label: Annotated[str | None, Query(max_length=LONGEST)] = None,
    correct: Annotated[bool | None, Query(description="Whether most models are right about it.")] = None,
    min_margin: Bound = None,
    max_margin: Bound = None,
    min_lds: Bound = None,
    max_lds: Bound = None,
    min_support: Bound = None,
    max_support: Bound = None,
    min_leakage: Bound = None,
    max_leakage: Bound = None,
    only: Only = None,
    sort: Sort = Sort.NUMBER,
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 60,
) -> TargetRows:
    """Targets that match, sorted, a page at a time."""
    bounds = {
        "margin": (min_margin, max_margin),
        "lds": (min_lds, max_lds),
        "support": (min_support, max_support),
        "leakage": (min_leakage, max_leakage),
    }
    found = columns(fit).matching(q, label, correct, bounds, numbers(only))
    found = columns(fit).ordered(found, sort)
    page = found[offset : offset + limit]
    return TargetRows(
        total=found.size, offset=offset, version=fit.version, items=[row(fit, int(target)) for target in page]
    )


def row(fit: OpenFit, target: int) -> TargetRow:
    return TargetRow(
        **dict(target_shown(fit, target)),
        margin=known(fit.table("mean")[target]),
        correct=known(fit.table("correct")[target]),
        lds=known(fit.table("lds")[target]),
        lds_ceiling=known(fit.table("lds_ceiling")[target]),
        support=support_of(fit, target),
        nonzero=int(fit.table("nonzero")[target]),
        leakage=known(fit.table("leakage")[target]),
    )


def support_of(fit: OpenFit, target: int) -> int | None:
    """The data support, null where there is none."""
    size = int(fit.table("support")[target])
    return size if size >= 0 and fit.words.zero else None


@router.get("/{target}", operation_id="target")
def target(fit: Fit, target: Target, k: Annotated[int, Query(ge=1, le=K)] = K) -> TargetDetail:
    """Everything about one target, with the k strongest units on either side."""
    table = fit.table
    # The table has those that raise the output first; of losses those help that lower it.
    up = 0 if fit.sign > 0 else K
    bias, total = float(fit.dm.bias[target]), float(table("total")[target])
    return TargetDetail(
        shown=target_shown(fit, target),
        fit=fit.ref,
        version=fit.version,
        margin=known(table("mean")[target]),
        sd=known(table("sd")[target]),
        accuracy=known(table("correct")[target]),
        models=int(fit.sidecar.about["models"]),
        margins=_histogram(fit, target),
        **{name: known(table(name)[target]) for name in ("lds", "lds_ceiling", "lds_one", "lds_one_ceiling")},
        lam=known(fit.dm.lam[target]),
        support=support_of(fit, target),
        nonzero=int(table("nonzero")[target]),
        bias=bias,
        weight_sum=total,
        alpha=fit.alpha,
        full=bias + total,
        average=bias + fit.alpha * total,
        leakage=known(table("leakage")[target]),
        helpful=_strongest(fit, target, slice(up, up + k)),
        harmful=_strongest(fit, target, slice(K - up, K - up + k)),
        heldout=_heldout(fit, target),
        previous=target - 1 if target else None,
        next=target + 1 if target + 1 < fit.dm.targets else None,
    )


def _histogram(fit: OpenFit, target: int) -> Histogram:
    counts = fit.table("counts")[target]
    low, high = float(fit.table("low")[target]), float(fit.table("high")[target])
    if not np.isfinite(high - low):
        return Histogram(edges=[0.0, 1.0], counts=[0])
    edges = np.linspace(low, high if high > low else low + 1, counts.size + 1)
    return Histogram(edges=floats(edges), counts=counts.tolist())


def _strongest(fit: OpenFit, target: int, side: slice) -> list[UnitWeight]:
    units, values = fit.table("unit")[target, side], fit.table("value")[target, side]
    half = half_width(fit, target, 1)
    return [
        UnitWeight(
            unit=unit_shown(fit, unit),
            weight=weight,
            low=None if half is None else weight - half,
            high=None if half is None else weight + half,
            itself=fit.viewer.is_itself(unit, target),
        )
        for unit, weight in zip(units.tolist(), floats(values), strict=True)
        if unit >= 0
    ]


def _heldout(fit: OpenFit, target: int) -> Heldout | None:
    evaluation = fit.sidecar.about["evaluation"]
    if evaluation is None:
        return None
    return Heldout(
        predicted=rounded(fit.table("predicted")[target]),
        actual=rounded(fit.table("actual")[target]),
        runs=evaluation["replicates"],
        subsets=evaluation["subsets"],
        ceiling=known(fit.table("lds_ceiling")[target]),
    )
