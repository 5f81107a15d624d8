"""Effects of training seeds that several models of a study share, estimated and shrunk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subtrain.regression.study_models import BLOCK, Models
from subtrain.system.types import Floats

Ints = NDArray[np.int64]
# Outputs that are read at a time.
NUMBERS = 1 << 23


@dataclass(frozen=True, eq=False)
class SeedEffects:
    """values: float64 [seeds, T], shrunk; level: float64 [T], mean of the models; share: part of the variance of
    outputs that the seeds are, over all targets; noise: float64 [T], variance that the seeds leave of what they were
    told from, with `freedom` degrees of freedom, None where nothing is left to tell it; taken: the share of what they
    were told from that they take, 0 where effects are 0."""

    values: Floats
    level: Floats
    share: float
    noise: Floats | None = None
    freedom: int = 0
    taken: float = 0.0


def effects_of_pairs(models: Models, first: Ints, second: Ints, seeds: tuple[Ints, Ints, int] | None) -> SeedEffects:
    """Effects of seeds from half the sum of each pair, by least squares on the two seeds.

    Masks of a pair hold every unit once, so their sum holds no main effect of a unit. seeds: the place of each first
    and second model's seed, and how many seeds there are; None where only the level is wanted.
    """
    one, other, count = seeds or (np.zeros(first.size, np.int64), np.zeros(first.size, np.int64), 1)
    # 1. Moments of half-sums and of how much of each seed they hold, about the first pairs' mean.
    pairs, center = first.size, np.zeros(models.targets)
    held, mixed = np.zeros(count), np.zeros((count, count))
    cross, total = np.zeros((count, models.targets)), np.zeros(models.targets)
    square, singles = np.zeros(models.targets), np.zeros(models.targets)
    for some in _blocks(pairs, models.targets):
        mine, other_half = (models.outputs_of(rows[some]).astype(np.float64) for rows in (first, second))
        if some.start == 0:
            center = (mine + other_half).mean(axis=0) / 2
        mine -= center
        other_half -= center
        sums = (mine + other_half) / 2
        singles += (mine**2 + other_half**2).sum(axis=0) / 2
        design = np.zeros((len(sums), count))
        rows = np.arange(len(sums))
        np.add.at(design, (rows, one[some]), 0.5)
        np.add.at(design, (rows, other[some]), 0.5)
        held += design.sum(axis=0)
        mixed += design.T @ design
        cross += design.T @ sums
        total += sums.sum(axis=0)
        square += (sums**2).sum(axis=0)
    level = center + total / pairs
    if seeds is None:
        noise = (square - total**2 / pairs) / (pairs - 1) if pairs > 1 else None
        return SeedEffects(np.zeros((0, models.targets)), level, 0.0, noise, pairs - 1)
    # 2. Least squares of centered half-sums, and what it leaves.
    gram = mixed - np.outer(held, held) / pairs
    pull = cross - np.outer(held, total) / pairs
    spread = square - total**2 / pairs
    return _shrunk(gram, pull, spread, pairs, level, singles / pairs - (total / pairs) ** 2)


def effects_of_rows(models: Models, rows: Ints, seeds: Ints, count: int) -> SeedEffects:
    """Effects of seeds from the means of each seed's models."""
    held, center = np.bincount(seeds, minlength=count).astype(np.float64), np.zeros(models.targets)
    cross, square = np.zeros((count, models.targets)), np.zeros(models.targets)
    for some in _blocks(rows.size, models.targets):
        outputs = models.outputs_of(rows[some]).astype(np.float64)
        if some.start == 0:
            center = outputs.mean(axis=0)
        outputs -= center
        np.add.at(cross, seeds[some], outputs)
        square += (outputs**2).sum(axis=0)
    total = cross.sum(axis=0)
    gram = np.diag(held) - np.outer(held, held) / rows.size
    pull = cross - np.outer(held, total) / rows.size
    spread = square - total**2 / rows.size
    return _shrunk(gram, pull, spread, rows.size, center + total / rows.size, spread / rows.size)


def _shrunk(gram: Floats, pull: Floats, spread: Floats, rows: int, level: Floats, variance: Floats) -> SeedEffects:
    """Random effects: their variance over that of the rest is one ratio for all targets, by its moment estimate.

    One seed moves many targets at once, so targets say together what ten seeds of one of them cannot: a learner whose
    seed does little gets no effects, and loses nothing. variance: [T], of single models.
    """
    count = len(gram)
    if rows <= count + 1:
        return SeedEffects(np.zeros((count, level.size)), level, 0.0)
    values = np.linalg.pinv(gram, rcond=1e-9, hermitian=True) @ pull
    explained = np.einsum("bt,bt->t", values, pull)
    left = (spread - explained) / (rows - count)
    varied = left > 1e-12 * np.maximum(spread, np.finfo(float).tiny)
    excess = explained[varied] / (count - 1) / left[varied] - 1.0
    ratio = max(float(excess.mean()) if varied.any() else 0.0, 0.0) * (count - 1) / np.trace(gram)
    if ratio == 0.0:
        return SeedEffects(np.zeros((count, level.size)), level, 0.0, left, rows - count)
    inverse = np.linalg.inv(gram + np.eye(count) / ratio)
    shrunk = inverse @ pull
    shrunk -= shrunk.mean(axis=0)
    share = shrunk.var(axis=0) / np.maximum(variance, np.finfo(float).tiny)
    taken = float(np.sum(inverse * gram)) / rows
    return SeedEffects(shrunk, level, float(share[varied].mean()), left, rows - count, taken)


def _blocks(count: int, targets: int) -> Iterator[slice]:
    """Rows whose outputs are held together, as float64 within NUMBERS."""
    step = max(1, min(BLOCK, NUMBERS // max(1, targets)))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))
