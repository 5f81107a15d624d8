"""What retrained models answered, with the intervals that a few runs allow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from subtrain.evaluation import Interval
from subtrain.uses.kit.intervals import difference_interval, mean_interval

FULL, ALPHA = "full", "alpha"


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Mean of some runs with its 95 % interval (Student's t), null for fewer than two runs, and the values."""
    x = np.asarray(values, np.float64)
    return {**_told(mean_interval(x)), "runs": int(x.size), "values": x.tolist()}


def effect(values: Mapping[str, Sequence[float]], base: str) -> dict[str, Any] | None:
    """Output without the units minus output with them, with its 95 % interval: of pairs on the same subsets (alpha), or
    of two means (Welch's t); None before anything is there."""
    with_them, without = (np.asarray(values.get(kind, ()), np.float64) for kind in ("full", "removed"))
    if not with_them.size or not without.size:
        return None
    if base == ALPHA:
        return _told(mean_interval(without - with_them))
    return _told(difference_interval(without, with_them))


def _told(found: Interval) -> dict[str, Any]:
    mean, low, high = found.value, found.low, found.high
    return {"mean": mean, "low": None if math.isnan(low) else low, "high": None if math.isnan(high) else high}
