"""Training units: all of them, what one of them does to every target, and pictures of examples."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Response

from subtrain.explorer.answers import units as answers
from subtrain.explorer.answers.examples import picture_of
from subtrain.explorer.answers.units import UnitDetail, UnitRows
from subtrain.explorer.data.target_major import K
from subtrain.explorer.server.parameters import LONGEST, Books, Fit, Limit, Number, Offset, Only, Unit, numbers

router = APIRouter(prefix="/api/units", tags=["units"])
media = APIRouter(prefix="/api/image", tags=["media"])
SIDE = 512
PICTURE: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}, "description": "The picture."}}


class Sort(StrEnum):
    """What units are sorted by; a minus in front: largest first."""

    NUMBER, NUMBER_DOWN = "unit", "-unit"
    EFFECT, EFFECT_DOWN = "effect", "-effect"
    STRENGTH, STRENGTH_DOWN = "strength", "-strength"


@router.get("", operation_id="units")
def units(
    fit: Fit,
    q: Annotated[str, Query(max_length=LONGEST, description="Part of the label, or the number.")] = "",
    only: Only = None,
    sort: Sort = Sort.NUMBER,
    offset: Offset = 0,
    limit: Limit = 60,
) -> UnitRows:
    """Training units that match, sorted, a page at a time."""
    return answers.rows(fit, q, numbers(only), sort, offset, limit)


@router.get("/{unit}", operation_id="unit")
def unit(fit: Fit, unit: Unit, k: Annotated[int, Query(ge=1, le=K)] = K) -> UnitDetail:
    """The targets that a unit helps and hurts most."""
    return answers.unit(fit, unit, k)


@media.get("/{which}/{split}/{number}.png", operation_id="image", response_class=Response, responses=PICTURE)
def image(
    library: Books,
    which: Literal["a", "b"],
    split: Literal["train", "test"],
    number: Number,
    side: Annotated[int, Query(ge=8, le=SIDE, description="Longest side of larger ones, in pixels.")] = SIDE,
) -> Response:
    """An example's picture, of the study (a) or of the one it is compared with (b)."""
    content = picture_of(library, which, split, number, side)
    if content is None:
        raise HTTPException(404, f"there is no picture of {split} example {number}")
    return Response(content, media_type="image/png", headers={"Cache-Control": "private, max-age=86400"})
