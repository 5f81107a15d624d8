"""Removals: sets of units to leave out for a target's sake, and random ones of the same size as controls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.designs.drawn import numbers_below
from subtrain.errors import InputError
from subtrain.study import Study
from subtrain.uses.kit.direction import quantity_fitted

RAISES, LOWERS, RANDOM = "raises", "lowers", "random"
SMALLEST, LARGEST_SHARE = 10, 0.1


@dataclass(frozen=True)
class Removal:
    """Leave these units out and look at this target; kind: "helpful", "harmful", where neither way is better "raises",
    "lowers"; "random", or a word of your own."""

    target: int
    units: Sequence[int] = field(repr=False)
    kind: str = "chosen"


def removals(
    dm: Datamodels,
    targets: Iterable[int],
    sizes: Sequence[int] | None = None,
    directions: Sequence[str] | None = None,
    random_sets: int = 1,
    seed: int = 0,
    study: Study | None = None,
) -> list[Removal]:
    """For each target and size the units of the largest weights of either sign, and `random_sets` random ones.

    sizes: by default 10, 20, 40, … up to a tenth of the units (the paper: 10 to 1,280 of 50,000). What is removed has
    the size asked for: one that a target has too few units of that sign for is left out, as `left_out` says.
    directions: "helpful", "harmful" or both; where neither way is better, as of predictions, "raises", "lowers". study:
    tells which way is better where it was declared. The random units of a size are the same for all targets, so that
    one retraining serves all. Raises InputError for sizes outside 1..n - 1.
    """
    sizes = checked_sizes(dm, sizes)
    signs = _signs(dm, directions, study)
    random = np.random.default_rng(seed)
    drawn = [random.choice(dm.n, size, replace=False).tolist() for size in sizes for _ in range(random_sets)]
    found = []
    for target in numbers_below("targets", list(targets), dm.targets).tolist():
        for kind, sign in signs.items():
            ranked = _ranked(dm.weight[:, target], sign)
            found += [Removal(target, ranked[:size].tolist(), kind) for size in sizes if size <= ranked.size]
        found += [Removal(target, units, RANDOM) for units in drawn]
    return found


def left_out(dm: Datamodels, targets: Iterable[int], sizes: Sequence[int] | None, study: Study | None = None) -> str:
    """Which of the sizes could not be removed, in a sentence; "" where all could."""
    chosen = numbers_below("targets", list(targets), dm.targets)
    said = []
    for kind, sign in _signs(dm, None, study).items():
        have = np.count_nonzero(sign * dm.weight[:, chosen] > 0, axis=0)
        for size in checked_sizes(dm, sizes):
            few = have[have < size]
            if few.size:
                most = f"at most {few.max()}" if few.size > 1 else f"{few.max()}"
                said.append(f"{size} {_called(kind)} for {few.size} of {chosen.size} targets, which have {most}")
    return f"not possible: {'; '.join(said)}" if said else ""


def checked_sizes(dm: Datamodels, sizes: Sequence[int] | None) -> list[int]:
    """Sizes as they are asked for, ascending; InputError unless they lie in 1..n - 1."""
    found = default_sizes(dm.n) if sizes is None else sorted(set(numbers_below("sizes", sizes, dm.n).tolist()))
    if not found or found[0] < 1:
        raise InputError("a removal leaves out at least one unit: sizes must be 1 or more")
    return found


def default_sizes(n: int) -> list[int]:
    """10, 20, 40, … up to a tenth of n units; of very few units, one tenth."""
    most = max(1, int(LARGEST_SHARE * n))
    return [SMALLEST * 2**k for k in range(40) if SMALLEST * 2**k <= most] or [most]


def _signs(dm: Datamodels, directions: Sequence[str] | None, study: Study | None) -> dict[str, int]:
    """The sign of the weights of each direction's units."""
    output = quantity_fitted(dm, study)
    known = dict(zip(output.sides, (output.sign, -output.sign), strict=True))
    asked = output.sides if directions is None else directions
    unknown = sorted(set(asked) - set(known))
    if unknown:
        raise InputError(f"a direction is {' or '.join(known)} here, got {unknown[0]!r}")
    return {kind: known[kind] for kind in asked}


def _called(kind: str) -> str:
    return f"units that {kind.removesuffix('s')} it" if kind in (RAISES, LOWERS) else f"{kind} units"


def _ranked(weight: NDArray[np.floating], sign: int) -> NDArray[np.int64]:
    """Units whose weight has this sign, largest first."""
    order = np.argsort(-sign * weight, kind="stable")
    return order[sign * weight[order] > 0]
