"""Pictures of examples as PNG files."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Response

from subtrain.explorer.data.examples import view_of
from subtrain.explorer.data.images import png
from subtrain.explorer.open_studies import Library
from subtrain.explorer.server.shared import Books, Number

router = APIRouter(prefix="/api/image", tags=["media"])
SIDE = 512
ANSWERS: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}, "description": "The picture."}}


@router.get("/{which}/{split}/{number}.png", operation_id="image", response_class=Response, responses=ANSWERS)
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


def picture_of(library: Library, which: str, split: str, number: int, side: int) -> bytes | None:
    """PNG; None if there is no such picture."""
    study = library.studies.get("" if which == "a" else "@b")
    images = view_of(study)[0].images.get(split) if study is not None else None
    return png(images[number], side) if images is not None and number < len(images) else None
