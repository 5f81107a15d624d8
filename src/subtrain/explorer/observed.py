"""What retrained models answered, with the intervals that a few runs allow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

FULL, ALPHA = "full", "alpha"


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Mean of some runs with its 95 % interval (Student's t), null for fewer than two runs, and the values."""
    x = np.asarray(values, np.float64)
    error = float(x.std(ddof=1) / math.sqrt(x.size)) if x.size > 1 else math.nan
    return {**_interval(float(x.mean()), error, x.size - 1), "runs": int(x.size), "values": x.tolist()}


def effect(values: Mapping[str, Sequence[float]], base: str) -> dict[str, Any] | None:
    """Output without the units minus output with them, with its 95 % interval: of pairs on the same subsets (alpha), or
    of two means (Welch's t); None before anything is there."""
    with_them, without = (np.asarray(values.get(kind, ()), np.float64) for kind in ("full", "removed"))
    if not with_them.size or not without.size:
        return None
    if base == ALPHA:
        return {k: v for k, v in summary((without - with_them).tolist()).items() if k in ("mean", "low", "high")}
    mean = float(without.mean() - with_them.mean())
    if min(with_them.size, without.size) < 2:
        return _interval(mean, math.nan, 1)
    parts = [x.var(ddof=1) / x.size for x in (with_them, without)]
    spread = sum(part**2 / (x.size - 1) for part, x in zip(parts, (with_them, without), strict=True))
    return _interval(mean, math.sqrt(sum(parts)), sum(parts) ** 2 / spread if spread > 0 else 1.0)


def _interval(mean: float, error: float, freedom: float) -> dict[str, Any]:
    from scipy.stats import t

    half = float(t.ppf(0.975, freedom)) * error if math.isfinite(error) else None
    return {"mean": mean, "low": None if half is None else mean - half, "high": None if half is None else mean + half}
