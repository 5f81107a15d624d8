"""How large weights are expected to be: learned from all of them, and shared between units and between targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Kinds = NDArray[np.integer]
# Pseudo-observations of "as before" in the factor of a kind.
PRIOR = 1.0


class Scales:
    """Prior variances [T, n] = (by_target @ by_unit) times a factor for each kind of pair; rank 1 until `split`.

    The variance of what is seen is that of weight and noise together, so the likelihood of scales is that of normal
    variables of known noise; each update is a step of multiplicative Itakura-Saito factorisation (Fevotte, Bertin &
    Durrieu 2009), which never lowers it. kinds: integer tables [n, T].
    """

    def __init__(self, level: Floats, n: int, kinds: Sequence[Kinds] = ()) -> None:
        """level: [T], the variance that each target starts from."""
        self.by_target = level[:, None].copy()
        self.by_unit = np.ones((1, n))
        self.kinds = [np.ascontiguousarray(table.T).astype(np.intp) for table in kinds]
        self.factor = np.ones((level.size, n))

    def split(self, rank: int, seed: int) -> None:
        """From one to `rank` products of a target's and a unit's part, each off the others by a random factor."""
        random = np.random.default_rng(seed)
        self.by_target = self.by_target * random.gamma(4.0, 0.25, (len(self.by_target), rank)) / rank
        self.by_unit = self.by_unit * random.gamma(4.0, 0.25, (rank, self.by_unit.shape[1]))

    def variances(self) -> Floats:
        """[T, n]."""
        found: Floats = (self.by_target @ self.by_unit) * self.factor
        return found

    def update(self, square: Floats, blur: Floats, mean: float) -> None:
        """One step uphill. square, blur: [T, n], squares of what is seen and its noise; mean: of the mixture."""
        part = mean * self.factor
        pull, push = _slopes(self.by_target @ self.by_unit, part, square, blur)
        self.by_unit *= np.sqrt(_over(self.by_target.T @ pull, self.by_target.T @ push))
        pull, push = _slopes(self.by_target @ self.by_unit, part, square, blur)
        self.by_target *= np.sqrt(_over(pull @ self.by_unit.T, push @ self.by_unit.T))
        size = self.by_unit.mean(axis=1)
        self.by_unit /= size[:, None]
        self.by_target *= size
        for table in self.kinds:
            prior = mean * self.variances()
            pull, push = _slopes(prior, np.ones(()), square, blur)
            flat, count = table.ravel(), int(table.max()) + 1
            up, down = (np.bincount(flat, (prior * slope).ravel(), count) + PRIOR for slope in (pull, push))
            self.factor *= np.sqrt(up / down)[table]


def _slopes(base: Floats, part: Floats, square: Floats, blur: Floats) -> tuple[Floats, Floats]:
    """The parts of the likelihood's slope in `base` that raise it and that lower it, each doubled."""
    variance = part * base + blur
    push = part / variance
    return push * square / variance, push


def _over(up: Floats, down: Floats) -> Floats:
    return np.divide(up, down, out=np.ones_like(up), where=down > 0)
