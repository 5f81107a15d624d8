"""Bit-packed masks: m subsets of n units, one bit each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError

WORD = 64
# Rows packed at a time, so that masks of numbers take no memory to speak of besides their own.
_ROWS = 4096


def row_bytes(n: int) -> int:
    """Bytes of one packed row of n bits: whole 64-bit words."""
    return -(-n // WORD) * (WORD // 8)


@dataclass(frozen=True, eq=False)
class Masks:
    """m masks over n units, packed: bit j of row i says whether model i was trained on unit j.

    Args:
        data: uint8 [m, row_bytes(n)], C-contiguous, least significant bit first, padding bits 0; `pack` makes it.
        n: units.

    Raises:
        InputError: data of another shape or dtype.

    Example:
        >>> masks = pack([[1, 0, 1], [0, 1, 1]])
        >>> masks, masks.sizes()
        (Masks(models=2, units=3), array([2, 2]))
    """

    data: NDArray[np.uint8]
    n: int

    def __post_init__(self) -> None:
        want = row_bytes(self.n)
        if self.data.dtype != np.uint8 or self.data.ndim != 2 or self.data.shape[1] != want:
            raise InputError(
                f"packed masks over {self.n} units must be uint8 [m, {want}], "
                f"got {self.data.dtype} {list(self.data.shape)}"
            )

    def __len__(self) -> int:
        return int(self.data.shape[0])

    def __repr__(self) -> str:
        return f"Masks(models={len(self)}, units={self.n})"

    def __getitem__(self, rows: slice | NDArray[np.integer] | NDArray[np.bool_]) -> Masks:
        return Masks(np.ascontiguousarray(self.data[rows]), self.n)

    @property
    def words(self) -> NDArray[np.uint64]:
        """The same bits as uint64 [m, ceil(n / 64)], without a copy."""
        return np.ascontiguousarray(self.data).view("<u8")

    def unpack(self) -> NDArray[np.bool_]:
        """bool [m, n]."""
        return np.unpackbits(self.data, axis=1, count=self.n, bitorder="little").view(np.bool_)

    def times(self, weight: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The masks as numbers times weight [n, T]: float64 [m, T]. A few masks at a time are unpacked."""
        found = np.empty((len(self), weight.shape[1]))
        for start in range(0, len(self), _ROWS):
            some = self[start : start + _ROWS].unpack().astype(np.float64)
            found[start : start + _ROWS] = some @ weight
        return found

    def sizes(self) -> NDArray[np.int64]:
        """Units in each mask, int64 [m]."""
        sizes: NDArray[np.int64] = np.bitwise_count(self.words).sum(axis=1, dtype=np.int64)
        return sizes

    def sha256(self) -> str:
        """Digest of the packed bits; a segment stores it as a check."""
        return hashlib.sha256(self.data.tobytes()).hexdigest()


def join(parts: Sequence[Masks]) -> Masks:
    """The masks of all parts, one below the other."""
    return parts[0] if len(parts) == 1 else Masks(np.concatenate([part.data for part in parts]), parts[0].n)


def pack(masks: object, first: int = 0) -> Masks:
    """Pack a bool or 0/1 array [m, n]; `Masks` pass through. Raises InputError for anything else.

    first: number of the first row, for what an error says.
    """
    if isinstance(masks, Masks):
        return masks
    array = np.asarray(masks)
    if array.ndim != 2:
        raise InputError(f"masks must be two-dimensional [models, units], got shape {list(array.shape)}")
    if array.dtype.kind not in "biuf":
        raise InputError(f"masks must be bool or 0/1 numbers, got dtype {array.dtype}")
    m, n = array.shape
    data = np.zeros((m, row_bytes(n)), np.uint8)
    for start in range(0, m, _ROWS):
        bits = np.packbits(_ones(array[start : start + _ROWS], first + start), axis=1, bitorder="little")
        data[start : start + _ROWS, : bits.shape[1]] = bits
    return Masks(data, n)


def _ones(some: NDArray[Any], first: int) -> NDArray[np.bool_]:
    if some.dtype == np.bool_:
        # A file can hold other bytes where its header says bool; numpy takes them as they are.
        raw = some.view(np.uint8)
        if raw.max(initial=0) > 1:
            i, j = (int(x[0]) for x in np.nonzero(raw > 1))
            raise InputError(f"masks must hold only 0 and 1; row {first + i}, unit {j} is the byte {raw[i, j]}")
        return some
    ones: NDArray[np.bool_] = some == 1
    if not np.all(ones | (some == 0)):
        i, j = (int(x[0]) for x in np.nonzero(~(ones | (some == 0))))
        raise InputError(f"masks must hold only 0 and 1; row {first + i}, unit {j} is {some[i, j]}")
    return ones
