"""Means of a few independent draws, and differences of two such means, with 95 % intervals by Student's t."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bounds = tuple[float, float, float]


def mean_interval(draws: Floats) -> Bounds:
    """Mean of draws [r] and the ends of its interval, NaN for a single draw."""
    return _interval(*_moments(draws))


def difference_interval(after: Floats, before: Floats) -> Bounds:
    """Mean of `after` [r] less that of `before` [s] and the ends of Welch's interval, NaN if either is one draw."""
    (a, var_a, df_a), (b, var_b, df_b) = _moments(after), _moments(before)
    scale = var_a**2 / max(df_a, 1) + var_b**2 / max(df_b, 1)
    freedom = min(df_a, df_b) if scale == 0 or min(df_a, df_b) < 1 else (var_a + var_b) ** 2 / scale
    return _interval(a - b, var_a + var_b, freedom)


def _moments(draws: Floats) -> tuple[float, float, int]:
    """Mean, its squared standard error, degrees of freedom."""
    variance = float(draws.var(ddof=1) / draws.size) if draws.size > 1 else float("nan")
    return float(draws.mean()), variance, draws.size - 1


def _interval(mean: float, variance: float, freedom: float) -> Bounds:
    from scipy.stats import t

    half = float(t.ppf(0.975, freedom)) * variance**0.5 if freedom >= 1 else float("nan")
    return mean, mean - half, mean + half
