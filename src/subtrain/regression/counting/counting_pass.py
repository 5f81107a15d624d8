"""One pass of counting: a few thousand models, their bits turned, added to counts whose arrays change in place."""

from __future__ import annotations

from dataclasses import replace
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.masks import Masks
from subtrain.regression.counting import masked_sums, products
from subtrain.regression.counting.compact_gram import MODELS, CompactGram, Escapes, fold_band, rates, with_escapes
from subtrain.regression.counting.counts import Counts, Sums
from subtrain.regression.counting.threads import each
from subtrain.regression.counting.vector_loops import INTS, PANEL, SIDE, TABLE_ROWS, WORDS

# Units whose running sums for one panel of targets stay in a level-2 cache.
UNITS = 4096
# Rows of the Gram a thread takes at a time.
BAND = 128


def add(total: Counts, masks: Masks, y: NDArray[Any], threads: int) -> Counts:
    """`total` with these models added: its arrays are updated in place, of the Gram the lower triangle only."""
    m = total.m + len(masks)
    has_gram = len(total.gram) == total.n
    by_unit, by_word = _turned(masks, has_gram, total.targets > 0 or not has_gram, threads)
    ones = _ones(total.n, by_unit, by_word)
    total.ones[:] += ones
    gram = _add_gram(total, by_unit, m, threads) if has_gram else total.gram
    panels = [(t, u) for t in range(0, total.targets, INTS) for u in unit_spans(total, threads)]
    pool: SimpleQueue[masked_sums.Scratch] = SimpleQueue()
    for _ in range(min(threads, len(panels)) if len(y) else 0):
        pool.put(masked_sums.scratch_of(len(by_word)))

    def work(at: tuple[int, list[tuple[int, int]]]) -> None:
        scratch = pool.get()
        _add_panel(total, by_word, y, ones, at[0], at[1], scratch)
        pool.put(scratch)

    each(work, panels if len(y) else [], threads)
    return replace(total, m=m, gram=gram)


def finish(total: Counts, threads: int) -> None:
    """Fill in the upper triangle of the Gram."""
    square = total.gram.deviation if isinstance(total.gram, CompactGram) else total.gram
    each(lambda span: products.mirror(square, *span), spans(len(square), 256), threads)


def spans(length: int, step: int) -> list[tuple[int, int]]:
    """0 to length in steps."""
    return [(start, min(start + step, length)) for start in range(0, length, step)]


def unit_spans(total: Counts, threads: int) -> list[list[tuple[int, int]]]:
    """The units of one piece of work on a panel: all, or every thread's share where there are few panels."""
    every = spans(total.n, UNITS)
    parts = 1 if total.targets > INTS * threads else threads
    return [every[k::parts] for k in range(min(parts, len(every)))]


def panel_bytes(rows: int) -> int:
    """Bytes a thread needs for one panel of targets of `rows` models."""
    return rows * INTS * (8 + 4) + UNITS * INTS * (4 + 8 + 8) + TABLE_ROWS * INTS * 8


def _turned(masks: Masks, units: bool, words: bool, threads: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    count = -(-len(masks) // 64)
    # An odd number of cache lines a row: at a power of two, the rows of a turned square fall into one cache set.
    columns = WORDS * (-(-count // WORDS) | 1)
    by_unit = products.aligned(-(-masks.n // SIDE) * SIDE, columns, np.uint64) if units else np.zeros((0, 0), np.uint64)
    by_word = np.empty((count, masks.n) if words else (0, 0), np.uint64)
    rows = masks.words
    each(lambda span: products.turn_bits(rows, *span, by_unit, by_word), spans(count, 32), threads)
    return by_unit, by_word


def _ones(n: int, by_unit: NDArray[np.uint64], by_word: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Models that hold each unit."""
    ones = np.zeros(n, np.int64)
    if by_word.size:
        for first, last in spans(len(by_word), 64):
            ones += np.bitwise_count(by_word[first:last]).sum(axis=0, dtype=np.int64)
    else:
        for first, last in spans(min(n, len(by_unit)), 1024):
            ones[first:last] = np.bitwise_count(by_unit[first:last]).sum(axis=1, dtype=np.int64)
    return ones


def _add_gram(total: Counts, by_unit: NDArray[np.uint64], m: int, threads: int) -> Any:
    # The last rows of the triangle are the longest: they go first, so that no thread is left with one at the end.
    bands = spans(total.n, BAND)[::-1]
    if isinstance(total.gram, CompactGram):
        return _add_compact(total, total.gram, by_unit, m, bands, threads)
    gram: NDArray[Any] = total.gram if m < 2**31 else total.gram.astype(np.int64, copy=False)

    def work(span: tuple[int, int]) -> None:
        if gram.dtype == np.int32:
            products.add_gram(by_unit, *span, gram[slice(*span)])
        else:
            gram[slice(*span), : span[1]] += _band(by_unit, *span)

    each(work, bands, threads)
    return gram


def _add_compact(
    total: Counts, gram: CompactGram, by_unit: NDArray[np.uint64], m: int, bands: list[tuple[int, int]], threads: int
) -> CompactGram:
    if m >= MODELS:
        raise InputError("a compact Gram counts fewer than 2^32 models")
    # New rates with every pass: it touches each deviation anyway, and so keeps them as small as they can be.
    new = replace(gram, m=m, rate=rates(total.ones, m), ones=total.ones)
    found: list[Escapes] = []
    each(lambda span: found.append(fold_band(new, span[0], _band(by_unit, *span), gram.rate, gram.m)), bands, threads)
    return with_escapes(new, found)


def _band(by_unit: NDArray[np.uint64], first: int, last: int) -> NDArray[np.int32]:
    band = np.zeros((last - first, last), np.int32)
    products.add_gram(by_unit, first, last, band)
    return band


def _add_panel(
    total: Counts,
    by_word: NDArray[np.uint64],
    y: NDArray[Any],
    ones: NDArray[np.int64],
    target: int,
    units: list[tuple[int, int]],
    scratch: masked_sums.Scratch,
) -> None:
    """Add one panel of targets over some ranges of units; the first range also adds the sums of the outputs."""
    rows = len(y)
    part = y[:, target : target + INTS]
    width = part.shape[1]
    wide = scratch.wide
    masked_sums.widen(part, wide)
    sum_, square, least, most, deviation = (np.zeros(INTS) for _ in range(5))
    masked_sums.summarize(wide, rows, sum_, square, least, most, deviation)
    mean = sum_ / rows
    whole = masked_sums.scaled(wide, rows, mean, float(np.maximum(most - mean, mean - least).max()), scratch.whole)
    at = slice(target, target + width)
    for first, last in units:
        xty = total.xty[first:last, at]
        if whole is not None:
            xty += _by_wholes(by_word, first, last, whole, ones)[:, :width]
        else:
            for column in range(0, width, PANEL):
                some = _by_reals(by_word, first, last, wide[:, column : column + PANEL])
                xty[:, column : column + PANEL] += some[:, : width - column]
        if first == 0:
            sums = Sums(rows, sum_[:width], deviation[:width])
            total.add_outputs(at, total.m, sums, square[:width], least[:width], most[:width])


def _by_wholes(
    by_word: NDArray[np.uint64], first: int, last: int, panel: masked_sums.FixedPoint, ones: NDArray[np.int64]
) -> NDArray[np.float64]:
    table, narrow, wide = masked_sums.int_scratch(last - first)
    masked_sums.add_wholes(by_word, first, last, panel.whole, panel.flush, table, narrow, wide)
    found: NDArray[np.float64] = np.multiply(wide, 2.0**-panel.bits, dtype=np.float64)
    found += np.outer(ones[first:last], panel.shift)
    if panel.rest.size:
        rests = np.zeros((INTS, last - first))
        masked_sums.add_rests(by_word, first, last, panel.place, panel.rest, rests)
        found += rests.T
    return found


def _by_reals(by_word: NDArray[np.uint64], first: int, last: int, panel: NDArray[np.float64]) -> NDArray[np.float64]:
    found = products.scratch(last - first)
    products.add_products(by_word, first, last, np.ascontiguousarray(panel), products.table(), found)
    return found
