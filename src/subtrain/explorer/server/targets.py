"""Targets: the gallery, one of them in full, its weights, and what it would be without some units."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from subtrain.explorer.answers import targets as answers
from subtrain.explorer.answers.targets import Predicted, TargetDetail, TargetRows, Weights
from subtrain.explorer.data.target_major import K
from subtrain.explorer.server.parameters import LONGEST, Fit, Limit, Offset, Only, Target, numbers

router = APIRouter(prefix="/api/targets", tags=["targets"])
MOST_REMOVED = 100_000


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


class WhatIf(BaseModel):
    """Units to leave out of the training set."""

    removed: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(max_length=MOST_REMOVED)


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
    limit: Limit = 60,
) -> TargetRows:
    """Targets that match, sorted, a page at a time."""
    bounds = {
        "margin": (min_margin, max_margin),
        "lds": (min_lds, max_lds),
        "support": (min_support, max_support),
        "leakage": (min_leakage, max_leakage),
    }
    return answers.rows(fit, q, label, correct, bounds, numbers(only), sort, offset, limit)


@router.get("/{target}", operation_id="target")
def target(fit: Fit, target: Target, k: Annotated[int, Query(ge=1, le=K)] = K) -> TargetDetail:
    """Everything about one target, with the k strongest units on either side."""
    return answers.target(fit, target, k)


@router.get("/{target}/weights", operation_id="target_weights")
def weights(fit: Fit, target: Target, limit: Annotated[int, Query(ge=1, le=MOST_REMOVED)] = 5000) -> Weights:
    """The units with a weight that is not zero, largest absolute weight first."""
    return answers.weights(fit, target, limit)


@router.post("/{target}/whatif", operation_id="whatif")
def whatif(fit: Fit, target: Target, change: WhatIf) -> Predicted:
    """The predicted output of a model trained on every unit but these."""
    return answers.without(fit, target, change.removed)
