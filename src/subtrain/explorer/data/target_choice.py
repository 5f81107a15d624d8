"""Some that stand for all: of many numbers, and of the targets, where a page cannot show every one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


def choose(lds: Array, correct: Array | None, labels: Sequence[str] | None, count: int) -> list[int]:
    """`count` targets, always the same ones: representative ones first, best LDS first, then contested ones.

    Representative ones sit at evenly spaced ranks of LDS, the best and the worst included; of the neighbors of a
    rank, one whose label was shown least is taken. Contested ones have the share of correct models nearest one half.
    """
    order = _by_lds(lds)
    if order.size <= count:
        return [int(target) for target in order]
    if correct is None:
        return _representative(order, labels, count)
    contested = count // 3
    shown = _representative(order, labels, count - contested)
    rest = [int(target) for target in np.argsort(np.abs(correct - 0.5), kind="stable") if int(target) not in shown]
    return shown + rest[:contested]


def _by_lds(lds: Array) -> NDArray[np.int64]:
    """Targets by falling LDS; those without one last."""
    return np.argsort(-np.where(np.isfinite(lds), lds, -np.inf), kind="stable")


def _representative(order: NDArray[np.int64], labels: Sequence[str] | None, count: int) -> list[int]:
    last = order.size - 1
    reach = order.size // (3 * count)
    ranks: list[int] = np.linspace(0, last, count).round().astype(int).tolist()
    seen: Counter[str] = Counter()
    shown: dict[int, int] = {}
    for rank in sorted(ranks, key=lambda rank: rank not in (0, last)):
        shown[rank] = min(
            (int(order[k]) for k in _near(rank, reach, last)), key=lambda t: seen[labels[t]] if labels else 0
        )
        seen.update([labels[shown[rank]]] if labels else [])
    return [shown[rank] for rank in ranks]


def _near(rank: int, reach: int, last: int) -> list[int]:
    """Ranks that may stand in for this one, the nearest first; the best and the worst stand for themselves."""
    if rank in (0, last):
        return [rank]
    return sorted(range(max(1, rank - reach), min(last, rank + reach + 1)), key=lambda k: abs(k - rank))


def spread(index: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most `most` of these numbers, evenly spaced."""
    return index if index.size <= most else index[np.linspace(0, index.size - 1, most).round().astype(np.int64)]
