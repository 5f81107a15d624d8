"""Which bytes of a file a part of its array is, and how to ask for them: piece by piece, or with the gaps between."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.formatting import size
from subtrain.public.price import GIB, PIECE, Network, Price, Rates, dollars, price
from subtrain.public.remote.npy_header import Header

Indices = NDArray[np.int64]
# What an hour of waiting is taken to cost, in dollars, where money and time pull in different directions.
HOUR = 1.0
_MOST = 20_000_000


@dataclass(frozen=True, eq=False)
class Runs:
    """Bytes starts[k]..stops[k]-1 of a file, ascending and apart from one another."""

    starts: Indices
    stops: Indices

    @property
    def bytes(self) -> int:
        return int((self.stops - self.starts).sum())

    @property
    def requests(self) -> int:
        """GET requests, of at most PIECE bytes each."""
        return int((-(-(self.stops - self.starts) // PIECE)).sum())

    def bridged(self, gap: int) -> Runs:
        """The same, joined where at most `gap` bytes lie between two."""
        if not self.starts.size:
            return self
        apart = self.starts[1:] - self.stops[:-1] > gap
        return Runs(self.starts[np.concatenate([[True], apart])], self.stops[np.concatenate([apart, [True]])])

    def pieces(self) -> Runs:
        """The same, cut to requests of at most PIECE bytes."""
        counts = -(-(self.stops - self.starts) // PIECE)
        if not counts.size or counts.max() <= 1:
            return self
        which = np.repeat(np.arange(counts.size), counts)
        nth = np.arange(which.size) - np.repeat(np.cumsum(counts) - counts, counts)
        starts = self.starts[which] + nth * PIECE
        return Runs(starts, np.minimum(starts + PIECE, self.stops[which]))


def runs_of(header: Header, chosen: Sequence[Indices]) -> Runs:
    """The bytes of these indices of each axis, ascending and without repeats, in the order of the file.

    Their values, one after the other, are the chosen part in C order, or in Fortran order if the file is in that.
    """
    shape, picked = header.shape, list(chosen)
    if header.fortran:
        shape, picked = shape[::-1], picked[::-1]
    if not all(indices.size for indices in picked):
        return Runs(np.zeros(0, np.int64), np.zeros(0, np.int64))
    strides = [math.prod(shape[axis + 1 :]) * header.dtype.itemsize for axis in range(len(shape))]
    # Axes that are taken whole at the end of a row belong to its bytes; the one before them is cut into runs.
    last = len(shape) - 1
    while last > 0 and picked[last].size == shape[last]:
        last -= 1
    indices = picked[last]
    breaks = np.flatnonzero(np.diff(indices) > 1) + 1
    first = indices[np.concatenate([[0], breaks])]
    after = indices[np.concatenate([breaks - 1, [indices.size - 1]])] + 1
    count = first.size * math.prod(each.size for each in picked[:last])
    if count > _MOST:
        raise InputError(f"this part of the array lies in {count:,} pieces; read fewer rows at a time, or whole ones")
    starts = first * strides[last]
    stops = after * strides[last]
    for axis in range(last)[::-1]:
        base = (picked[axis] * strides[axis])[:, None]
        starts, stops = (base + starts).ravel(), (base + stops).ravel()
    return Runs(starts + header.offset, stops + header.offset).bridged(0)


@dataclass(frozen=True, eq=False)
class Way:
    """One way to get the bytes that are wanted: what is asked for, and its price."""

    name: str
    runs: Runs
    price: Price


@dataclass(frozen=True, eq=False)
class Choice:
    """The ways there are, the one taken, and why in words; `whole` is what the whole file would cost."""

    ways: tuple[Way, ...]
    taken: Way
    whole: Price
    words: str

    def to_json(self) -> dict[str, Any]:
        ways = {way.name: way.price.to_json() for way in self.ways}
        return {"taken": self.taken.name, "ways": ways, "whole": self.whole.to_json(), "why": self.words}


def choose(runs: Runs, total: int, rates: Rates, network: Network, hour: float = HOUR) -> Choice:
    """How to read these bytes of a file of `total` bytes: the way that costs least, with an hour of waiting at `hour`.

    A request costs money and time even for one byte, and a byte that nobody wants costs both as well: so gaps are read
    along where that is dearer than another request. Columns of a row-major file are a request a row.
    """
    whole = Runs(np.zeros(1, np.int64), np.array([total], np.int64))
    second = hour / 3600
    ways = [Way("exact", runs, _price(runs, rates, network))]
    for name, gap in (
        ("gaps that cost less than a request", _gap(rates.per_request, rates.per_gib / GIB)),
        ("gaps that cost or last less than a request", _gap(*_worth(rates, network, second))),
        ("everything between", total),
    ):
        joined = runs.bridged(gap)
        if len(joined.starts) < len(ways[-1].runs.starts):
            ways.append(Way(name, joined, _price(joined, rates, network)))
    taken = min(ways, key=lambda way: way.price.dollars + second * way.price.seconds)
    choice = _price(whole, rates, network)
    return Choice(tuple(ways), taken, choice, _words(runs, ways, taken, choice, hour))


def _price(runs: Runs, rates: Rates, network: Network) -> Price:
    return price(runs.bytes, runs.requests, rates, network)


def _worth(rates: Rates, network: Network, second: float) -> tuple[float, float]:
    """What a request and a byte cost when their time has a price too."""
    request = rates.per_request + second * network.latency / network.parallel
    return request, rates.per_gib / GIB + second / network.bandwidth


def _gap(request: float, byte: float) -> int:
    return int(min(request / byte, 2**40)) if byte else 0


def _words(runs: Runs, ways: list[Way], taken: Way, whole: Price, hour: float) -> str:
    wanted = ways[0].price
    if len(runs.starts) <= 1:
        return f"one piece of the file: {wanted}"
    lines = [f"{len(runs.starts):,} pieces of {size(runs.bytes / len(runs.starts))} on average: {wanted}"]
    if taken is ways[0]:
        others = [f"{way.price} with {way.name}" for way in ways[1:]]
        if others:
            lines.append(f"read so, for reading more costs more than it saves ({'; '.join(others)})")
    else:
        lines.append(f"read with {taken.name}, {taken.price}, because each request takes time and money of its own")
    lines.append(f"the whole file is {whole}; an hour of waiting counts as {dollars(hour)}")
    return "; ".join(lines)
