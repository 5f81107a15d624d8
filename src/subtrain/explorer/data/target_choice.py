"""Which targets a report shows when nobody says: some that stand for all, and those the models disagree about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
COUNT, CONTESTED = 12, 4


@dataclass(frozen=True)
class Choice:
    """A target to show. rank: 1 for the best LDS, None where it has none; contested: shown for that reason."""

    target: int
    rank: int | None
    contested: bool = False


def choose(lds: Array, correct: Array | None, labels: Sequence[str] | None, count: int = COUNT) -> list[Choice]:
    """`count` targets, always the same ones: representative ones first, best LDS first, then contested ones.

    Representative ones sit at evenly spaced ranks of LDS, the best and the worst included; of the neighbours of a
    rank, one whose label was shown least is taken. Contested ones have the share of correct models nearest one half.
    """
    order = _by_lds(lds)
    if order.size <= count:
        return ranked(order.tolist(), lds)
    contested = 0 if correct is None else count // 3
    shown = _representative(order, labels, count - contested)
    picked = ranked(shown, lds)
    if correct is not None:
        rest = [int(t) for t in np.argsort(np.abs(correct - 0.5), kind="stable") if int(t) not in shown]
        picked += [Choice(c.target, c.rank, contested=True) for c in ranked(rest[:contested], lds)]
    return picked


def ranked(targets: Sequence[int], lds: Array) -> list[Choice]:
    """These targets with their ranks."""
    places = {int(t): k + 1 for k, t in enumerate(_by_lds(lds)) if np.isfinite(lds[t])}
    return [Choice(t, places.get(t)) for t in targets]


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
