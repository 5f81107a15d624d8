"""The guess alone, where units are too many for tables of their pairs: it is read in blocks, and never copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.formatting import size
from subtrain.masks import Masks
from subtrain.regression.counting.counts import gram_kind
from subtrain.regression.counting.threads import Progress
from subtrain.regression.estimators.kit.guessed import FOLDS, Effects, Held, Moments, effects, folds_in_turn
from subtrain.regression.fit_plan import FitPlan
from subtrain.system.machine import available_memory
from subtrain.system.types import Floats

# Bytes of the predictions of a block of targets, and of a block of rows of a table.
PREDICTIONS, ROWS = 1 << 30, 1 << 27
# Models whose masks are unpacked at a time.
MODELS = 1024
# Tables of float64 [n, T], and [n, n], that a fit with a residual holds besides the counts of each fold and of all.
TABLES, MATRICES = 15, 3

# What `chosen` says of such a fit.
GUESS = "guess"

Tables = Sequence[tuple[str, Any]]


def bytes_with_residual(n: int, targets: int) -> int:
    """What a guess takes in memory if what it leaves is fitted, too."""
    dense = 4 if gram_kind(n) == "dense" else 8
    return (FOLDS + 1) * (dense * n * n + 8 * n * targets) + 8 * n * (MATRICES * n + TABLES * targets)


def room_for_residual(n: int, targets: int) -> bool:
    """Whether that much is free."""
    free = available_memory()
    return free is None or bytes_with_residual(n, targets) <= free


def said_of_alone(n: int, targets: int, models: int) -> str:
    """Why the guess alone is fitted, in a sentence."""
    more = "; models are more than units, so compare it with LassoLarge (--estimator lasso-large)" if models > n else ""
    return (
        f"the guess alone is fitted, without a correction: that needs tables of all pairs of {n:,} units, about "
        f"{size(bytes_with_residual(n, targets))} of memory with the rest, which are not free{more}"
    )


class GuessPlan(FitPlan):
    """What the guess alone needs. counts: masks and outputs; path: the weights, predictions and a block of tables."""

    @classmethod
    def of(cls, models: int, n: int, targets: int, itemsize: int) -> GuessPlan:
        weights = 4 * n * targets
        held = models * (n // 8 + targets * itemsize)
        block = min(targets, block_of_targets(models, 2))
        blocks = 3 * 8 * models * block + 6 * min(ROWS, weights) + 5 * min(models, MODELS) * n
        return cls(models, n, targets, held, weights + blocks, 0, 2 * weights + 32 * targets)

    @property
    def weights(self) -> str:
        """How large they are."""
        return size(4 * self.n * self.targets)

    def __str__(self) -> str:
        return (
            f"{self.size_said}, the guess alone: about {size(self.memory)} of memory at peak "
            f"(models {size(self.counts)}, weights {self.weights}), "
            f"{size(self.disk)} to write"
        )

    def shortage(self, free: int) -> str:
        return (
            f"the guess alone needs about {size(self.memory)} of memory ({self.weights} of it for the weights of "
            f"{self.n:,} units on {self.targets:,} targets), but only {size(free)} are free: fit on a larger machine"
        )


def block_of_targets(models: int, tables: int) -> int:
    """How many targets' predictions by all tables are held at a time."""
    return max(1, PREDICTIONS // (8 * models * tables))


@dataclass(frozen=True, eq=False)
class FoldSums:
    """Over m models, of F tables' predictions p and the outputs y of T targets, about any fixed numbers: p
    [T, F], y [T], pp [T, F, F], py [T, F], yy [T]. `a + b` is that of both sets of models."""

    m: int
    p: Floats
    y: Floats
    pp: Floats
    py: Floats
    yy: Floats

    def __add__(self, other: FoldSums) -> FoldSums:
        return FoldSums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    @classmethod
    def of(cls, predicted: Floats, outputs: Floats) -> FoldSums:
        """predicted: [F, m, T]; outputs: [m, T]."""
        return cls(
            len(outputs),
            predicted.sum(axis=1).T,
            outputs.sum(axis=0),
            np.einsum("fmt,gmt->tfg", predicted, predicted),
            np.einsum("fmt,mt->tf", predicted, outputs),
            np.einsum("mt,mt->t", outputs, outputs),
        )

    @property
    def moments(self) -> Moments:
        """About the means of these models."""
        m, p, y = self.m, self.p / self.m, self.y / self.m
        square = self.pp / m - p[:, :, None] * p[:, None, :]
        return Moments(m, square, self.py / m - p * y[:, None], np.maximum(self.yy / m - y**2, 0.0))


def joined(parts: Sequence[FoldSums]) -> FoldSums:
    """Of several blocks of targets, one after the other."""
    arrays = [[getattr(part, name) for part in parts] for name in ("p", "y", "pp", "py", "yy")]
    return FoldSums(parts[0].m, *(np.concatenate(some) for some in arrays))


@dataclass(frozen=True, eq=False)
class Alone:
    """What `fit_alone` found. weight: float32 [n, T]; bias: [T]; constant: units in every mask or in none; alone:
    correlation of each table's predictions with outputs of held-out folds; guess: that of all tables; beta: mean effect
    of each table."""

    weight: NDArray[np.float32]
    bias: Floats
    constant: NDArray[np.int64]
    alone: Mapping[str, float]
    guess: float
    beta: Mapping[str, float]


def fit_alone(
    masks: Masks,
    outputs: NDArray[Any],
    fold: NDArray[np.int64],
    tables: Tables,
    progress: Progress | None = None,
    joins: bool = True,
) -> Alone:
    """Weights that are what tables say, by effects that the outputs teach.

    1. What each table predicts of every model, for a block of targets, reading the tables in blocks of rows; of it only
    sums over each fold are kept. 2. Effects are learned as in `fit_guessed`, of all models, and for the scores of all
    but one fold. 3. The weights, in blocks of rows.

    Args:
        masks: Of m models over n units, packed.
        outputs: [m, T], finite, of any float type.
        fold: int64 [m], the fold of each model.
        tables: [n, T] by name.
        progress: Called with stage, done and total.
        joins: Whether models of the last fold are fitted on, too. Default True.

    Returns:
        The weights and what tells their worth.
    """
    names, folds = [name for name, _ in tables], int(fold.max()) + 1
    if folds < 2:
        raise InputError(f"a guess needs at least 2 folds of models, got {folds}")
    targets = outputs.shape[1]
    step = block_of_targets(len(masks), len(tables))
    ones = _ones(masks)
    live = (ones > 0) & (ones < len(masks))
    center, kept = np.empty(targets), []
    means = np.empty((targets, len(tables)))
    for start in range(0, targets, step):
        some = slice(start, min(start + step, targets))
        predicted = np.stack([_predicted(masks, table, some, live) for _, table in tables])
        y = outputs[:, some].astype(np.float64)
        level = y.mean(axis=0)
        # Exactly 0 for constant outputs, whose mean may be rounded.
        y = np.where(y.min(axis=0) < y.max(axis=0), y - level, 0.0)
        center[some], means[some] = level, predicted.mean(axis=1).T
        predicted -= predicted.mean(axis=1, keepdims=True)
        kept.append([FoldSums.of(predicted[:, fold == k], y[fold == k]) for k in range(folds)])
        if progress:
            progress("guess", some.stop, targets)
    parts = [joined(blocks) for blocks in zip(*kept, strict=True)]
    found, (alone, guess) = effects(reduce(add, parts if joins else parts[:-1]).moments), _scores(parts, len(tables))
    constant = np.flatnonzero(~live)
    return Alone(
        weight=_weights(tables, found, constant, progress),
        bias=center - np.einsum("tf,tf->t", found.factors, means),
        constant=constant,
        alone=dict(zip(names, alone, strict=True)),
        guess=guess,
        beta=dict(zip(names, found.mean.tolist(), strict=True)),
    )


def _scores(parts: Sequence[FoldSums], tables: int) -> tuple[list[float], float]:
    """Correlations with the outputs of held-out folds: of each table, and of all of them together."""
    targets = len(parts[0].y)
    alone, both = [Held.of(targets) for _ in range(tables)], Held.of(targets)
    # Of two parts the second is of validation models.
    for rest, part in folds_in_turn(parts)() if len(parts) > 2 else [(parts[0], parts[1])]:
        out = part.moments
        both.add_guess(out, effects(rest.moments).factors)
        for f, held in enumerate(alone):
            held.add_guess(out, np.tile(np.eye(tables)[f], (targets, 1)))
    return [held.score for held in alone], both.score


def _predicted(masks: Masks, table: Any, some: slice, live: NDArray[np.bool_]) -> Floats:
    """The masks times these targets' columns of a table, [m, targets], reading its rows in order; of live units [n]."""
    n, targets = masks.n, some.stop - some.start
    found = np.zeros((len(masks), targets))
    # Whole bytes of the packed masks.
    step = max(8, ROWS // (4 * targets) // 8 * 8)
    for start in range(0, n, step):
        rows = np.array(table[start : start + step, some], np.float32, order="C")
        rows[~live[start : start + step]] = 0.0
        for first in range(0, len(masks), MODELS):
            held = masks.data[first : first + MODELS, start // 8 : (start + step) // 8]
            inside = np.unpackbits(held, axis=1, count=len(rows), bitorder="little").astype(np.float32)
            found[first : first + MODELS] += inside @ rows
    return found


def _weights(
    tables: Tables, found: Effects, constant: NDArray[np.int64], progress: Progress | None
) -> NDArray[np.float32]:
    n, targets = tables[0][1].shape
    factors = found.factors.astype(np.float32)
    weight = np.zeros((n, targets), np.float32)
    step = max(1, ROWS // (4 * targets))
    for start in range(0, n, step):
        rows = slice(start, start + step)
        for f, (_, table) in enumerate(tables):
            if found.scale[f] > 0:
                weight[rows] += np.asarray(table[rows], np.float32) * factors[:, f]
        if progress:
            progress("weights", min(start + step, n), n)
    weight[constant] = 0.0
    return weight


def _ones(masks: Masks) -> NDArray[np.int64]:
    """How many models hold each unit."""
    found = np.zeros(masks.n, np.int64)
    for first in range(0, len(masks), MODELS):
        found += masks[first : first + MODELS].unpack().sum(axis=0)
    return found
