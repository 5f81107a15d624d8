"""The law of gaps: how far the largest of many sizes stand above those that follow, and how surprising that is.

Sizes that fall off like a power law have logarithms whose j-th gap, times j, is exponential, the same for all j
(Rényi). A copy breaks that: the gap below it is too large.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subtrain.system.types import Floats

TAIL_LEAST, TAIL = 10, 30
"""How many of a target's largest weights may tell how they fall off."""


def gaps_below(size: Floats, nonzero: NDArray[np.int64], copies: int) -> tuple[Floats, Floats]:
    """Scores [copies, T] of the gap below the first c sizes [top, T], sorted, and the degrees of freedom of each.

    Of `nonzero` weights [T] only the largest fifth, at least TAIL_LEAST, tell how they fall off: they are the tail.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.where(size > 0, size, np.nan))
    gaps = (logs[:-1] - logs[1:]) * np.arange(1, len(size))[:, None]
    gaps[np.arange(len(gaps))[:, None] >= copies + np.maximum(TAIL_LEAST, nonzero // 5)] = np.nan
    score, freedom = np.empty((copies, size.shape[1])), np.empty((copies, size.shape[1]))
    for c in range(copies):
        below = gaps[c + 1 :]
        freedom[c] = 2 * np.isfinite(below).sum(axis=0)
        score[c] = gaps[c] / np.maximum(np.nanmean(below, axis=0), 1e-12)
    return score, freedom


def common_scale(score: Floats, freedom: Floats) -> float:
    """How much larger the median score of single suspects is than that of its distribution; 1 if it is smaller."""
    from scipy.stats import f

    if not score.size:
        return 1.0
    return max(1.0, float(np.median(score[0] / f.median(2, freedom[0]))))


def surest(score: Floats, freedom: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """p [T] of the most surprising number of suspects, corrected for trying several, and that number [T]."""
    from scipy.stats import f

    p = f.sf(score, 2, freedom)
    return np.minimum(1.0, len(p) * p.min(axis=0)), p.argmin(axis=0) + 1
