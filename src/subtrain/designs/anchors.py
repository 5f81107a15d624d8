"""Anchors: models on more units than the rest, which tell the level of outputs that subsets of one size cannot.

Where every mask holds alpha n units, adding c to all weights and taking c alpha n from the bias changes no prediction
on any of them. What a model of all units would answer then depends on the estimator alone, unless models of other sizes
are there.
"""

from __future__ import annotations

from subtrain.designs.samplers import subset_size

# Where anchors lie between alpha (0) and all units (1), in turn.
PLACES = 1.0, 0.5, 0.8
MOST, LEAST_MODELS = 24, 100


def usual_anchors(models: int, alpha: float | tuple[float, ...]) -> int:
    """How many a design has by default: each place as often, at most a tenth of the models; 0 for several alphas."""
    if isinstance(alpha, tuple) or models < LEAST_MODELS:
        return 0
    return min(MOST, models // 10 // len(PLACES) * len(PLACES))


def anchor_alpha(number: int, alpha: float | tuple[float, ...], n: int) -> float:
    """The share of units that anchor `number` is trained on; more units than alpha has, wherever there are some."""
    lowest = alpha[-1] if isinstance(alpha, tuple) else alpha
    found = round(lowest + (1 - lowest) * PLACES[number % len(PLACES)], 6)
    return found if subset_size(found, n) > subset_size(lowest, n) else 1.0
