"""Arrays of remote files that read only the bytes of what is asked for, and stand wherever a memory map does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import CorruptError, InputError
from subtrain.formatting import size
from subtrain.public.price import FREE, Network, Price, Purse, Rates, price
from subtrain.public.remote.byte_ranges import Choice, Indices, Runs, choose, runs_of
from subtrain.public.remote.npy_header import Header
from subtrain.public.remote.parallel import at_once
from subtrain.public.remote.range_cache import KeptFile
from subtrain.public.remote.source import FileVersion, RemoteSource
from subtrain.system.machine import available_memory
from subtrain.system.user_warning import warn_user

# A reading in more requests than this says so, and what it costs.
MANY = 256
# Readings in more pieces are not kept, as a file for each would be dearer than the next reading; nor are those of more
# bytes, which are passes over a file and would drive everything else out.
_KEPT_PIECES, _KEPT_BYTES = 1024, 32 << 20
_TASKS = 4096


class PriceWarning(UserWarning):
    """A reading that takes many requests."""


class _BeyondError(InputError, IndexError):
    """An index beyond the array: what iteration over a sequence needs to know, in a sentence."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A file that was looked at: its version and header, what reading costs, and where what is read is kept."""

    source: RemoteSource
    key: str
    version: FileVersion
    header: Header
    rates: Rates = FREE
    network: Network = field(default_factory=Network)
    purse: Purse = field(default_factory=Purse)
    kept: KeptFile | None = None

    @property
    def location(self) -> str:
        """The file as messages name it."""
        return self.source.location(self.key)

    def fetch(self, asked: Runs, wanted: Runs) -> NDArray[np.uint8]:
        """The wanted bytes, one run after the other, by asking for these runs, which hold them all."""
        out = np.empty(wanted.bytes, np.uint8)
        places = np.concatenate([[0], np.cumsum(wanted.stops - wanted.starts)])
        pieces = asked.pieces()
        cost = self.price_of(pieces)
        what = f"reading {size(wanted.bytes)} of {self.key}"
        keep = self._keeps(pieces)

        def pay_and_read(start: int, stop: int) -> bytes:
            self.purse.pay(price(stop - start, 1, self.rates, self.network), what)
            return self.source.read(self.key, start, stop, self.version)

        def one(k: int) -> None:
            start, stop = int(pieces.starts[k]), int(pieces.stops[k])
            data = keep.read(start, stop, pay_and_read) if keep else pay_and_read(start, stop)
            _scatter(np.frombuffer(data, np.uint8), start, wanted, places, out)

        self.purse.check(cost, what)
        for first in range(0, len(pieces.starts), _TASKS):
            some = range(first, min(first + _TASKS, len(pieces.starts)))
            at_once(one, some, min(len(some), self.network.parallel))
        return out

    def price_of(self, pieces: Runs) -> Price:
        """What asking for these costs now, without what is kept."""
        keep = self._keeps(pieces)
        if keep is None:
            return price(pieces.bytes, len(pieces.starts), self.rates, self.network)
        spans = zip(pieces.starts.tolist(), pieces.stops.tolist(), strict=True)
        gone = [count for count in (keep.missing(*span) for span in spans) if count]
        return price(sum(gone), len(gone), self.rates, self.network)

    def _keeps(self, pieces: Runs) -> KeptFile | None:
        few = len(pieces.starts) <= _KEPT_PIECES and pieces.bytes <= _KEPT_BYTES
        return self.kept if few else None


@dataclass(frozen=True, eq=False)
class RemoteArray:
    """An array [rows, columns, …] in a remote .npy file; a slice of it reads only those bytes.

    Index it as a memory map: whole numbers, slices, and in one axis an array of numbers or bools. `part` makes a
    smaller array of the same kind without reading anything. What is read costs what `price` says; it is refused with
    InputError beyond the purse's limit, and raises CorruptError when the file has changed or holds what it must not.
    """

    file: Opened
    rows: range
    columns: range

    @staticmethod
    def of(file: Opened) -> RemoteArray:
        """The whole array of an opened file."""
        shape = file.header.shape
        return RemoteArray(file, range(shape[0]), range(shape[1] if len(shape) > 1 else 1))

    def __repr__(self) -> str:
        return f"RemoteArray({self.file.location}, {list(self.shape)} {self.dtype})"

    @property
    def shape(self) -> tuple[int, ...]:
        full = self.file.header.shape
        return (len(self.rows), len(self.columns), *full[2:])[: len(full)]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.file.header.dtype

    @property
    def ndim(self) -> int:
        return len(self.file.header.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=object))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Row by row, read some megabytes at a time."""
        step = max(1, (16 << 20) * len(self) // max(1, self.nbytes))
        for start in range(0, len(self), step):
            yield from self[start : start + step]

    def part(self, rows: slice = slice(None), columns: slice = slice(None)) -> RemoteArray:
        """These rows and columns, still unread."""
        if columns != slice(None) and self.ndim < 2:
            raise InputError(f"{self.file.location} has no columns")
        return replace(self, rows=self.rows[rows], columns=self.columns[columns])

    def price(self, rows: Any = slice(None), columns: Any = slice(None)) -> Choice:
        """How these rows and columns would be read, and what that costs; nothing is read."""
        key = (rows, columns) if self.ndim > 1 else (rows,)
        return self._choice(runs_of(self.file.header, [each for each, _ in self._chosen(key)]))

    def expect_all(self, among: Sequence[object]) -> None:
        """Called before all of these arrays are read, once each: refuses it where they cost too much together."""
        ours = [array for array in among if isinstance(array, RemoteArray) and array.file.purse is self.file.purse]
        costs = [array.file.price_of(array.price().taken.runs.pieces()) for array in ours]
        what = "reading " + " and ".join(dict.fromkeys(array.file.key for array in ours))
        self.file.purse.check(sum(costs[1:], costs[0]), what)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        chosen = self._chosen(key if isinstance(key, tuple) else (key,))
        sorted_, back = zip(*((_sorted(indices)) for indices, _ in chosen), strict=True)
        values = self._read(sorted_)
        for axis, order in enumerate(back):
            if order is not None:
                values = values.take(order, axis)
        drop = tuple(axis for axis, (_, single) in enumerate(chosen) if single)
        return values.squeeze(drop) if drop else values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError(f"{self.file.location} cannot be an array without a copy")
        return np.asarray(self[...], dtype)

    def _chosen(self, key: tuple[Any, ...]) -> list[tuple[Indices, bool]]:
        """Positions in the file for each axis, and whether that axis is dropped."""
        if any(part is None for part in key):
            raise InputError("a remote array takes no new axes: read it, then add them")
        dots = [k for k, part in enumerate(key) if part is Ellipsis]
        if dots:
            fill = (slice(None),) * (self.ndim - len(key) + 1)
            key = key[: dots[0]] + fill + key[dots[0] + 1 :]
        if len(key) > self.ndim or len(dots) > 1:
            raise InputError(f"{self!r} has {self.ndim} axes, not {len(key)}")
        if sum(np.ndim(part) > 0 for part in key) > 1:
            raise InputError("give an array of indices for one axis at a time: read rows, then choose among columns")
        key = key + (slice(None),) * (self.ndim - len(key))
        windows = [self.rows, self.columns, *map(range, self.file.header.shape[2:])][: self.ndim]
        return [_positions(part, window, axis) for axis, (part, window) in enumerate(zip(key, windows, strict=True))]

    def _choice(self, runs: Runs) -> Choice:
        file = self.file
        return choose(runs, file.version.size, file.rates, file.network)

    def _read(self, chosen: Sequence[Indices]) -> NDArray[Any]:
        """The values at these positions of each axis, ascending and without repeats."""
        header = self.file.header
        runs = runs_of(header, chosen)
        free = available_memory()
        if free is not None and runs.bytes > free:
            raise InputError(f"{size(runs.bytes)} of {self.file.key} do not fit into memory ({size(free)} are free)")
        choice = self._choice(runs)
        if choice.taken.price.requests > MANY and len(choice.taken.runs.starts) > 1:
            warn_user(f"{self.file.key}: {choice.words}", PriceWarning)
        data = self.file.fetch(choice.taken.runs, runs)
        if header.dtype == np.bool_ and data.max(initial=0) > 1:
            raise CorruptError(f"{self.file.location} is damaged: it holds bytes that are neither true nor false")
        shape = [indices.size for indices in chosen]
        values = data.view(header.dtype).reshape(shape[::-1] if header.fortran else shape)
        return values.T if header.fortran else values


def _positions(part: Any, window: range, axis: int) -> tuple[Indices, bool]:
    if isinstance(part, slice):
        found = window[part]
        return np.arange(found.start, found.stop, found.step, dtype=np.int64), False
    array = np.asarray(part)
    if array.dtype == np.bool_ and array.shape == (len(window),):
        array = np.flatnonzero(array)
    elif array.size == 0 and array.ndim == 1:
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu" or array.ndim > 1:
        raise InputError(f"axis {axis} takes a number, a slice, whole numbers or {len(window)} bools, got {part!r:.80}")
    beyond = array[(array < -len(window)) | (array >= len(window))]
    if beyond.size:
        raise _BeyondError(f"index {beyond.flat[0]} is beyond axis {axis}, which has {len(window)}")
    array = np.where(array < 0, array + len(window), array).astype(np.int64)
    return np.atleast_1d(window.start + array * window.step), array.ndim == 0


def _sorted(indices: Indices) -> tuple[Indices, Indices | None]:
    """Ascending without repeats, and where each of them came from, None if they were so already."""
    if indices.size < 2 or (np.diff(indices) > 0).all():
        return indices, None
    found, back = np.unique(indices, return_inverse=True)
    return found, back


def _scatter(data: NDArray[np.uint8], start: int, wanted: Runs, places: Indices, out: NDArray[np.uint8]) -> None:
    """Put what is wanted of the bytes from `start` on into its place."""
    stop = start + data.size
    first = int(np.searchsorted(wanted.stops, start, side="right"))
    last = int(np.searchsorted(wanted.starts, stop, side="left"))
    for k in range(first, last):
        a, b = max(int(wanted.starts[k]), start), min(int(wanted.stops[k]), stop)
        to = int(places[k]) + a - int(wanted.starts[k])
        out[to : to + b - a] = data[a - start : b - start]
