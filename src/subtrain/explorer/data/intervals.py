"""How far a weight, or a sum of weights, may be off."""

from __future__ import annotations

import math

from subtrain.explorer.open_studies import OpenFit

Z = 1.959964


def half_width(fit: OpenFit, target: int, units: int) -> float | None:
    """Half of the 95 % interval of the sum of so many weights of a target; None where their errors are not known.

    Errors of different units are taken to be independent, as masks nearly are.
    """
    error = float(fit.table("error")[target])
    return Z * error * math.sqrt(units) if math.isfinite(error) else None
