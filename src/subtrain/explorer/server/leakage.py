"""Leakage review: suspect pairs, and what a person decided about them."""

from __future__ import annotations

import csv
import io
import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Response
from pydantic import BaseModel
from typing_extensions import TypedDict

from subtrain.explorer.answers.leakage import MOST_ROWS, Decision, Pairs, pairs, table
from subtrain.explorer.data.leakage_review import decide, parse_pair
from subtrain.explorer.server.parameters import Fit, Offset

router = APIRouter(prefix="/api/leakage", tags=["leakage"])
FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {}, "application/json": {}}, "description": "The list as a file to keep."}
}


class Decided(BaseModel):
    """What to keep; null takes a decision back."""

    decision: Decision | None


class Kept(TypedDict):
    """The decision as it is kept now, and how many pairs have one."""

    pair: str
    decision: Decision | None
    decided: int


@router.get("", operation_id="leakage")
def leakage(
    fit: Fit,
    undecided: Annotated[bool, Query(description="Only pairs without a decision.")] = False,
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = MOST_ROWS,
) -> Pairs:
    """Suspect pairs with what was decided about them."""
    return pairs(fit, undecided, offset, limit)


@router.get("/export", operation_id="leakage_export", response_class=Response, responses=FILE)
def export(fit: Fit, format: Literal["csv", "json"] = "csv") -> Response:
    """All suspect pairs with their decisions as a file."""
    rows = table(fit)
    headers = {"Content-Disposition": f'attachment; filename="leakage.{format}"'}
    if format == "json":
        return Response(json.dumps(rows, indent=1), media_type="application/json", headers=headers)
    text = io.StringIO()
    writer = csv.DictWriter(text, ["target", "unit", "score", "weight", "q", "decision"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return Response(text.getvalue(), media_type="text/csv", headers=headers)


@router.put("/{pair}", operation_id="decide")
def decided(fit: Fit, pair: Annotated[str, Path(max_length=20)], what: Decided) -> Kept:
    """Keep a decision in the study, at once."""
    numbers = parse_pair(pair)
    if numbers is None or numbers[0] >= fit.dm.targets or numbers[1] >= fit.dm.n:
        raise HTTPException(404, f"{pair!r} is no pair of a target and a unit, as 7-123 is")
    name = f"{numbers[0]}-{numbers[1]}"
    decided = len(decide(fit.study, fit.output, name, what.decision))
    return {"pair": name, "decision": what.decision, "decided": decided}
