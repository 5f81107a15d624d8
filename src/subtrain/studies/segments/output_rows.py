"""Where the outputs of a study's models lie: in committed segments, or in arrays made elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from subtrain.designs.model_rows import Block, Span
from subtrain.errors import InputError
from subtrain.outputs import Output
from subtrain.store.npy_files import open_npy, open_verified
from subtrain.store.protocol import Store
from subtrain.studies.segments import segment_file

# Segments fetched at a time where each takes a round trip.
_FETCHED = 16


class Rows(Protocol):
    """Rows of outputs by model number."""

    def committed(self) -> list[Span]:
        """Ranges (start, stop) of models whose outputs are there, ascending, without overlap."""
        ...

    def whole(self) -> set[Span]:
        """Segments with nothing left to train."""
        ...

    def read(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """The output's rows, in the order asked for."""
        ...


def plan_segments(blocks: Sequence[Block], size: int) -> list[Span]:
    """The study's segments (start, stop): each block of the design cut into runs of at most `size` models.

    An extension adds blocks at the end, so it never changes a segment that exists.
    """
    return [
        (start, min(start + size, block.last_row))
        for block in blocks
        for start in range(block.first_row, block.last_row, size)
    ]


@dataclass(frozen=True)
class _Pieces:
    """Ranges of models that are there, int64 [k, 2], ascending, each with the file that holds it."""

    spans: NDArray[np.int64]
    names: list[str]

    def which(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The piece each of these models is in, -1 where it is in none."""
        if not self.names:
            return np.full(rows.size, -1)
        found = np.searchsorted(self.spans[:, 0], rows, side="right") - 1
        return np.where((found >= 0) & (rows < self.spans[found, 1]), found, -1)


_NONE = _Pieces(np.zeros((0, 2), np.int64), [])


@dataclass(frozen=True)
class SegmentRows:
    """Outputs in the committed segment files of a folder of the store."""

    store: Store
    folder: str
    outputs: Mapping[str, Output]
    planned: frozenset[Span]
    identity: str
    _seen: list[_Pieces] = field(default_factory=lambda: [_NONE], repr=False, compare=False)

    def whole(self) -> set[Span]:
        """Segments that are committed whole."""
        return {span for span, name in self._files() if name.endswith(segment_file.WHOLE)}

    def committed(self) -> list[Span]:
        return [(a, b) for a, b in self._look().spans.tolist()]

    def read(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        spec = self.outputs[name]
        pieces = self._holding(rows)
        which = pieces.which(rows)
        if (which < 0).any():
            raise InputError(
                f"{np.count_nonzero(which < 0)} of {rows.size} models have no outputs yet, "
                f"the first is model {rows[which < 0][0]}; run collect to train them"
            )
        files = list(dict.fromkeys(pieces.names[k] for k in np.unique(which)))
        out = np.empty((rows.size if not files else 0, *spec.shape), spec.dtype)
        for array, header in self._arrays(files, name):
            # Not before a file shows that the declared shape is a real one.
            out = out if len(out) else np.empty((rows.size, *spec.shape), spec.dtype)
            held = np.concatenate([np.arange(a, b) for a, b in header["rows"]])
            here = np.flatnonzero((rows >= held[0]) & (rows <= held[-1]))
            out[here] = array[np.searchsorted(held, rows[here])]
        return out

    def _holding(self, rows: NDArray[np.int64]) -> _Pieces:
        """The pieces as last seen if they hold all these models, for what is committed stays; else as they are now."""
        known = self._seen[0]
        return known if (known.which(rows) >= 0).all() else self._look()

    def _arrays(self, files: list[str], name: str) -> Iterator[tuple[NDArray[Any], dict[str, Any]]]:
        """One output of each file, with the file's header; several are fetched at once where they lie elsewhere."""

        def read(file: str) -> tuple[NDArray[Any], dict[str, Any]]:
            arrays, header = segment_file.read_segment(self.store, file, self.outputs, [name], self.identity)
            return arrays[name], header

        try:
            if self.store.path() is not None:
                yield from map(read, files)
                return
            with ThreadPoolExecutor(_FETCHED) as pool:
                for first in range(0, len(files), _FETCHED):
                    yield from pool.map(read, files[first : first + _FETCHED])
        except FileNotFoundError as error:
            self._seen[0] = _NONE
            raise InputError(f"a segment has been deleted ({error}); run collect to train its models again") from error

    def _files(self) -> list[tuple[Span, str]]:
        """Planned segments with their file, the whole one where there are both."""
        found: dict[Span, str] = {}
        for name in self.store.names(self.folder):
            span = segment_file.parse_file_name(name.removeprefix(f"{self.folder}/"))
            if span in self.planned:
                found[span] = name
        return list(found.items())

    def _look(self) -> _Pieces:
        pieces = sorted(
            (piece, name)
            for span, name in self._files()
            for piece in ([span] if name.endswith(segment_file.WHOLE) else segment_file.read_rows(self.store, name))
        )
        spans = np.array([span for span, _ in pieces], np.int64).reshape(-1, 2)
        self._seen[0] = _Pieces(spans, [name for _, name in pieces])
        return self._seen[0]


@dataclass(frozen=True)
class ArrayRows:
    """Outputs in one .npy file each, made elsewhere, read where they lie; `unfilled` rows count as missing.

    digests: of the files that lie in the study.
    """

    files: Mapping[str, Path]
    total: int
    unfilled: tuple[Span, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)

    def committed(self) -> list[Span]:
        ends = [0, *(end for span in self.unfilled for end in span), self.total]
        return [(a, b) for a, b in zip(ends[::2], ends[1::2], strict=True) if a < b]

    def whole(self) -> set[Span]:
        return {(0, self.total)}

    def read(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        path, digest = self.files[name], self.digests.get(name)
        source = open_npy(path) if digest is None else open_verified(path, digest)
        if len(source) != self.total:
            raise InputError(f"{self.files[name]} has {len(source)} rows, it had {self.total} when it was imported")
        array = np.array(source[rows])
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        return array[:, None] if array.ndim == 1 else array
