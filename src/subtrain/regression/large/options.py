"""What a LASSO over many units is asked for, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.system.types import Floats

Entry = tuple[NDArray[np.int64], Floats]


@dataclass(frozen=True, eq=False)
class LargePath:
    """What was found for T targets, k lambdas and n units.

    lambdas, bias, gap, error: [T, k], as in `Path`; a gap is NaN where the path ended before, by early_stop or for
    want of memory. best: int64 [T], the lambda with the least validation error, or the last one solved. entries[t][l]:
    the units (int64) with a weight and these weights (float64), for raw masks. passes: over the masks; working: the
    most units whose co-occurrences were counted at a time; full: whether a path ended for want of memory. constant:
    int64, the units that are in every mask or in none.
    """

    n: int
    lambdas: Floats
    bias: Floats
    gap: Floats
    error: Floats
    best: NDArray[np.int64]
    entries: list[list[Entry]] = field(repr=False)
    passes: int
    working: int
    full: bool
    constant: NDArray[np.int64]

    def __repr__(self) -> str:
        targets, k = self.gap.shape
        return (
            f"LargePath(units={self.n}, targets={targets}, lambdas={k}, passes={self.passes}, working={self.working})"
        )

    def best_entry(self, target: int) -> Entry:
        """Units and weights of a target at its best lambda."""
        return self.entries[target][int(self.best[target])]

    def weight(self, target: int, step: int | None = None) -> Floats:
        """Weights float64 [n] of a target at one of its lambdas, by default the best."""
        weight = np.zeros(self.n)
        units, values = self.best_entry(target) if step is None else self.entries[target][step]
        weight[units] = values
        return weight


@dataclass(frozen=True)
class Layout:
    """targets: in one pass; ahead: lambdas of each; working: units at most in the working set."""

    targets: int
    ahead: int
    working: int


def joined(parts: list[LargePath]) -> LargePath:
    """The paths of several groups of targets, one after the other."""
    names = ("lambdas", "bias", "gap", "error", "best")
    arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return LargePath(
        n=parts[0].n,
        **arrays,
        constant=parts[0].constant,
        entries=[entry for part in parts for entry in part.entries],
        passes=sum(part.passes for part in parts),
        working=max(part.working for part in parts),
        full=any(part.full for part in parts),
    )
