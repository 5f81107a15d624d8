"""Mean outputs of models with a unit and without it, and how far chance moves their difference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.masks import Masks
from subtrain.quantities import Quantity
from subtrain.regression.counting.count_stream import count_blocks
from subtrain.system.types import Floats

Block = tuple[Masks, NDArray[Any]]
Reading = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Differences:
    """with_unit, without: float64, mean outputs of the models that hold the unit and of the others; error: standard
    error of their difference, from the spread within either (Welch). NaN where there are fewer than two models.
    """

    with_unit: Floats
    without: Floats
    error: Floats

    @property
    def value(self) -> Floats:
        return self.with_unit - self.without


def right(output: Quantity) -> Reading:
    """Reads 1 where the output says that the model is right about the target, else 0; outputs that do not tell are
    read as they are.
    """
    threshold = output.right_above
    if threshold is None:
        return np.asarray
    return lambda outputs: (outputs > threshold).astype(np.float64)


def differences(blocks: Iterable[Block], read: Reading = np.asarray) -> Differences:
    """For every unit and target, [n, T], from blocks of masks [k, n] and outputs [k, T], each read once.

    read: what is averaged of an output, for example whether it is above zero. Takes 32 n T bytes or so.
    """
    center, moments = _moments(blocks, read)
    counts = count_blocks(moments, gram="none")
    inside = counts.ones[:, None].astype(np.float64)
    sides = (counts.xty, inside), (counts.y_sum - counts.xty, counts.m - inside)
    return _between(center, *([*np.split(sums, 2, axis=1), size] for sums, size in sides))


def own_differences(blocks: Iterable[Block], own: NDArray[np.int64], read: Reading = np.asarray) -> Differences:
    """For every target and the unit that it is about, [T]; own: int64 [T], that unit."""
    center, moments = _moments(blocks, read)
    size, sums = np.zeros((2, own.size)), np.zeros((2, 2 * own.size))
    for masks, both in moments:
        holds = masks.unpack()[:, own]
        for side, rows in enumerate((holds, ~holds)):
            size[side] += rows.sum(axis=0)
            sums[side] += np.where(np.tile(rows, 2), both, 0).sum(axis=0)
    return _between(center, *([*np.split(sums[side], 2), size[side]] for side in (0, 1)))


def _moments(blocks: Iterable[Block], read: Reading) -> tuple[Floats, Iterator[Block]]:
    """About the first block's mean output [T], and every block's outputs about that beside their squares, [k, 2T]."""
    blocks = iter(blocks)
    first = next(blocks, None)
    if first is None:
        raise InputError("there are no models to average over")
    # A whole number, so that sums of what is right or wrong stay exact.
    center = np.round(read(first[1]).mean(axis=0, dtype=np.float64))

    def about(block: Block) -> Block:
        deviation = read(block[1]) - center
        return block[0], np.concatenate([deviation, np.square(deviation)], axis=1)

    return center, map(about, chain([first], blocks))


def _between(center: Floats, inside: list[Any], outside: list[Any]) -> Differences:
    """From the sum, the sum of squares (both about `center`) and the number of models on either side."""
    means, variances = [], []
    for total, squares, size in (inside, outside):
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(size > 1, total / size, np.nan)
            variances.append(np.maximum(squares / size - mean**2, 0) / (size - 1))
        means.append(center + mean)
    return Differences(means[0], means[1], np.sqrt(variances[0] + variances[1]))
