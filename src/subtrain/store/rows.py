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
from subtrain.store.segment import Range


class Rows(Protocol):
    """Rows of outputs by model number."""

    def committed(self) -> list[Range]:
        """Ranges (start, stop) of models whose outputs are there, ascending, without overlap."""
        ...

    def whole(self) -> set[Range]:
        """Segments with nothing left to train."""
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
    identity: str

    def whole(self) -> set[Range]:
        """Segments that are committed whole."""
        return {span for span, path in self._files() if path.suffix == segment.WHOLE}

    def committed(self) -> list[Range]:
        return sorted(span for span, _ in self._pieces())

    def read(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        spec = self.outputs[name]
        out = np.empty((rows.size, *spec.shape), spec.dtype)
        pieces = sorted(self._pieces())
        spans = np.array([span for span, _ in pieces], np.int64).reshape(-1, 2)
        which = np.searchsorted(spans[:, 0], rows, side="right") - 1
        inside = (which >= 0) & (rows < spans[which, 1]) if len(spans) else np.zeros(rows.size, bool)
        if not inside.all():
            raise InputError(
                f"{np.count_nonzero(~inside)} of {rows.size} models have no outputs yet, "
                f"the first is model {rows[~inside][0]}; run collect to train them"
            )
        paths = [path for _, path in pieces]
        for path in dict.fromkeys(paths[k] for k in np.unique(which)):
            arrays, header = segment.read_segment(path, self.outputs, [name], self.identity)
            held = np.concatenate([np.arange(a, b) for a, b in header["rows"]])
            here = np.flatnonzero((rows >= held[0]) & (rows <= held[-1]))
            out[here] = arrays[name][np.searchsorted(held, rows[here])]
        return out

    def _files(self) -> list[tuple[Range, Path]]:
        """Planned segments with their file, the whole one where there are both."""
        if not self.folder.is_dir():
            return []
        found: dict[Range, Path] = {}
        for name in sorted(os.listdir(self.folder)):
            span = segment.parse_file_name(name)
            if span in self.planned:
                found[span] = self.folder / name
        return list(found.items())

    def _pieces(self) -> list[tuple[Range, Path]]:
        """Ranges of models that are there, with the file that holds them."""
        return [
            (piece, path)
            for span, path in self._files()
            for piece in ([span] if path.suffix == segment.WHOLE else segment.read_rows(path))
        ]


@dataclass(frozen=True)
class ArrayRows:
    """Outputs in one .npy file each, made elsewhere, read where they lie."""

    files: Mapping[str, Path]
    total: int

    def committed(self) -> list[Range]:
        return [(0, self.total)]

    def whole(self) -> set[Range]:
        return {(0, self.total)}

    def read(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        source = open_npy(self.files[name])
        if len(source) != self.total:
            raise InputError(f"{self.files[name]} has {len(source)} rows, it had {self.total} when it was imported")
        array = np.array(source[rows])
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        return array[:, None] if array.ndim == 1 else array


def open_npy(path: Path) -> NDArray[Any]:
    """A .npy file as a read-only memory map; InputError if it is missing, damaged or holds Python objects."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except Exception as error:  # A damaged header can make numpy raise almost anything.
        why = "it is in another format, or holds Python objects" if "pickle" in str(error) else error
        raise InputError(f"{path} is not a readable .npy file: {why}") from error
    if not isinstance(array, np.memmap):
        raise InputError(f"{path} holds several arrays; give a .npy file with one")
    beyond = path.stat().st_size - array.offset - array.nbytes
    if beyond:
        raise InputError(f"{path} is not a readable .npy file: {beyond} bytes lie beyond the array its header declares")
    return array
