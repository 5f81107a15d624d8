"""The Gram of many units in two bytes a pair: how far each count lies from what independent units would give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.system.kernel import kernel

# A unit's share of the models, in units of 2^-15: products with m < 2^32 stay below 2^63.
RATE_BITS = 15
# Stands for a count whose deviation does not fit; its value is in the list of escapes.
ESCAPED = -(2**15)
LIMIT = 2**15 - 1
MODELS = 2**32


@dataclass(frozen=True, eq=False)
class CompactGram:
    """Exact co-occurrence counts of n units among m models: gram[i, j] = predicted[i, j] + deviation[i, j].

    predicted[i, j] = (m rate[i] rate[j] + 2^29) >> 30 in integers, rate: int64 [n], the units' shares of the models
    times 2^15, rounded. deviation: int16 [n, n]; -32768 marks a count that lies further off: it is in value, int64 [e],
    at the place of max(i, j) n + min(i, j) in key, int64 [e], ascending. The diagonal is ones, int64 [n].
    `np.asarray(gram)` is the whole as int32 (int64 from 2^31 models on); `gram[i]` a row.
    """

    m: int
    deviation: NDArray[np.int16]
    rate: NDArray[np.int64]
    ones: NDArray[np.int64]
    key: NDArray[np.int64]
    value: NDArray[np.int64]

    @property
    def n(self) -> int:
        """Units."""
        return int(self.ones.size)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return self.n, self.n

    @property
    def ndim(self) -> int:
        """2."""
        return 2

    @property
    def dtype(self) -> np.dtype[Any]:
        """What its rows come as: int32, or int64 from 2^31 models on."""
        return np.dtype(np.int32 if self.m < 2**31 else np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(part.nbytes for part in (self.deviation, self.rate, self.ones, self.key, self.value))

    def __repr__(self) -> str:
        return f"CompactGram(units={self.n}, models={self.m}, escapes={self.key.size})"

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: Any) -> NDArray[np.signedinteger[Any]]:
        if isinstance(index, (int, np.integer)):
            return self.row(int(index))
        if isinstance(index, tuple):
            raise InputError("a compact Gram is indexed by rows; use .block(rows, columns) for a part of them")
        return self.rows(np.arange(self.n)[index])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a compact Gram becomes an array only by a copy")
        whole: NDArray[Any] = self.rows(np.arange(self.n))
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def diagonal(self) -> NDArray[np.int64]:
        """Models that hold each unit, int64 [n]."""
        return self.ones

    def row(self, i: int) -> NDArray[np.signedinteger[Any]]:
        """Row i, exact, [n]."""
        only: NDArray[np.signedinteger[Any]] = self.rows([i])[0]
        return only

    def rows(self, index: ArrayLike) -> NDArray[np.signedinteger[Any]]:
        """Rows `index` [k], exact, [k, n]."""
        return self.block(index, np.arange(self.n))

    def columns(self, index: ArrayLike) -> NDArray[np.signedinteger[Any]]:
        """Columns `index` [k], exact, [n, k]: a view of the same rows, in Fortran order."""
        return self.rows(index).T

    def block(self, rows: ArrayLike, columns: ArrayLike) -> NDArray[np.signedinteger[Any]]:
        """gram[rows][:, columns], exact, [k, l]; negative numbers count from the end. InputError beyond the units."""
        at, to = self._checked(rows), self._checked(columns)
        out = np.empty((at.size, to.size), self.dtype)
        exact_block(self.deviation, self.rate, self.ones, self.m, self.key, self.value, at, to, out)
        return out

    def __add__(self, other: CompactGram) -> CompactGram:
        from subtrain.regression.counting.products import mirror

        if self.n != other.n:
            raise InputError(f"Grams over different units cannot be added: {self} and {other}")
        m, ones = _checked_models(self.m + other.m), self.ones + other.ones
        total = empty_gram(self.n)
        total = CompactGram(m, total.deviation, rates(ones, m), ones, total.key, total.value)
        found: list[Escapes] = []
        nothing = np.zeros(self.n, np.int64)
        for first in range(0, self.n, 128):
            span = np.arange(first, min(first + 128, self.n))
            band = np.add(self.rows(span), other.rows(span), dtype=np.int64)
            found.append(fold_band(total, first, band, nothing, 0))
        total = with_escapes(total, found)
        mirror(total.deviation, 0, self.n)
        return total

    def _checked(self, index: ArrayLike) -> NDArray[np.int64]:
        at = np.atleast_1d(np.asarray(index, np.int64))
        at = np.where(at < 0, at + self.n, at)
        if at.ndim != 1 or ((at < 0) | (at >= self.n)).any():
            raise InputError(f"unit numbers must be a list of integers below {self.n}, got {index!r}")
        return at


Escapes = tuple[NDArray[np.int64], NDArray[np.int64]]


def empty_gram(n: int) -> CompactGram:
    """The Gram of no models over n units."""
    none = np.zeros(0, np.int64)
    return CompactGram(0, np.zeros((n, n), np.int16), np.zeros(n, np.int64), np.zeros(n, np.int64), none, none)


def rates(ones: NDArray[np.int64], m: int) -> NDArray[np.int64]:
    """The units' shares of m models, in units of 2^-15."""
    found: NDArray[np.int64] = np.rint(ones * (2.0**RATE_BITS / max(m, 1))).astype(np.int64)
    return found


def fold_band(
    gram: CompactGram, first: int, band: NDArray[np.signedinteger[Any]], old_rate: NDArray[np.int64], old_m: int
) -> Escapes:
    """Add counts, the rows `first` on of the lower triangle, to deviations that were about old_m and old_rate.

    The deviations change in place, the band is used up; returns the keys and additions of escaped counts.
    """
    count = fold(gram.deviation, band, first, old_rate, old_m, gram.rate, gram.m)
    key, value = np.empty(count, np.int64), np.empty(count, np.int64)
    if count:
        escape(gram.deviation, band, first, old_rate, old_m, key, value)
    return key, value


def with_escapes(gram: CompactGram, found: list[Escapes]) -> CompactGram:
    """`gram` with these additions to its escaped counts."""
    keys = np.concatenate([gram.key, *(key for key, _ in found)])
    values = np.concatenate([gram.value, *(value for _, value in found)])
    key, place = np.unique(keys, return_inverse=True)
    value = np.zeros(key.size, np.int64)
    np.add.at(value, place, values)
    return CompactGram(gram.m, gram.deviation, gram.rate, gram.ones, key, value)


def _checked_models(m: int) -> int:
    if m >= MODELS:
        raise InputError(f"a compact Gram counts fewer than 2^32 models, got {m}")
    return m


@kernel
def fold(
    deviation: NDArray[np.int16],
    band: NDArray[np.signedinteger],
    first: int,
    old_rate: NDArray[np.int64],
    old_m: int,
    rate: NDArray[np.int64],
    m: int,
) -> int:
    """Counts that fit go into the deviations and leave -1 in the band; the others stay; returns how many.

    For each pair, O(1): 1. what the old prediction and the new one differ by; 2. the deviation with the new count and
    this difference; 3. keep it if int16 holds it.
    """
    escapes = 0
    half = 1 << (2 * RATE_BITS - 1)
    for p in range(band.shape[0]):
        i = first + p
        before, after = old_m * old_rate[i], m * rate[i]
        for j in range(i):
            old = np.int64(deviation[i, j])
            shift = ((before * old_rate[j] + half) >> (2 * RATE_BITS)) - ((after * rate[j] + half) >> (2 * RATE_BITS))
            new = old + band[p, j] + shift
            if old == ESCAPED or new > LIMIT or new < -LIMIT:
                escapes += 1
            else:
                deviation[i, j] = new
                band[p, j] = -1
    return escapes


@kernel
def escape(
    deviation: NDArray[np.int16],
    band: NDArray[np.signedinteger],
    first: int,
    old_rate: NDArray[np.int64],
    old_m: int,
    key: NDArray[np.int64],
    value: NDArray[np.int64],
) -> None:
    """Mark the counts that `fold` left, and list what each adds: its band, or its whole count if it is new."""
    n = deviation.shape[0]
    half = 1 << (2 * RATE_BITS - 1)
    k = 0
    for p in range(band.shape[0]):
        i = first + p
        for j in range(i):
            if band[p, j] >= 0:
                add = np.int64(band[p, j])
                if deviation[i, j] != ESCAPED:
                    predicted = (old_m * old_rate[i] * old_rate[j] + half) >> (2 * RATE_BITS)
                    add += np.int64(deviation[i, j]) + predicted
                    deviation[i, j] = ESCAPED
                key[k], value[k] = i * n + j, add
                k += 1


@kernel
def exact_block(
    deviation: NDArray[np.int16],
    rate: NDArray[np.int64],
    ones: NDArray[np.int64],
    m: int,
    key: NDArray[np.int64],
    value: NDArray[np.int64],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    out: NDArray[np.signedinteger],
) -> None:
    """out[a, b] = the exact count of the units rows[a] and columns[b]: O(1) each, O(log e) for one of e escapes."""
    n = deviation.shape[0]
    half = 1 << (2 * RATE_BITS - 1)
    for a in range(rows.size):
        i = rows[a]
        by = m * rate[i]
        for b in range(columns.size):
            j = columns[b]
            d = deviation[i, j]
            if i == j:
                out[a, b] = ones[i]
            elif d == ESCAPED:
                out[a, b] = value[np.searchsorted(key, max(i, j) * n + min(i, j))]
            else:
                out[a, b] = ((by * rate[j] + half) >> (2 * RATE_BITS)) + d
