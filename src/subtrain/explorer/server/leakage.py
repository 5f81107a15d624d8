"""Leakage review: suspect pairs, and what a person decided about them."""

from __future__ import annotations

import csv
import io
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Response
from pydantic import BaseModel, Field

from subtrain.explorer.data.leakage_review import Suspect, decide, decisions, parse_pair, suspects
from subtrain.explorer.open_studies import OpenFit
from subtrain.explorer.server.shared import Answer, Background, Fit, Offset, Shown, target_shown, unit_shown

router = APIRouter(prefix="/api/leakage", tags=["leakage"])
MOST_ROWS = 200
FILE = {
    200: {"content": {"text/csv": {}, "application/json": {}}, "description": "The list as a file to keep."},
}
ANSWERS: dict[int | str, dict[str, Any]] = FILE  # type: ignore[assignment]
Decision = Literal["yes", "no", "skip"]


class Pair(Answer):
    """A target and a unit that may be the same example. pair: its name in addresses; q: of the targets with q at most
    x, a share of x is expected to be clean; decision: yes, they are the same."""

    pair: str
    target: Shown
    unit: Shown
    score: float
    weight: float
    q: float
    reason: str
    decision: Decision | None


class Pairs(Background):
    """total pairs, most suspect first, of which these are some; decided: how many of them have a decision."""

    total: int = 0
    offset: int = 0
    decided: int = 0
    items: list[Pair] = Field(default_factory=list)


class Decided(BaseModel):
    """What to keep; null takes a decision back."""

    decision: Decision | None


class Kept(Answer):
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
    made = decisions(fit.study, fit.output)
    found = suspects(fit)
    listed = [one for one in found if not (undecided and one.pair in made)]
    return Pairs(
        total=len(listed),
        offset=offset,
        decided=sum(one.pair in made for one in found),
        items=[pair_of(fit, one, made.get(one.pair)) for one in listed[offset : offset + limit]],
    )


def pair_of(fit: OpenFit, one: Suspect, decision: Any) -> Pair:
    return Pair(
        pair=one.pair,
        target=target_shown(fit, one.target),
        unit=unit_shown(fit, one.unit),
        score=one.score,
        weight=one.weight,
        q=one.q,
        reason=one.reason,
        decision=decision,
    )


@router.get("/export", operation_id="leakage_export", response_class=Response, responses=ANSWERS)
def export(fit: Fit, format: Literal["csv", "json"] = "csv") -> Response:
    """All suspect pairs with their decisions as a file."""
    rows = _rows(fit)
    headers = {"Content-Disposition": f'attachment; filename="leakage.{format}"'}
    if format == "json":
        import json

        return Response(json.dumps(rows, indent=1), media_type="application/json", headers=headers)
    text = io.StringIO()
    writer = csv.DictWriter(text, ["target", "unit", "score", "weight", "q", "decision"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return Response(text.getvalue(), media_type="text/csv", headers=headers)


def _rows(fit: OpenFit) -> list[dict[str, Any]]:
    made = decisions(fit.study, fit.output)
    return [
        {
            "target": one.target,
            "unit": one.unit,
            "score": one.score,
            "weight": one.weight,
            "q": one.q,
            "decision": made.get(one.pair, ""),
        }
        for one in suspects(fit)
    ]


@router.put("/{pair}", operation_id="decide")
def decided(fit: Fit, pair: Annotated[str, Path(max_length=20)], what: Decided) -> Kept:
    """Keep a decision in the study, at once."""
    numbers = parse_pair(pair)
    if numbers is None or numbers[0] >= fit.dm.targets or numbers[1] >= fit.dm.n:
        raise HTTPException(404, f"{pair!r} is no pair of a target and a unit, as 7-123 is")
    name = f"{numbers[0]}-{numbers[1]}"
    return Kept(pair=name, decision=what.decision, decided=len(decide(fit.study, fit.output, name, what.decision)))
