"""One target's weights, and what it would be without some units."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from subtrain.explorer.data.intervals import half_width
from subtrain.explorer.server.shared import Answer, Fit, Target, check_unit, floats

router = APIRouter(prefix="/api/targets", tags=["targets"])
MOST_REMOVED = 100_000


class Weights(Answer):
    """Every unit with a weight that is not zero, strongest first; total of them, of which these are some."""

    total: int
    unit: list[int]
    weight: list[float]


class WhatIf(BaseModel):
    """Units to leave out of the training set."""

    removed: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(max_length=MOST_REMOVED)


class Predicted(Answer):
    """full: predicted output of a model trained on every unit; predicted: without those removed; low, high: its 95 %
    interval, null where none is known; weights: of the units removed."""

    full: float
    predicted: float
    low: float | None
    high: float | None
    weights: dict[int, float]


@router.get("/{target}/weights", operation_id="target_weights")
def weights(fit: Fit, target: Target, limit: Annotated[int, Query(ge=1, le=MOST_REMOVED)] = 5000) -> Weights:
    """The units with a weight that is not zero, largest absolute weight first."""
    values = fit.sidecar.weight[target]
    there = np.flatnonzero(values)
    order = there[np.argsort(-np.abs(values[there]), kind="stable")][:limit]
    return Weights(total=there.size, unit=order.tolist(), weight=floats(values[order]))


@router.post("/{target}/whatif", operation_id="whatif")
def whatif(fit: Fit, target: Target, change: WhatIf) -> Predicted:
    """The predicted output of a model trained on every unit but these."""
    removed = sorted(set(change.removed))
    for unit in removed[-1:]:
        check_unit(fit, unit)
    values = fit.sidecar.weight[target][removed].astype(np.float64)
    full = float(fit.dm.bias[target]) + float(fit.table("total")[target])
    predicted = full - float(values.sum())
    half = half_width(fit, target, len(removed))
    return Predicted(
        full=full,
        predicted=predicted,
        low=None if half is None else predicted - half,
        high=None if half is None else predicted + half,
        weights=dict(zip(removed, floats(values), strict=True)),
    )
