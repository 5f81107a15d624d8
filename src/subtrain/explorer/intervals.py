"""How far a weight, or a sum of weights, may be off."""

from __future__ import annotations

import math

from subtrain.explorer.opened import OpenFit

Z = 1.959964


def half_width(fit: OpenFit, target: int, units: int) -> float | None:
    """Half of the 95 % interval of the sum of so many weights of a target; None where nothing is known of its errors.

    Each weight by itself is a difference of two means over the m models fitted on, with and without the unit, whose
    variance is that of what the other units leave unexplained, over m α (1 − α). Errors of different units are taken
    to be independent, as masks nearly are.
    """
    one = standard_error(fit, target)
    return None if one is None else Z * one * math.sqrt(units)


def standard_error(fit: OpenFit, target: int) -> float | None:
    """Of one weight of this target."""
    m, alpha = int(fit.dm.meta.get("models", 0)), fit.alpha
    evaluation = fit.sidecar.about["evaluation"]
    if evaluation is None or m < 1 or not 0 < alpha < 1:
        return None
    left = float(fit.table("residual")[target])
    return math.sqrt(left / (m * alpha * (1 - alpha))) if math.isfinite(left) else None
