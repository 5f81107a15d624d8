"""X^T Y from tables of partial sums: of whole numbers where the outputs are such, of doubles otherwise.

A float16 output is a whole multiple of 2^-24. Scaled by a power of two that keeps the sums of a few words of models
below 2^31, all but a small remainder of the outputs is int32, which a vector holds twice as many of as of doubles and
adds without rounding; the rare remainders (outputs close to zero, with bits below the scale) are added one by one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from subtrain.regression.counting.products import aligned
from subtrain.regression.counting.vector_loops import GROUP_BITS, GROUPS, INTS, TABLE_ROWS, add_ints, move_ints
from subtrain.system.kernel import kernel
from subtrain.system.types import Floats

TOP = 2.0**31 - 1.0
# Nanoseconds a product of outputs and mask bits: what doubles cost more than int32, a flush of the int32 sums before
# every word, and a remainder in every output. Only their ratios matter, and only to speed.
BY_DOUBLES, FLUSH, REMAINDER = 0.005, 0.0045, 0.25
LSB_LOW, LSB_HIGH = -60, 40


class FixedPoint(NamedTuple):
    """A panel of outputs: y[i, t] = shift[t] + 2^-bits (whole[i, t]) + remainder, exactly.

    whole: int32 [64 words, INTS]. flush: bool [words], whether int32 sums must be moved to int64 before that word.
    rest: float64 [r], its nonzero remainders, at row and column place int64 [r, 2].
    """

    bits: int
    shift: Floats
    whole: NDArray[np.int32]
    flush: NDArray[np.bool_]
    place: NDArray[np.int64]
    rest: Floats


class Scratch(NamedTuple):
    """What a thread works in, kept between panels: fresh memory costs more than the work on it. wide: float64 and
    whole: int32, both [64 words, INTS]."""

    wide: Floats
    whole: NDArray[np.int32]


def scratch_of(words: int) -> Scratch:
    """The scratch of panels of 64 words models."""
    return Scratch(np.empty((64 * words, INTS)), np.empty((64 * words, INTS), np.int32))


def widen(part: NDArray[Any], wide: Floats) -> None:
    """wide [64 words, INTS] = the outputs [rows, up to INTS], zero beyond them."""
    rows, width = part.shape
    if part.dtype == np.float16 and part.dtype.isnative:
        widen_halves(np.ascontiguousarray(part).view(np.uint16), wide)
    else:
        wide[:rows, :width] = part
    wide[rows:] = 0.0
    wide[:, width:] = 0.0


@kernel
def widen_halves(bits: NDArray[np.uint16], wide: Floats) -> None:
    """wide[i, t] = the finite float16 of these bits. numpy converts one at a time, several times slower."""
    unit = np.float32(2.0**112)
    for i in range(bits.shape[0]):
        for t in range(bits.shape[1]):
            # The exponent moves to where float32 has it; the product mends its bias, of subnormal numbers too.
            size = np.uint32((bits[i, t] & np.uint32(0x7FFF)) << np.uint32(13)).view(np.float32) * unit
            wide[i, t] = -size if bits[i, t] & np.uint32(0x8000) else size


@kernel
def summarize(
    y: Floats, rows: int, total: Floats, square: Floats, least: Floats, most: Floats, deviation: Floats
) -> None:
    """Of the first `rows` rows of y [64 words, INTS], from nothing: sums, sums of squares, least and greatest values,
    and sums of squared deviations from the mean.

    Deviations are taken about the first row: it lies among the others, so that little cancels.
    """
    some, squares, apart = np.zeros(INTS), np.zeros(INTS), np.zeros(INTS)
    for t in range(INTS):
        least[t], most[t] = y[0, t], y[0, t]
    for start in range(0, rows, 64):
        for t in range(INTS):
            some[t] = 0.0
            squares[t] = 0.0
        for i in range(start, min(start + 64, rows)):
            for t in range(INTS):
                v = y[i, t]
                some[t] += v
                squares[t] += v * v
                apart[t] += v - y[0, t]
                deviation[t] += (v - y[0, t]) ** 2
                least[t] = v if v < least[t] else least[t]
                most[t] = v if v > most[t] else most[t]
        for t in range(INTS):
            total[t] += some[t]
            square[t] += squares[t]
    for t in range(INTS):
        deviation[t] = max(deviation[t] - apart[t] ** 2 / rows, 0.0) if least[t] < most[t] else 0.0


@kernel
def split(
    y: Floats, bits: int, shift: Floats, whole: NDArray[np.int32], rests: NDArray[np.int64], up: Floats, down: Floats
) -> None:
    """Fill whole with 2^bits (y - shift) cut to whole numbers, for the rests.size rows of models; O(1) an output.

    rests: how many remainders of each row are not zero. up, down: float64 [words], the greatest sum over t of the
    positive and of the negative whole numbers of a word.
    """
    scale, unit = 2.0**bits, 2.0**-bits
    above, below = np.zeros(INTS), np.zeros(INTS)
    for w in range(up.size):
        for t in range(INTS):
            above[t] = 0.0
            below[t] = 0.0
        for i in range(64 * w, min(64 * w + 64, rests.size)):
            inexact = 0
            for t in range(INTS):
                v = y[i, t] - shift[t]
                k = np.int32(v * scale)
                back = np.float64(k)
                whole[i, t] = k
                inexact += back * unit != v
                above[t] += back if back > 0.0 else 0.0
                below[t] += back if back < 0.0 else 0.0
            rests[i] = inexact
        up[w], down[w] = above.max(), -below.min()


@kernel
def remainders(
    y: Floats,
    bits: int,
    shift: Floats,
    whole: NDArray[np.int32],
    rests: NDArray[np.int64],
    place: NDArray[np.int64],
    rest: Floats,
) -> None:
    """Fill place and rest with the nonzero remainders that `split` counted."""
    unit = 2.0**-bits
    k = 0
    for i in range(rests.size):
        if rests[i]:
            for t in range(INTS):
                left = (y[i, t] - shift[t]) - np.float64(whole[i, t]) * unit
                if left != 0.0:
                    place[k, 0], place[k, 1], rest[k] = i, t, left
                    k += 1


@kernel
def add_wholes(
    by_word: NDArray[np.uint64],
    first: int,
    last: int,
    whole: NDArray[np.int32],
    flush: NDArray[np.bool_],
    table: NDArray[np.int32],
    sums: NDArray[np.int32],
    wide: NDArray[np.int64],
) -> None:
    """wide[j - first] += whole summed over the models that hold unit j, for first <= j < last.

    sums: scratch [last - first, INTS], zero before and after.
    """
    for w in range(by_word.shape[0]):
        if flush[w]:
            for j in range(last - first):
                move_ints(sums, j, wide)
        for group in range(GROUPS):
            base = group << GROUP_BITS
            for k in range(min(GROUP_BITS, 64 - group * GROUP_BITS)):
                half = 1 << k
                for e in range(half):
                    for t in range(INTS):
                        table[base + half + e, t] = table[base + e, t] + whole[64 * w + group * GROUP_BITS + k, t]
        for j in range(first, last):
            add_ints(sums, j - first, table, by_word[w, j])
    for j in range(last - first):
        move_ints(sums, j, wide)


@kernel
def add_rests(
    by_word: NDArray[np.uint64], first: int, last: int, place: NDArray[np.int64], rest: Floats, sums: Floats
) -> None:
    """sums[t, j - first] += rest[k] for each k with t = place[k, 1] and unit j in the model place[k, 0]."""
    for k in range(rest.size):
        i, t, value = place[k, 0], place[k, 1], rest[k]
        word, bit = i // 64, np.uint64(i % 64)
        for j in range(first, last):
            sums[t, j - first] += value * np.float64((by_word[word, j] >> bit) & np.uint64(1))


def scaled(y: Floats, rows: int, mean: Floats, spread: float, whole: NDArray[np.int32]) -> FixedPoint | None:
    """The panel y [64 words, INTS], zero beyond `rows`, as whole numbers; None where doubles are the faster way.

    mean: float64 [INTS], about which it is split; spread: its greatest distance from there; whole: scratch, kept.
    """
    sample = y[: rows : max(1, rows // 2048)]
    bits = best_bits(sample, float(np.abs(sample - mean).mean(axis=0).max()), spread)
    if bits is None:
        return None
    words = len(y) // 64
    # Multiples of 2^-10 (a float16 above 1 is one): the shift adds no bits below those that the outputs have.
    shift = np.rint(mean * 2.0 ** min(bits, 10)) * 2.0 ** -min(bits, 10)
    whole[rows:] = 0
    up, down = np.zeros(words), np.zeros(words)
    rests = np.zeros(rows, np.int64)
    split(y, bits, shift, whole, rests, up, down)
    count, flush = int(rests.sum()), flushes(up, down)
    if flush is None or REMAINDER * count > BY_DOUBLES * rows * INTS:
        return None
    place, rest = np.empty((count, 2), np.int64), np.empty(count)
    if count:
        remainders(y, bits, shift, whole, rests, place, rest)
    return FixedPoint(bits, shift, whole, flush, place, rest)


def best_bits(sample: Floats, deviation: float, spread: float) -> int | None:
    """The scale 2^bits at which flushes and remainders together cost least; None where doubles cost less.

    deviation: mean distance of an output from the mean, spread: the greatest one.
    """
    share = np.cumsum(last_bits(sample)) / sample.size
    best, least = None, BY_DOUBLES
    for bits in range(-LSB_HIGH, -LSB_LOW):
        if (64.0 * deviation + 4.0 * spread) * 2.0**bits >= TOP:
            break
        cost = FLUSH * 32.0 * deviation * 2.0**bits / TOP + REMAINDER * share[-bits - 1 - LSB_LOW]
        if cost < least:
            best, least = bits, cost
    return best


def last_bits(values: Floats) -> NDArray[np.int64]:
    """How many of the values have a last set bit worth 2^e, at e - LSB_LOW; zeros have none."""
    cells = np.ascontiguousarray(values).view(np.uint64).ravel()
    low = (cells & np.uint64(2**52 - 1)) | np.uint64(2**52)
    zeros = np.bitwise_count((low & (~low + np.uint64(1))) - np.uint64(1)).astype(np.int64)
    exponent = ((cells >> np.uint64(52)) & np.uint64(2**11 - 1)).astype(np.int64)
    at = np.clip(exponent - 1023 - 52 + zeros, LSB_LOW, LSB_HIGH) - LSB_LOW
    return np.bincount(at[exponent > 0], minlength=LSB_HIGH - LSB_LOW + 1)


def flushes(up: Floats, down: Floats) -> NDArray[np.bool_] | None:
    """Before which words the int32 sums must be moved so that none can pass 2^31; None where one word alone would."""
    flush = np.zeros(up.size, np.bool_)
    above = below = 0.0
    for w, (u, d) in enumerate(zip(up.tolist(), down.tolist(), strict=True)):
        if max(u, d) > TOP:
            return None
        above, below = above + u, below + d
        if max(above, below) > TOP:
            flush[w] = True
            above, below = u, d
    return flush


def int_scratch(units: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """table, sums and wide of `add_wholes`; row 0 of each group of the table stays zero."""
    return (
        aligned(TABLE_ROWS, INTS, np.int32),
        aligned(units, INTS, np.int32),
        aligned(units, INTS, np.int64),
    )
