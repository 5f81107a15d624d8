"""The curve that LDS follows as models are added, fitted to a few points, and read in both directions."""

from __future__ import annotations

import numpy as np

from subtrain.system.types import Floats

MOST = 1e9
# Mean and standard deviation of what is believed beforehand: the limit over the noise ceiling, and how error falls.
LIMIT, STEEPNESS = (0.95, 0.08), (1.0, 0.3)


def fitted(models: Floats, value: Floats, error: Floats, most: float) -> Floats:
    """limit, models at which half of its square is reached, and steepness, by least squares.

    Few points far from the limit say little of it: beliefs, as weak as they are, keep it from following their noise.
    """
    from scipy.optimize import least_squares

    top = float(min(max(value.max(), 0.02), 0.99 * most))
    start = [min(1.1 * top, 0.99 * most), np.log(float(np.median(models))), 1.0]
    bounds = ([0.01, 0.0, 0.3], [most, np.log(MOST), 3.0])

    def off(p: Floats) -> Floats:
        beliefs = (p[0] / most - LIMIT[0]) / LIMIT[1], (p[2] - STEEPNESS[0]) / STEEPNESS[1]
        return np.append((lds_after(models, np.array([p[0], np.exp(p[1]), p[2]])) - value) / error, beliefs)

    p = least_squares(off, start, bounds=bounds).x
    return np.array([p[0], np.exp(p[1]), p[2]])


def lds_after(models: Floats, parameters: Floats) -> Floats:
    """limit / sqrt(1 + (half / m)^steepness): a correlation whose estimation error falls as a power of m."""
    limit, half, steepness = parameters
    return np.asarray(limit / np.sqrt(1.0 + (half / models) ** steepness))


def needed(lds: float, parameters: Floats) -> float:
    """Where the curve reaches lds; inf at or above its limit, and beyond a billion models."""
    limit, half, steepness = parameters
    if lds >= limit:
        return float("inf")
    found = float(half * ((limit / lds) ** 2 - 1.0) ** (-1.0 / steepness))
    return found if found < MOST else float("inf")
