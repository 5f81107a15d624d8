"""What the numbers mean, in words that depend on the output."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from subtrain.evaluation import Evaluation

MATTERS = 0.05


@dataclass(frozen=True)
class Words:
    """output: what a model's output is called, short: in a word; about: what that is; raising, lowering: headings for
    units of positive and negative weight."""

    output: str
    short: str
    about: str
    raising: str
    lowering: str


_KNOWN = {
    "margins": Words(
        "correct-class margin",
        "margin",
        "above zero, the model is right about the target",
        "Most helpful",
        "Most harmful",
    ),
    "correctness": Words(
        "correctness",
        "correctness",
        "1 if the model is right about the target, else 0",
        "Most helpful",
        "Most harmful",
    ),
    "losses": Words(
        "loss",
        "loss",
        "the lower, the better the model does on the target",
        "Raise the loss most (harmful)",
        "Lower the loss most (helpful)",
    ),
}


def meaning(quantity: str, output: str, recorded: str) -> Words:
    """Words for an output; `recorded` is what its schema says it means."""
    known = _KNOWN.get(quantity)
    if known is None:
        return Words(output.replace("_", " "), "output", recorded, "Raise it most", "Lower it most")
    about = f"{recorded}; {known.about}" if recorded and recorded != quantity else known.about
    return Words(known.output, known.short, about, known.raising, known.lowering)


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
        return Comparison(rows, "Each score has to be read against its own ceiling, not against 1.")
    label, e = max(limited, key=lambda row: _lost_to_noise(row[1]))
    sentence = (
        f"Seed noise, not a bad datamodel, limits “{label}”: against one run even a perfect predictor would score "
        f"only {e.lds_one_ceiling:.3f}, and these datamodels reach {e.lds_one.value:.3f}."
    )
    return Comparison(rows, sentence)


def _lost_to_noise(e: Evaluation) -> float:
    return 1 - e.lds_one_ceiling if math.isfinite(e.lds_one_ceiling) else 0.0


def _lost_to_fit(e: Evaluation) -> float:
    return e.lds_one_ceiling - e.lds_one.value if math.isfinite(e.lds_one_ceiling) else math.inf
