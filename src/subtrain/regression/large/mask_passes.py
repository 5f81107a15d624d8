"""One pass over packed masks that are never held whole in another form: products with outputs, chosen columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.masks import Masks, pack, row_bytes
from subtrain.regression.counting import products
from subtrain.regression.counting.threads import each
from subtrain.regression.counting.vector_loops import PANEL
from subtrain.system.kernel import kernel
from subtrain.system.types import Floats

Source = Masks | Callable[[], Iterable[Masks]]

# Models and units of one piece of work: its turned bits and sums stay near a core.
ROWS = 8192
UNITS = 4096
# Models whose chosen columns are unpacked at a time.
FEW = 1024


def pieces(source: Source) -> Iterator[Masks]:
    """The models of a source, at most ROWS at a time; a function is called anew for every pass."""
    for masks in [source] if isinstance(source, Masks) else source():
        for start in range(0, len(masks), ROWS):
            yield masks[start : start + ROWS]


def correlate(source: Source, values: Floats, out: Floats, threads: int) -> None:
    """out [n, C] = values [m, C] summed over the models that hold each unit."""
    out[:] = 0.0
    columns, seen = values.shape[1], 0
    for piece in pieces(source):
        if piece.n != len(out) or seen + len(piece) > len(values):
            raise InputError(
                f"masks over {piece.n} units, models {seen} to {seen + len(piece) - 1}, do not fit "
                f"{len(out)} units and outputs of {len(values)} models"
            )
        part = values[seen : seen + len(piece)]
        panels = [_padded(part[:, c : c + PANEL]) for c in range(0, columns, PANEL)]
        each(partial(_add_units, piece, panels, out), range(0, len(out), UNITS), threads)
        seen += len(piece)
    if seen != len(values):
        raise InputError(f"there are {seen} masks but outputs of {len(values)} models")


def _padded(values: Floats) -> Floats:
    wide = np.zeros((64 * -(-len(values) // 64), PANEL))
    wide[: len(values), : values.shape[1]] = values
    return wide


def _add_units(piece: Masks, panels: list[Floats], out: Floats, unit: int) -> None:
    last = min(unit + UNITS, len(out))
    # A copy, because bits read from a file may be read-only, for which the kernel would be compiled again.
    rows = np.array(piece.words[:, unit // 64 : -(-last // 64)], np.uint64, order="C")
    words = -(-len(rows) // 64)
    by_word = np.empty((words, last - unit), np.uint64)
    products.turn_bits(rows, 0, words, np.empty((0, 0), np.uint64), by_word)
    for k, wide in enumerate(panels):
        sums = products.scratch(last - unit)
        products.add_products(by_word, 0, last - unit, wide, products.table(), sums)
        to = out[unit:last, k * PANEL : (k + 1) * PANEL]
        to += sums[:, : to.shape[1]]


class MaskColumns:
    """Chosen units of a source, packed again: `masks` [m, size], in the order in which they were added."""

    def __init__(self, source: Source, models: int) -> None:
        self._source = source
        self.masks = Masks(np.zeros((models, 0), np.uint8), 0)

    def add(self, units: NDArray[np.int64]) -> None:
        """One pass over the source for these units."""
        old = self.masks
        size = old.n + units.size
        data = np.zeros((len(old), row_bytes(size)), np.uint8)
        data[:, : old.data.shape[1]] = old.data
        byte, shift, seen = units >> 3, units & 7, 0
        for piece in pieces(self._source):
            for start in range(0, len(piece), FEW):
                chosen = piece.data[start : start + FEW][:, byte]
                put_bits(chosen, shift, old.n, data[seen + start : seen + start + len(chosen)])
            seen += len(piece)
        self.masks = Masks(data, size)

    def keep(self, which: NDArray[np.bool_]) -> None:
        """Drop the other units."""
        data = np.empty((len(self.masks), row_bytes(int(which.sum()))), np.uint8)
        for start in range(0, len(self.masks), FEW):
            rows = slice(start, start + FEW)
            data[rows] = pack(self.masks[rows].unpack()[:, which]).data
        self.masks = Masks(data, int(which.sum()))

    def predict(self, weight: Floats) -> Iterator[tuple[slice, Floats]]:
        """masks @ weight [size, C], some models at a time: which, and the products."""
        used = np.flatnonzero(weight.any(axis=1))
        some = weight[used]
        for start in range(0, len(self.masks), FEW):
            rows = slice(start, min(start + FEW, len(self.masks)))
            yield rows, self.masks[rows].unpack()[:, used].astype(np.float64) @ some


@kernel
def put_bits(chosen: NDArray[np.uint8], shift: NDArray[np.int64], first: int, out: NDArray[np.uint8]) -> None:
    """Bit first + k of out[i] |= bit shift[k] of chosen[i, k]."""
    for i in range(chosen.shape[0]):
        for k in range(chosen.shape[1]):
            bit = (chosen[i, k] >> shift[k]) & 1
            at = first + k
            out[i, at >> 3] |= np.uint8(bit << (at & 7))
