"""Some of many: numbers that stand for all where all would be too many to read or to draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def spread(index: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most `most` of these numbers, evenly spaced."""
    return index if index.size <= most else index[np.linspace(0, index.size - 1, most).round().astype(np.int64)]
