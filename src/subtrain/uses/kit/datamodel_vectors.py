"""Datamodels as vectors: a target by the units that move it, a unit by the targets that it moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.errors import InputError

Rows = NDArray[np.floating[Any]]
KINDS = ("targets", "units")


@dataclass(frozen=True, eq=False)
class Vectors:
    """Rows of length 1. of: "targets" (columns of the weights) or "units" (rows); index: int64 [k], which of them, for
    those without any weight are left out; rows: [k, n] or [k, T], of the weights' type; of_all: how many there are in
    all."""

    of: str
    index: NDArray[np.int64]
    rows: Rows = field(repr=False)
    of_all: int = 0


def vectors(dm: Datamodels, of: str = "targets") -> Vectors:
    """Datamodels as vectors of length 1. InputError for another kind, and with fewer than three that have a weight."""
    if of not in KINDS:
        raise InputError(f"of must be one of {', '.join(KINDS)}, got {of!r}")
    rows = np.asarray(dm.weight.T if of == "targets" else dm.weight)
    length = np.linalg.norm(rows, axis=1)
    index = np.flatnonzero(length > 0)
    if index.size < 3:
        raise InputError(f"only {index.size} of {len(rows)} {of} have a weight that is not zero, too few to compare")
    return Vectors(of, index, rows[index] / length[index, None], len(rows))
