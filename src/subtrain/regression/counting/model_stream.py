"""A stream of models, checked and cut into passes; the models that were counted before are skipped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.masks import Masks, join
from subtrain.regression.counting.counts import as_outputs, check_finite
from subtrain.regression.counting.shards import Stack, stack

Block = tuple[Masks, NDArray[Any]]
LAST = 64


@dataclass(frozen=True)
class Tail:
    """The last models counted, at most 64: enough to tell whether another stream begins with the same ones."""

    masks: NDArray[np.uint8] | None = None
    outputs: NDArray[Any] | None = None
    digest: str = ""

    def after(self, masks: Masks, outputs: NDArray[Any]) -> Tail:
        """The tail once these models have been counted too."""
        bits, values = masks.data[-LAST:], outputs[-LAST:]
        if self.masks is not None and self.outputs is not None and len(bits) < LAST:
            bits = np.concatenate([self.masks, bits])[-LAST:]
            values = np.concatenate([self.outputs, values])[-LAST:]
        digest = hashlib.sha256(bits.tobytes())
        digest.update(np.ascontiguousarray(values, np.float64).tobytes())
        return Tail(bits.copy(), values.copy(), digest.hexdigest())


def array_blocks(masks: Any, outputs: Any = None, rows: int = 8192, *, drop_nonfinite: bool = False) -> Iterator[Block]:
    """Blocks of at most `rows` models of whatever `count` takes; memory maps are read and packed block by block."""
    models = masks if isinstance(masks, Stack) else stack(masks, outputs)
    read = models.finite if drop_nonfinite else models.read
    for start in range(0, max(len(models), 1), rows):
        yield read(start, min(start + rows, len(models)))


def cut(
    blocks: Iterable[tuple[Any, ArrayLike]], rows: Callable[[Masks, NDArray[Any]], int], skip: int, tail: Tail
) -> Iterator[Block]:
    """The models after the first `skip`, joined or cut to passes of at most rows(first block) models.

    Small blocks are joined because every pass touches the whole Gram. Raises InputError when the stream's first `skip`
    models do not end as `tail` says.
    """
    yield from passes(_after(checked(blocks), skip, tail), rows)


def passes(blocks: Iterable[Block], rows: Callable[[Masks, NDArray[Any]], int]) -> Iterator[Block]:
    """Blocks joined or cut to passes of at most rows(first block) models."""
    held: list[Block] = []
    count = limit = 0
    for masks, y in blocks:
        limit = limit or rows(masks, y)
        for start in range(0, max(len(y), 1), limit):
            piece = masks[start : start + limit], y[start : start + limit]
            if held and count + len(piece[0]) > limit:
                yield _join(held)
                held, count = [], 0
            held.append(piece)
            count += len(piece[0])
    if held:
        yield _join(held)


def checked(blocks: Iterable[tuple[Any, ArrayLike]]) -> Iterator[tuple[int, Masks, NDArray[Any]]]:
    """Blocks of one shape, each with the position of its first model in the stream."""
    seen = 0
    shape: tuple[int, int] | None = None
    for masks, y in _packed(blocks):
        shape = shape or (masks.n, y.shape[1])
        if (masks.n, y.shape[1]) != shape:
            raise InputError(
                f"a block of models has {masks.n} units and {y.shape[1]} targets, those before it "
                f"{shape[0]} and {shape[1]}"
            )
        yield seen, masks, y
        seen += len(y)


def _packed(blocks: Iterable[tuple[Any, ArrayLike]]) -> Iterator[Block]:
    """Blocks of anything that `count` takes, each cut to what may be read at a time."""
    for masks, outputs in blocks:
        if not isinstance(masks, Masks):
            yield from array_blocks(masks, outputs)
            continue
        y = as_outputs(outputs)
        if len(masks) != len(y):
            raise InputError(f"there are {len(masks)} masks but outputs of {len(y)} models")
        yield masks, y


def _after(blocks: Iterable[tuple[int, Masks, NDArray[Any]]], skip: int, tail: Tail) -> Iterator[Block]:
    """The stream's models after the first `skip`, which must end as `tail` says."""
    known, seen = Tail(), 0
    for first, masks, y in blocks:
        seen = first + len(y)
        if first < skip:
            end = min(len(y), skip - first)
            begin = max(0, min(end, skip - LAST - first))
            known = known.after(masks[begin:end], y[begin:end])
            if seen >= skip and known.digest != tail.digest:
                raise InputError(f"the stream does not begin with the {skip} models that were counted before")
            if seen <= skip:
                continue
            masks, y, first = masks[end:], y[end:], skip
        check_finite(y, first)
        yield masks, y
    if seen < skip:
        raise InputError(f"the stream has {seen} models, fewer than the {skip} that were counted before")


def _join(held: list[Block]) -> Block:
    if len(held) == 1:
        return held[0]
    masks, outputs = zip(*held, strict=True)
    return join(masks), np.concatenate(outputs)
