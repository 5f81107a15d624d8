"""Where the outputs of a study's models lie: in committed segments, or in arrays made elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from subtrain.design import Block
from subtrain.errors import InputError
from subtrain.outputs import Output
from subtrain.store import segment

Range = tuple[int, int]


class Rows(Protocol):
    """Rows of outputs by model number."""

    def committed(self) -> list[Range]:
        """Ranges (start, stop) of models whose outputs are there, ascending, without overlap."""
        ...

    def read(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """The output's rows, in the order asked for."""
        ...


def plan_segments(blocks: Sequence[Block], size: int) -> list[Range]:
    """The study's segments (start, stop): each block of the design cut into runs of at most `size` models.

    An extension adds blocks at the end, so it never changes a segment that exists.
    """
    return [
        (start, min(start + size, block.last_row))
        for block in blocks
        for start in range(block.first_row, block.last_row, size)
    ]


@dataclass(frozen=True)
class SegmentRows:
    """Outputs in the committed segment files of a folder."""

    folder: Path
    outputs: Mapping[str, Output]
    planned: frozenset[Range]

    def committed(self) -> list[Range]:
        if not self.folder.is_dir():
            return []
        found = (segment.parse_file_name(name) for name in os.listdir(self.folder))
        return sorted(r for r in found if r in self.planned)

    def read(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        spec = self.outputs[name]
        out = np.empty((rows.size, *spec.shape), spec.dtype)
        ranges = np.array(self.committed(), np.int64).reshape(-1, 2)
        which = np.searchsorted(ranges[:, 0], rows, side="right") - 1
        inside = (which >= 0) & (rows < ranges[which, 1]) if len(ranges) else np.zeros(rows.size, bool)
        if not inside.all():
            raise InputError(
                f"{np.count_nonzero(~inside)} of {rows.size} models have no outputs yet, "
                f"the first is model {rows[~inside][0]}; run collect to train them"
            )
        for k in np.unique(which):
            start, stop = (int(v) for v in ranges[k])
            arrays, _ = segment.read_segment(self.path(start, stop), self.outputs, [name])
            here = np.flatnonzero(which == k)
            out[here] = arrays[name][rows[here] - start]
        return out

    def path(self, start: int, stop: int) -> Path:
        return self.folder / segment.file_name(start, stop)


@dataclass(frozen=True)
class ArrayRows:
    """Outputs in one .npy file each, made elsewhere, read where they lie."""

    files: Mapping[str, Path]
    total: int

    def committed(self) -> list[Range]:
        return [(0, self.total)]

    def read(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        array = np.array(open_npy(self.files[name])[rows])
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        return array[:, None] if array.ndim == 1 else array


def open_npy(path: Path) -> NDArray[Any]:
    """A .npy file as a read-only memory map; InputError if it is missing, damaged or holds Python objects."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (ValueError, OSError, EOFError, SyntaxError) as error:
        raise InputError(f"{path} is not a readable .npy file: {error}") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path} holds several arrays; give a .npy file with one")
    return array
