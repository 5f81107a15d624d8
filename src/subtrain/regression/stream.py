"""Counting models that arrive in blocks, each read once, into arrays that are updated in place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.masks import Masks
from subtrain.regression import products
from subtrain.regression.counts import Counts, as_outputs, check_finite
from subtrain.regression.lanes import PANEL, SIDE, WORDS
from subtrain.regression.threads import Progress, each, thread_count

# Models a pass: enough that a tile's popcounts outweigh its write-back, few enough that the turned bits stay small.
BLOCK = 32_768
# Units whose running sums for one panel of targets stay in a level-2 cache.
UNITS = 4096

Block = tuple[Masks, NDArray[Any]]


def count_blocks(
    blocks: Iterable[tuple[Masks, ArrayLike]],
    models: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Counts:
    """Counts of models that come in blocks of any size, each read once and dropped; `models` is for the progress.

    Raises InputError as `count` does, naming a model by its position in the stream, and when there are no blocks.
    """
    workers = thread_count(threads)
    total: Counts | None = None
    for masks, y in _joined(_pieces(blocks)):
        if total is None:
            total = _empty(masks.n, y.shape[1])
        total = _add(total, masks, y, workers)
        if progress:
            progress("counts", total.m, max(models or 0, total.m))
    if total is None:
        raise InputError("there are no models to count")
    gram = total.gram
    each(lambda span: products.mirror(gram, *span), _spans(total.n, 256), workers)
    np.copyto(total.ones, gram.diagonal())
    return total


def _pieces(blocks: Iterable[tuple[Masks, ArrayLike]]) -> Iterator[Block]:
    """The checked blocks, cut to at most BLOCK models."""
    seen = 0
    shape: tuple[int, int] | None = None
    for masks, outputs in blocks:
        y = as_outputs(outputs)
        if len(masks) != len(y):
            raise InputError(f"there are {len(masks)} masks but outputs of {len(y)} models")
        shape = shape or (masks.n, y.shape[1])
        if (masks.n, y.shape[1]) != shape:
            raise InputError(
                f"a block of models has {masks.n} units and {y.shape[1]} targets, those before it "
                f"{shape[0]} and {shape[1]}"
            )
        for start in range(0, max(len(y), 1), BLOCK):
            piece = y[start : start + BLOCK]
            check_finite(piece, first=seen + start)
            yield masks[start : start + BLOCK], piece
        seen += len(y)


def _joined(pieces: Iterable[Block]) -> Iterator[Block]:
    """Small pieces joined up to BLOCK models, because every pass touches the whole Gram."""
    held: list[Block] = []
    rows = 0
    for piece in pieces:
        if held and rows + len(piece[0]) > BLOCK:
            yield _join(held)
            held, rows = [], 0
        held.append(piece)
        rows += len(piece[0])
    if held:
        yield _join(held)


def _join(held: list[Block]) -> Block:
    if len(held) == 1:
        return held[0]
    masks = Masks(np.concatenate([masks.data for masks, _ in held]), held[0][0].n)
    return masks, np.concatenate([y for _, y in held])


def _empty(n: int, targets: int) -> Counts:
    return Counts(
        m=0,
        n=n,
        gram=np.zeros((n, n), np.int32),
        ones=np.zeros(n, np.int64),
        xty=np.zeros((n, targets)),
        y_sum=np.zeros(targets),
        y_sq=np.zeros(targets),
        y_min=np.full(targets, np.inf),
        y_max=np.full(targets, -np.inf),
    )


def _add(total: Counts, masks: Masks, y: NDArray[Any], threads: int) -> Counts:
    """`total` with these models added: its arrays are updated in place, of the Gram the lower triangle only."""
    m = total.m + len(masks)
    if m >= 2**31:
        raise InputError("one stream counts fewer than 2^31 models; count several and add them")
    words = -(-len(masks) // 64)
    # An odd number of cache lines a row: at a power of two, the rows of a turned square fall into one cache set.
    by_unit = np.zeros((_up(total.n, SIDE), WORDS * (-(-words // WORDS) | 1)), np.uint64)
    by_word = np.empty((words, total.n), np.uint64)
    rows = masks.words
    each(lambda span: products.turn_bits(rows, *span, by_unit, by_word), _spans(words, 32), threads)
    # The last rows of the triangle are the longest: they go first, so that no thread is left with one at the end.
    tiles = _spans(total.n, 128)[::-1]
    each(lambda span: products.add_gram(by_unit, *span, total.gram), tiles, threads)
    panels = [(t, u) for t in range(0, total.targets, PANEL) for u in range(0, total.n, UNITS)]
    each(lambda at: _add_panel(total, by_word, y, *at), panels, threads)
    return Counts(**{**vars(total), "m": m})


def _add_panel(total: Counts, by_word: NDArray[np.uint64], y: NDArray[Any], target: int, unit: int) -> None:
    """Add one panel of targets over one range of units; the first range also adds the sums of the outputs."""
    part = y[:, target : target + PANEL]
    to = slice(target, target + part.shape[1])
    wide = np.zeros((64 * len(by_word), PANEL))
    wide[: len(part), : part.shape[1]] = part
    last = min(unit + UNITS, total.n)
    sums = products.scratch(last - unit)
    products.add_products(by_word, unit, last, wide, products.table(), sums)
    total.xty[unit:last, to] += sums[:, : part.shape[1]]
    if unit == 0 and len(part):
        total.y_sum[to] += wide.sum(axis=0)[: part.shape[1]]
        total.y_sq[to] += np.square(wide).sum(axis=0)[: part.shape[1]]
        rows = wide[: len(part), : part.shape[1]]
        np.minimum(total.y_min[to], rows.min(axis=0), out=total.y_min[to])
        np.maximum(total.y_max[to], rows.max(axis=0), out=total.y_max[to])


def _spans(length: int, step: int) -> list[tuple[int, int]]:
    return [(start, min(start + step, length)) for start in range(0, length, step)]


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
