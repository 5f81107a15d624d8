"""Rows of a Gram as the solvers' kernels read them: a plain table of integers, or a compact one, exactly.

The functions that `_either` makes exist inside kernels only; the table decides which of their two forms is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import overload
from numpy.typing import NDArray

from subtrain.regression.counting.compact_gram import ESCAPED, RATE_BITS, CompactGram
from subtrain.system.types import Floats

# Coefficient vectors multiplied together, and units whose running products stay in a level-2 cache.
GROUP = 4
CHUNK = 4096
# Rows added at a time; of a compact table, in float32, until they join the float64 sums.
ROWS = 4
FLUSH = 64
# Where every so many units or fewer one is chosen, a row is read from end to end: faster than one line here and there.
SPREAD = 48
HALF = 1 << (2 * RATE_BITS - 1)


class Compact(NamedTuple):
    """A `CompactGram` in the types that kernels are compiled for. level: int32 [n], the place of a unit's rate among
    the different ones, levels: int64. There are few of these where all units are in about as many masks."""

    deviation: NDArray[np.int16]
    rate: NDArray[np.int64]
    level: NDArray[np.int32]
    levels: NDArray[np.int64]
    ones: NDArray[np.int64]
    key: NDArray[np.int64]
    value: NDArray[np.int64]
    models: int


def table(gram: Any) -> Any:
    """The Gram as kernels take it: another layout, or read-only memory, would compile them again."""
    if not isinstance(gram, CompactGram):
        return np.require(gram, requirements=["C", "W"])
    own = {
        k: np.require(getattr(gram, k), requirements=["C", "W"]) for k in ("deviation", "rate", "ones", "key", "value")
    }
    levels, level = np.unique(own["rate"], return_inverse=True)
    return Compact(**own, level=level.astype(np.int32), levels=levels, models=gram.m)


def _either(plain: Callable[..., Any], compact: Callable[..., Any]) -> Any:
    """A function of a table that exists inside kernels only: `plain` of an array, `compact` of a compact table."""

    def stub(gram: Any, *others: Any) -> Any:
        """Never run: kernels compile one of the two."""

    @overload(stub, strict=False)  # type: ignore[untyped-decorator]
    def chosen_form(gram: Any, *others: Any) -> Any:
        return plain if isinstance(gram, types.Array) else compact

    return stub


def plain_gathered(gram: Any, units: NDArray[np.int64]) -> Any:
    """What `chosen` needs to know of these units, in their order: far apart in memory it would cost a miss each."""
    return units


def compact_gathered(gram: Any, units: NDArray[np.int64]) -> Any:
    return gram.rate[units]


gathered = _either(plain_gathered, compact_gathered)


def plain_chosen(gram: Any, ready: Any, i: int, units: NDArray[np.int64], count: int, room: Floats) -> None:
    """room[:count] = gram[i, units[:count]], exact; ready: `gathered` of the units."""
    row = gram[i]
    for b in range(count):
        room[b] = row[units[b]]


def compact_chosen(gram: Any, ready: Any, i: int, units: NDArray[np.int64], count: int, room: Floats) -> None:
    row = gram.deviation[i]
    if SPREAD * count > row.size:
        row = row.copy()
    by = gram.models * gram.rate[i]
    found = np.empty(count, np.int16)
    for b in range(count):
        found[b] = row[units[b]]
    for b in range(count):
        room[b] = ((by * ready[b] + HALF) >> (2 * RATE_BITS)) + found[b]
    for b in range(count):
        if found[b] == ESCAPED or units[b] == i:
            j = units[b]
            key = max(i, j) * gram.ones.size + min(i, j)
            room[b] = gram.ones[i] if i == j else gram.value[np.searchsorted(gram.key, key)]


chosen = _either(plain_chosen, compact_chosen)


def plain_prepared(gram: Any, active: NDArray[np.int64], raw: Floats) -> Any:
    """What `add_rows` needs to be told once for the rows `active` and their factors raw [>= size, GROUP]."""
    return raw


def compact_prepared(gram: Any, active: NDArray[np.int64], raw: Floats) -> Any:
    """What the predicted counts give, by level; and what escaped counts and the diagonal add to deviations."""
    weight = np.zeros((gram.levels.size, GROUP))
    for i in range(active.size):
        for s in range(GROUP):
            weight[gram.level[active[i]], s] += raw[i, s]
    predicted = np.zeros((GROUP, gram.levels.size))
    for a in range(gram.levels.size):
        if weight[a].any():
            by = gram.models * gram.levels[a]
            for b in range(gram.levels.size):
                count = np.float64((by * gram.levels[b] + HALF) >> (2 * RATE_BITS))
                for s in range(GROUP):
                    predicted[s, b] += weight[a, s] * count
    n = gram.ones.size
    extra = np.zeros((GROUP, n))
    place = np.full(n, -1)
    for i in range(active.size):
        j = active[i]
        place[j] = i
        expected = (gram.models * gram.rate[j] * gram.rate[j] + HALF) >> (2 * RATE_BITS)
        for s in range(GROUP):
            extra[s, j] += raw[i, s] * (gram.ones[j] - expected - gram.deviation[j, j])
    for e in range(gram.key.size):
        high, low = gram.key[e] // n, gram.key[e] % n
        expected = (gram.models * gram.rate[high] * gram.rate[low] + HALF) >> (2 * RATE_BITS)
        for s in range(GROUP):
            if place[high] >= 0:
                extra[s, low] += raw[place[high], s] * (gram.value[e] - expected)
            if place[low] >= 0:
                extra[s, high] += raw[place[low], s] * (gram.value[e] - expected)
    return predicted, extra


prepared = _either(plain_prepared, compact_prepared)


def plain_add_rows(
    gram: Any,
    ready: Any,
    active: NDArray[np.int64],
    raw: Floats,
    size: int,
    count: int,
    start: int,
    length: int,
    product: Floats,
) -> None:
    """product[s, j] += sum over i < size of raw[i, s] gram[active[i], start + j], for s < count and j < length.

    active and raw are zero for ROWS places beyond `size`.
    """
    p0, p1, p2, p3 = product[0], product[1], product[2], product[3]
    for i in range(0, size, 2):
        left = gram[active[i], start : start + length]
        right = gram[active[i + 1], start : start + length]
        u, v = raw[i], raw[i + 1]
        if count == 1:
            for j in range(length):
                p0[j] += u[0] * left[j] + v[0] * right[j]
        else:
            for j in range(length):
                a, b = np.float64(left[j]), np.float64(right[j])
                p0[j] += u[0] * a + v[0] * b
                p1[j] += u[1] * a + v[1] * b
                p2[j] += u[2] * a + v[2] * b
                p3[j] += u[3] * a + v[3] * b


def compact_add_rows(
    gram: Any,
    ready: Any,
    active: NDArray[np.int64],
    raw: Floats,
    size: int,
    count: int,
    start: int,
    length: int,
    product: Floats,
) -> None:
    predicted, extra = ready
    nothing = np.float32(0.0)
    some = np.empty((GROUP, length), np.float32)
    s0, s1, s2, s3 = some[0], some[1], some[2], some[3]
    for first in range(0, size, FLUSH):
        some[:, :] = np.float32(0.0)
        for i in range(first, min(first + FLUSH, size), ROWS):
            a = gram.deviation[active[i], start : start + length]
            b = gram.deviation[active[i + 1], start : start + length]
            c = gram.deviation[active[i + 2], start : start + length]
            d = gram.deviation[active[i + 3], start : start + length]
            r = raw[i : i + ROWS].astype(np.float32)
            for j in range(length):
                w = np.float32(a[j]) if a[j] != ESCAPED else nothing
                x = np.float32(b[j]) if b[j] != ESCAPED else nothing
                y = np.float32(c[j]) if c[j] != ESCAPED else nothing
                z = np.float32(d[j]) if d[j] != ESCAPED else nothing
                s0[j] += (r[0, 0] * w + r[1, 0] * x) + (r[2, 0] * y + r[3, 0] * z)
                if count > 1:
                    s1[j] += (r[0, 1] * w + r[1, 1] * x) + (r[2, 1] * y + r[3, 1] * z)
                    s2[j] += (r[0, 2] * w + r[1, 2] * x) + (r[2, 2] * y + r[3, 2] * z)
                    s3[j] += (r[0, 3] * w + r[1, 3] * x) + (r[2, 3] * y + r[3, 3] * z)
        for s in range(count):
            for j in range(length):
                product[s, j] += some[s, j]
    for s in range(count):
        for j in range(length):
            product[s, j] += predicted[s, gram.level[start + j]] + extra[s, start + j]


add_rows = _either(plain_add_rows, compact_add_rows)
