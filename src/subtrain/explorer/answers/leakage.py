"""Suspect pairs of a target and a unit, with what a person decided about them."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from subtrain.explorer.answers.examples import Shown, target_shown, unit_shown
from subtrain.explorer.data.leakage_review import decisions, suspects
from subtrain.explorer.jobs import Background
from subtrain.explorer.open_studies import OpenFit

MOST_ROWS = 200
Decision = Literal["yes", "no", "skip"]


class Pair(TypedDict):
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

    total: int
    offset: int
    decided: int
    items: list[Pair]


def pairs(fit: OpenFit, undecided: bool = False, offset: int = 0, limit: int = MOST_ROWS) -> Pairs:
    """Suspect pairs with what was decided about them. undecided: only pairs without a decision."""
    made: Any = decisions(fit.study, fit.output)
    found = suspects(fit)
    listed = [one for one in found if not (undecided and one.pair in made)]
    items: list[Pair] = [
        {
            "pair": one.pair,
            "target": target_shown(fit, one.target),
            "unit": unit_shown(fit, one.unit),
            "score": one.score,
            "weight": one.weight,
            "q": one.q,
            "reason": one.reason,
            "decision": made.get(one.pair),
        }
        for one in listed[offset : offset + limit]
    ]
    decided = sum(one.pair in made for one in found)
    return {"state": "done", "why": "", "total": len(listed), "offset": offset, "decided": decided, "items": items}


def table(fit: OpenFit) -> list[dict[str, Any]]:
    """Every suspect pair as a row of a file, with its decision."""
    made = decisions(fit.study, fit.output)
    columns = ("target", "unit", "score", "weight", "q")
    return [
        {name: getattr(one, name) for name in columns} | {"decision": made.get(one.pair, "")} for one in suspects(fit)
    ]
