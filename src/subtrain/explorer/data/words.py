"""What the numbers mean, in words that depend on the output."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from subtrain.evaluation import Evaluation
from subtrain.quantities import Quantity

MATTERS = 0.05


@dataclass(frozen=True)
class Words:
    """output: what a model's output is called, short: in a word; about: what that is; better: "higher", "lower", or
    None where neither is; zero: whether zero divides wrong from right; right: whether it tells who is right; helpful,
    harmful: headings for the units of either side, of which the first raise the output unless lower is better."""

    output: str
    short: str
    about: str
    better: str | None
    zero: bool
    right: bool
    helpful: str
    harmful: str


def meaning(quantity: Quantity, output: str, recorded: str) -> Words:
    """Words for an output; `recorded` is what its schema says it means."""
    called = quantity.called if quantity.known else output.replace("_", " ")
    about = recorded
    if quantity.known:
        some = "" if recorded in (quantity.called, output.rpartition("_")[2]) else recorded
        about = "; ".join(part for part in (some, quantity.about) if part)
    zero, right = quantity.right_above == 0, quantity.right_above is not None
    return Words(called, quantity.short, about, quantity.better, zero, right, *quantity.headings)


@dataclass(frozen=True)
class Comparison:
    """Evaluations side by side, (label, evaluation, whether it is this report's), and one sentence about them."""

    rows: list[tuple[str, Evaluation, bool]]
    sentence: str


def comparison(evaluation: Evaluation, notes: Sequence[tuple[str, Evaluation]]) -> Comparison | None:
    """Other evaluations beside this one; None where there are no others."""
    rows = [(label, other, other is evaluation) for label, other in notes]
    if not any(mine for *_, mine in rows):
        rows.insert(0, ("this report", evaluation, True))
    if len(rows) < 2:
        return None
    limited = [(label, e) for label, e, _ in rows if _lost_to_noise(e) > max(MATTERS, _lost_to_fit(e))]
    if not limited:
        return Comparison(rows, "Each score has to be read against its own ceiling (upper bound), not against 1.")
    label, e = max(limited, key=lambda row: _lost_to_noise(row[1]))
    sentence = (
        f"Seed noise, not a bad datamodel, limits “{label}”: against one run even a perfect predictor would score "
        f"at most {e.lds_one_ceiling:.3f}, and these datamodels reach {e.lds_one.value:.3f}."
    )
    return Comparison(rows, sentence)


def _lost_to_noise(e: Evaluation) -> float:
    return 1 - e.lds_one_ceiling if math.isfinite(e.lds_one_ceiling) else 0.0


def _lost_to_fit(e: Evaluation) -> float:
    return e.lds_one_ceiling - e.lds_one.value if math.isfinite(e.lds_one_ceiling) else math.inf
