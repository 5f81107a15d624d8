"""Which rows of a design are meant: their numbers, the roles of models, and blocks of models with one role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError

FIT, VALIDATION, EVALUATION, ANCHOR = ROLES = "fit", "validation", "evaluation", "anchor"
# The part of a fit's models that the design has for choosing lambda, as `meta["parts"]` names it.
OWN_VALIDATION = "validation-own"
SAID = {FIT: "to fit on", VALIDATION: "to choose lambda by (validation)", ANCHOR: "to tell the level by (anchors)"}
Span = tuple[int, int]
Rows = slice | range | Sequence[int] | NDArray[np.integer]


@dataclass(frozen=True)
class Block:
    """Consecutive models with one role: `subsets` distinct masks, each trained `replicates` times in a row."""

    role: str
    subsets: int
    replicates: int
    first_row: int = 0
    first_subset: int = 0

    @property
    def rows(self) -> int:
        return self.subsets * self.replicates

    @property
    def last_row(self) -> int:
        return self.first_row + self.rows


def blocks_of(plan: Sequence[tuple[str, int, int]]) -> tuple[Block, ...]:
    """Blocks of (role, subsets, replicates), one after another; those without subsets are left out."""
    found, row, subset = [], 0, 0
    for role, subsets, replicates in plan:
        if subsets:
            found.append(Block(role, subsets, replicates, row, subset))
            row, subset = row + subsets * replicates, subset + subsets
    return tuple(found)


def said_of_parts(blocks: Sequence[Block]) -> str:
    """How many models each role has, in words; of held-out subsets how often each is trained."""
    said = []
    for block in blocks:
        if block.role == EVALUATION:
            said.append(f"{block.subsets:,} held-out subset{'s' if block.subsets > 1 else ''} x {block.replicates}")
        else:
            said.append(f"{block.subsets:,} {SAID[block.role]}")
    return ", ".join(said)


def subsets_and_replicates(
    blocks: Sequence[Block], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The number of each row's subset, and which of its replicates the row is."""
    which = np.searchsorted([block.last_row for block in blocks], rows, side="right")
    first_row, first_subset, replicates = (
        np.array([getattr(block, name) for block in blocks], np.int64)[which]
        for name in ("first_row", "first_subset", "replicates")
    )
    offset = rows - first_row
    return first_subset + offset // replicates, offset % replicates


def numbers_among(blocks: Sequence[Block], role: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each row among the models of a role, 0, 1, …; -1 for others."""
    found, before = np.full(rows.size, -1), 0
    for block in blocks:
        if block.role == role:
            here = (rows >= block.first_row) & (rows < block.last_row)
            found[here] = rows[here] - block.first_row + before
            before += block.rows
    return found


def whole(name: str, value: Any, least: int = 0) -> int:
    """`value` as a plain int; InputError unless it is a whole number, `least` or more."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} must be a whole number, {least} or more, got {value!r}")
    return int(value)


def whole_numbers(name: str, values: object) -> NDArray[np.int64]:
    """Numbers as int64 [k]; InputError for floats and for booleans, which are no numbers but a mask."""
    array = np.asarray(values).reshape(-1)
    if array.size and array.dtype.kind not in "iu":
        raise InputError(f"{name} must be whole numbers (np.flatnonzero makes them of a mask), got {array.dtype}")
    return array.astype(np.int64)


def numbers_below(name: str, values: object, count: int) -> NDArray[np.int64]:
    """Numbers of units or targets as int64 [k]; InputError unless all lie in 0..count - 1."""
    index = whole_numbers(name, values)
    outside = index[(index < 0) | (index >= count)]
    if outside.size:
        raise InputError(f"{name} are numbered 0 to {count - 1}, got {outside[0]}")
    return index


def row_numbers(rows: Rows | None, total: int) -> NDArray[np.int64]:
    """Row numbers as int64; None means all, a slice is cut at `total`. Raises InputError outside 0..total-1."""
    if rows is None:
        rows = slice(None)
    if isinstance(rows, slice):
        return np.arange(*rows.indices(total), dtype=np.int64)
    if isinstance(rows, range):
        index = np.arange(rows.start, rows.stop, rows.step, dtype=np.int64)
    else:
        index = whole_numbers("rows", rows)
    if index.size and (index.min() < 0 or index.max() >= total):
        bad = index[(index < 0) | (index >= total)][0]
        raise InputError(f"row {bad} does not exist: there are {total} models, numbered from 0")
    return index
