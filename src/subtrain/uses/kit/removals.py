"""Units to leave out, and as many at random to compare with: as lists of units and as masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.designs.model_rows import numbers_below
from subtrain.errors import InputError
from subtrain.quantities import Quantity
from subtrain.studies.stored_study import StoredStudy
from subtrain.uses.kit.direction import quantity_fitted

Numbers = NDArray[np.int64]
RAISES, LOWERS, RANDOM = "raises", "lowers", "random"
SMALLEST, LARGEST_SHARE = 10, 0.1


@dataclass(frozen=True)
class Removal:
    """Leave these units out and look at this target; kind: "helpful", "harmful", where neither way is better "raises",
    "lowers"; "random", or a word of your own."""

    target: int
    units: Sequence[int] = field(repr=False)
    kind: str = "chosen"


def without(n: int, sets: Sequence[Sequence[int] | Numbers]) -> NDArray[np.bool_]:
    """Masks bool [k, n] of all units but those of each set."""
    return ~only(n, sets)


def only(n: int, sets: Sequence[Sequence[int] | Numbers]) -> NDArray[np.bool_]:
    """Masks bool [k, n] of the units of each set alone."""
    masks = np.zeros((len(sets), n), np.bool_)
    for mask, units in zip(masks, sets, strict=True):
        mask[np.asarray(units, np.int64)] = True
    return masks


def random_sets(n: int, sizes: Sequence[int], seed: int | Sequence[int]) -> list[Numbers]:
    """One random set of units for each of these sizes, without repeats within a set."""
    random = np.random.default_rng(seed)
    return [random.choice(n, size, replace=False) for size in sizes]


def ranked(weight: NDArray[Any], sign: int) -> Numbers:
    """Units whose weight [n] has this sign, the largest first."""
    order = np.argsort(-sign * weight, kind="stable")
    return order[sign * weight[order] > 0]


def by_side(measured: Quantity) -> dict[str, int]:
    """The sign of the weights of helpful and of harmful units (of those that raise and lower the output)."""
    return dict(zip(measured.sides, (measured.sign, -measured.sign), strict=True))


def removals(
    dm: Datamodels,
    study: StoredStudy | None,
    targets: Iterable[int],
    sizes: Sequence[int] | None = None,
    directions: Sequence[str] | None = None,
    random: int = 1,
    seed: int = 0,
) -> list[Removal]:
    """For each target and size the units of the largest weights of either sign, and `random` sets of random ones.

    sizes: by default 10, 20, 40, … up to a tenth of the units (the paper: 10 to 1,280 of 50,000). What is removed has
    the size asked for: one that a target has too few units of that sign for is left out, as `left_out` says.
    directions: "helpful", "harmful" or both; where neither way is better, as of predictions, "raises", "lowers". study:
    tells which way is better where it was declared. The random units of a size are the same for all targets, so that
    one retraining serves all. Raises InputError for sizes outside 1..n - 1.
    """
    sizes = checked_sizes(dm, sizes)
    signs = _signs(dm, directions, study)
    drawn = [units.tolist() for units in random_sets(dm.n, [size for size in sizes for _ in range(random)], seed)]
    found = []
    for target in numbers_below("targets", list(targets), dm.targets).tolist():
        for kind, sign in signs.items():
            units = ranked(dm.weight[:, target], sign)
            found += [Removal(target, units[:size].tolist(), kind) for size in sizes if size <= units.size]
        found += [Removal(target, units, RANDOM) for units in drawn]
    return found


def left_out(dm: Datamodels, targets: Iterable[int], sizes: Sequence[int] | None, study: StoredStudy | None) -> str:
    """Which of the sizes could not be removed, in a sentence; "" where all could."""
    chosen = numbers_below("targets", list(targets), dm.targets)
    short = []
    for kind, sign in _signs(dm, None, study).items():
        have = np.count_nonzero(sign * dm.weight[:, chosen] > 0, axis=0)
        named = f"units that {kind.removesuffix('s')} it" if kind in (RAISES, LOWERS) else f"{kind} units"
        for size in checked_sizes(dm, sizes):
            few = have[have < size]
            if few.size:
                most = f"at most {few.max()}" if few.size > 1 else f"{few.max()}"
                short.append(f"{size} {named} for {few.size} of {chosen.size} targets, which have {most}")
    return f"not possible: {'; '.join(short)}" if short else ""


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


def _signs(dm: Datamodels, directions: Sequence[str] | None, study: StoredStudy | None) -> dict[str, int]:
    """The sign of the weights of each direction's units."""
    known = by_side(quantity_fitted(dm, study))
    asked = list(known) if directions is None else directions
    unknown = sorted(set(asked) - set(known))
    if unknown:
        raise InputError(f"a direction is {' or '.join(known)} here, got {unknown[0]!r}")
    return {kind: known[kind] for kind in asked}
