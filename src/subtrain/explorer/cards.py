"""What the report says of one target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels, Influence
from subtrain.evaluation import Evaluation
from subtrain.explorer.data.examples import Shown, Viewer
from subtrain.explorer.data.heldout_models import Heldout
from subtrain.explorer.data.target_choice import Choice
from subtrain.explorer.figures import scatter


@dataclass(frozen=True)
class Bar:
    """A unit with its weight; width: percent of the target's largest absolute weight."""

    unit: Shown
    weight: str
    width: float
    itself: bool


@dataclass(frozen=True)
class Card:
    """One target, its strongest units on both sides, and its figure (inline SVG)."""

    choice: Choice
    target: Shown
    mean: float
    correct: float | None
    lds: float
    ceiling: float
    lam: float
    nonzero: int
    raising: list[Bar]
    lowering: list[Bar]
    figure: str


def cards(
    choices: Sequence[Choice], dm: Datamodels, evaluation: Evaluation, heldout: Heldout, viewer: Viewer, k: int
) -> list[Card]:
    """A card for each chosen target, with the k strongest units on either side."""
    targets = np.array([choice.target for choice in choices], np.int64)
    predicted = heldout.predicted(dm, targets)
    return [
        _card(choice, dm, evaluation, heldout, viewer, k, predicted[:, column]) for column, choice in enumerate(choices)
    ]


def _card(
    choice: Choice,
    dm: Datamodels,
    evaluation: Evaluation,
    heldout: Heldout,
    viewer: Viewer,
    k: int,
    predicted: NDArray[np.floating[Any]],
) -> Card:
    t = choice.target
    largest = float(np.abs(dm.weight[:, t]).max())
    each = evaluation.per_target
    return Card(
        choice=choice,
        target=viewer.target(t),
        mean=float(each["mean"][t]),
        correct=None if heldout.correct is None else float(heldout.correct[t]),
        lds=float(each["lds"][t]),
        ceiling=float(each["lds_ceiling"][t]),
        lam=float(dm.lam[t]),
        nonzero=int(np.count_nonzero(dm.weight[:, t])),
        raising=_bars(dm.top(t, k), largest, viewer, t),
        lowering=_bars(dm.bottom(t, k), largest, viewer, t),
        figure=scatter(predicted, heldout.actual[:, t], t),
    )


def _bars(influences: list[Influence], largest: float, viewer: Viewer, target: int) -> list[Bar]:
    return [
        Bar(
            viewer.unit(unit),
            _amount(weight, largest),
            round(100 * abs(weight) / largest, 1),
            viewer.is_itself(unit, target),
        )
        for unit, weight in influences
    ]


def _amount(weight: float, largest: float) -> str:
    """The weight with its sign, to the second digit of the target's largest (the third above 1)."""
    decimals = max(0, 1 - math.floor(math.log10(largest)) + (largest >= 1))
    text = f"{weight:+.{decimals}f}"
    return (text if float(text) else f"{weight:+.1g}").replace("-", "−")
