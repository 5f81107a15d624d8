"""Suspect pairs of a target and a unit, and what a reviewer decided about them, kept in the study."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from subtrain.explorer.opened import OpenFit
from subtrain.explorer.transposed import K
from subtrain.store.base import put_json, read_json
from subtrain.store.study import Study

REVIEWS = "reviews"
MOST = 500
DECISIONS = ("yes", "no", "skip")
_writing = threading.Lock()


@dataclass(frozen=True)
class Suspect:
    """A pair that may be the same example twice: the higher the score, the more its weight stands out."""

    target: int
    unit: int
    score: float
    weight: float
    reason: str

    @property
    def pair(self) -> str:
        return f"{self.target}-{self.unit}"


def suspects(fit: OpenFit) -> list[Suspect]:
    """The most suspect pairs, most suspect first, one for each target at most."""
    unit, value = fit.table("unit")[:, :K], fit.table("value")[:, :K].astype(np.float64)
    scale = np.sqrt((value**2).sum(axis=1) / np.maximum(1, np.count_nonzero(value, axis=1)))
    score = np.divide(value[:, 0], scale, out=np.zeros(len(value)), where=scale > 0)
    order = np.argsort(-score, kind="stable")[:MOST]
    return [
        Suspect(
            int(t),
            int(unit[t, 0]),
            float(score[t]),
            float(value[t, 0]),
            f"its weight is {score[t]:.1f} times the root mean square of the target's {K} largest",
        )
        for t in order.tolist()
        if unit[t, 0] >= 0 and not fit.viewer.is_itself(int(unit[t, 0]), int(t))
    ]


def decisions(study: Study, output: str) -> dict[str, str]:
    """What was decided about pairs of this output's targets, by pair; {} before anything was."""
    try:
        found = read_json(study.store, _name(output))
    except FileNotFoundError:
        return {}
    pairs = found.get("decisions", {}) if isinstance(found, Mapping) else {}
    return {pair: one for pair, one in pairs.items() if one in DECISIONS}


def decide(study: Study, output: str, pair: str, decision: str | None) -> dict[str, str]:
    """Keep a decision (None takes it back) and return all of them; StorageError if the study cannot be written."""
    with _writing:
        found = decisions(study, output)
        found.pop(pair, None)
        if decision is not None:
            found[pair] = decision
        put_json(study.store, _name(output), {"output": output, "decisions": found})
        return found


def parse_pair(pair: str) -> tuple[int, int] | None:
    """(target, unit) of "7-123"; None for what is no pair."""
    match = re.fullmatch(r"(\d{1,9})-(\d{1,9})", pair, re.ASCII)
    return (int(match[1]), int(match[2])) if match else None


def _name(output: str) -> str:
    return f"{REVIEWS}/leakage-{output}.json"
