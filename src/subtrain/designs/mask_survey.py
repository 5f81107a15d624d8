"""One pass over masks made elsewhere: how many units each holds, and which rows have the same mask."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.masks import pack
from subtrain.store.npy_files import opened

_CHUNK = 4096
_CHUNK_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class Survey:
    """sizes: int64 [rows], units in each mask; first: int64 [rows], the first row with the same mask; n: units."""

    n: int
    sizes: NDArray[np.int64]
    first: NDArray[np.int64]


def survey(masks: Any) -> Survey:
    """Read masks whole, a block at a time; InputError if they cannot be masks, or any number in them is not 0 or 1."""
    array = np.asarray(opened(masks))
    if array.ndim != 2 or array.shape[0] < 2 or array.shape[1] < 2:
        raise InputError(f"masks must be [models, units] with at least two of each, got shape {list(array.shape)}")
    rows, n = array.shape
    sizes, first = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    seen: dict[bytes, int] = {}
    step = rows_at_a_time(array)
    for start in range(0, rows, step):
        packed = pack(np.asarray(array[start : start + step]), start)
        sizes[start : start + step] = packed.sizes()
        for k, row in enumerate(packed.data, start):
            first[k] = seen.setdefault(blake2b(row.tobytes(), digest_size=16).digest(), k)
    return Survey(n, sizes, first)


def rows_at_a_time(masks: NDArray[Any]) -> int:
    """Rows of masks that are read in one block."""
    row: int = masks.shape[1] * masks.itemsize
    return max(1, min(_CHUNK, _CHUNK_BYTES // max(1, row)))
