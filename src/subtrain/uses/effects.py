"""What retraining showed: means over runs, their differences, and how sure these are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Effect(NamedTuple):
    """A difference of means and its 95 % interval (NaN where there is nothing to tell its error by)."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.3g} [{self.low:+.3g}, {self.high:+.3g}]"


def difference(after: Floats, before: Floats) -> Effect:
    """Mean of `after` less mean of `before`, each independent values [r], with Welch's interval."""
    from scipy.stats import ttest_ind

    value = float(np.mean(after) - np.mean(before))
    if min(len(after), len(before)) < 2 or np.var(after) + np.var(before) == 0:
        return Effect(value, float("nan"), float("nan"))
    interval = ttest_ind(after, before, equal_var=False).confidence_interval(0.95)
    return Effect(value, float(interval.low), float(interval.high))
