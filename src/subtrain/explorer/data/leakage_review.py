"""Suspect pairs of a target and a unit, and what a reviewer decided about them, kept in the study."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from subtrain.explorer.open_studies import OpenFit
from subtrain.store.seal import put_sealed, read_sealed
from subtrain.studies.manifest import UNSEALED
from subtrain.study import Study

REVIEWS = "reviews"
DECISIONS = ("yes", "no", "skip")
_writing = threading.Lock()


@dataclass(frozen=True)
class Suspect:
    """A pair that may be the same example twice; score and q as `leakage` has them."""

    target: int
    unit: int
    score: float
    weight: float
    q: float

    @property
    def pair(self) -> str:
        return f"{self.target}-{self.unit}"

    @property
    def reason(self) -> str:
        gap = f"this weight stands out {self.score:.1f} times more than expected"
        return f"{gap}; of the targets with q up to {self.q:.2g}, we expect this share to have no duplicate"


def suspects(fit: OpenFit) -> list[Suspect]:
    """The most suspect pairs, surest first; a target that is the unit itself is no suspect."""
    return [one for one in _all(fit) if not fit.viewer.is_itself(one.unit, one.target)]


def _all(fit: OpenFit) -> Iterator[Suspect]:
    columns = (fit.table(f"suspect_{name}").tolist() for name in ("target", "unit", "score", "weight", "q"))
    return (Suspect(*row) for row in zip(*columns, strict=True))


def decisions(study: Study, output: str) -> dict[str, str]:
    """What was decided about pairs of this output's targets, by pair; {} before anything was."""
    try:
        found = read_sealed(study.store, _name(output), required=study.format != UNSEALED)
    except FileNotFoundError:
        return {}
    pairs = found.get("decisions", {})
    return {pair: one for pair, one in pairs.items() if one in DECISIONS}


def decide(study: Study, output: str, pair: str, decision: str | None) -> dict[str, str]:
    """Keep a decision (None takes it back) and return all of them; StorageError if the study cannot be written."""
    with _writing:
        found = decisions(study, output)
        found.pop(pair, None)
        if decision is not None:
            found[pair] = decision
        put_sealed(study.store, _name(output), {"output": output, "decisions": found})
        return found


def parse_pair(pair: str) -> tuple[int, int] | None:
    """(target, unit) of "7-123"; None for what is no pair."""
    match = re.fullmatch(r"(\d{1,9})-(\d{1,9})", pair, re.ASCII)
    return (int(match[1]), int(match[2])) if match else None


def _name(output: str) -> str:
    return f"{REVIEWS}/leakage-{output}.json"
