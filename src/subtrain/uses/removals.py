"""Removals: sets of units to leave out for a target's sake, and random ones of the same size as controls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.design import numbers_below
from subtrain.errors import InputError

HELPFUL, HARMFUL, RANDOM = "helpful", "harmful", "random"
SMALLEST, LARGEST_SHARE = 10, 0.1


@dataclass(frozen=True)
class Removal:
    """Leave these units out and look at this target; kind: "helpful", "harmful", "random", or a word of your own."""

    target: int
    units: Sequence[int] = field(repr=False)
    kind: str = "chosen"


def removals(
    dm: Datamodels,
    targets: Iterable[int],
    sizes: Sequence[int] | None = None,
    directions: Sequence[str] = (HELPFUL, HARMFUL),
    random_sets: int = 1,
    seed: int = 0,
) -> list[Removal]:
    """For each target and size the units of the largest weights of either sign, and `random_sets` random ones.

    sizes: by default 10, 20, 40, … up to a tenth of the units (the paper: 10 to 1,280 of 50,000). A target with fewer
    units of that sign than asked for loses them all, once. The random units of a size are the same for all targets, so
    that one retraining serves all. Raises InputError for sizes outside 1..n - 1.
    """
    sizes = default_sizes(dm.n) if sizes is None else sorted(set(numbers_below("sizes", sizes, dm.n).tolist()))
    if not sizes or sizes[0] < 1:
        raise InputError("a removal leaves out at least one unit: sizes must be 1 or more")
    unknown = sorted(set(directions) - {HELPFUL, HARMFUL})
    if unknown:
        raise InputError(f"a direction is {HELPFUL} or {HARMFUL}, got {unknown[0]!r}")
    random = np.random.default_rng(seed)
    drawn = [random.choice(dm.n, size, replace=False).tolist() for size in sizes for _ in range(random_sets)]
    found = []
    for target in numbers_below("targets", list(targets), dm.targets).tolist():
        for kind in directions:
            ranked = _ranked(dm.weight[:, target], 1 if kind == HELPFUL else -1)
            counts = sorted({min(size, ranked.size) for size in sizes} - {0})
            found += [Removal(target, ranked[:count].tolist(), kind) for count in counts]
        found += [Removal(target, units, RANDOM) for units in drawn]
    return found


def default_sizes(n: int) -> list[int]:
    """10, 20, 40, … up to a tenth of n units; of very few units, one tenth."""
    most = max(1, int(LARGEST_SHARE * n))
    return [SMALLEST * 2**k for k in range(40) if SMALLEST * 2**k <= most] or [most]


def _ranked(weight: NDArray[np.floating], sign: int) -> NDArray[np.int64]:
    """Units whose weight has this sign, largest first."""
    order = np.argsort(-sign * weight, kind="stable")
    return order[sign * weight[order] > 0]
