"""Numbers as JSON has them: null for a number that does not exist."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def known(value: Any) -> float | None:
    """A float, or null for a number that does not exist."""
    number = float(value)
    return number if math.isfinite(number) else None


def rounded(values: NDArray[Any], digits: int = 5) -> list[float | None]:
    """Floats with this number of significant digits, null where they do not exist."""
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in values.tolist()]


def floats(values: NDArray[Any]) -> list[float]:
    """Floats with seven significant digits, as float32 has them."""
    return [float(f"{value:.7g}") for value in values.tolist()]


def mean(values: NDArray[np.float64]) -> float | None:
    """The mean of those that exist; null if none does."""
    there = values[np.isfinite(values)]
    return float(there.mean()) if there.size else None
