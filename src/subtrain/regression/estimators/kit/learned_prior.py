"""What weights are expected to be: learned from all of them, and shared between units and between targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subtrain.regression.counting.threads import each, thread_count
from subtrain.regression.estimators.kit.pairs import Pairs
from subtrain.system.blas import one_blas_thread
from subtrain.system.types import Floats

Kinds = NDArray[np.integer]
# Pseudo-observations of "as before" in the factor of a kind, and how far its mean goes at a time.
AS_BEFORE, STEP = 1.0, 0.5
# Variance that a trait's coefficients start from, over that of the weights.
START = 0.3


class Prior:
    """Means and variances of the weights [T, n].

    Variances are (by_target @ by_unit), rank 1 until `split`, times a factor for each kind of pair. What is seen of a
    weight varies by weight and noise together, so the likelihood is that of normal variables of known noise; each
    update of the variances is a step of multiplicative Itakura-Saito factorization (Fevotte, Bertin & Durrieu 2009),
    which never lowers it. Means are one for each kind of the first table, plus for each target a combination of the
    units' traits, shrunk by how much the coefficients of such traits vary. (Not of the targets' traits: seed
    noise is alike in targets that are alike, and would pass for structure.)
    """

    def __init__(self, level: Floats, n: int, pairs: Pairs) -> None:
        """level: [T], the variance that each target starts from."""
        self.by_target = level[:, None].copy()
        self.by_unit = np.ones((1, n))
        self.kinds = [np.ascontiguousarray(table.T).astype(np.intp) for table in pairs.kinds]
        self.traits, self.groups = pairs.traits, pairs.groups
        self.vary: Floats | None = None
        self.factor = np.ones((level.size, n))
        self.center = np.zeros((level.size, n))

    def split(self, rank: int, seed: int) -> None:
        """From one to `rank` products of a target's and a unit's part, each off the others by a random factor."""
        random = np.random.default_rng(seed)
        self.by_target = self.by_target * random.gamma(4.0, 0.25, (len(self.by_target), rank)) / rank
        self.by_unit = self.by_unit * random.gamma(4.0, 0.25, (rank, self.by_unit.shape[1]))

    def variances(self) -> Floats:
        """[T, n]."""
        found: Floats = (self.by_target @ self.by_unit) * self.factor
        return found

    def update(self, seen: Floats, blur: Floats, mixed: float) -> None:
        """One step uphill. seen, blur: [T, n], each weight as the data alone give it and the variance of its noise;
        mixed: the mixture's mean, which variances are to be multiplied by."""
        square = (seen - self.center) ** 2
        part = mixed * self.factor
        pull, push = _slopes(self.by_target @ self.by_unit, part, square, blur)
        self.by_unit *= np.sqrt(_over(self.by_target.T @ pull, self.by_target.T @ push))
        pull, push = _slopes(self.by_target @ self.by_unit, part, square, blur)
        self.by_target *= np.sqrt(_over(pull @ self.by_unit.T, push @ self.by_unit.T))
        size = self.by_unit.mean(axis=1)
        self.by_unit /= size[:, None]
        self.by_target *= size
        for table in self.kinds:
            prior = mixed * self.variances()
            pull, push = _slopes(prior, np.ones(()), square, blur)
            up, down = (sums(table, prior * slope) + AS_BEFORE for slope in (pull, push))
            self.factor *= np.sqrt(up / down)[table]

    def update_means(self, seen: Floats, blur: Floats, mixed: float, threads: int | None = None) -> None:
        """Towards what the kinds and the units' traits say of what is seen, weighted by how well it is known."""
        prior = mixed * self.variances()
        known = 1.0 / (blur + prior)
        center = np.zeros_like(seen)
        if self.kinds:
            table = self.kinds[0]
            center += _over(sums(table, known * seen), sums(table, known))[table]
        if self.traits is not None and self.groups is not None:
            if self.vary is None:
                self.vary = np.full(int(self.groups.max()) + 1, START * float(prior.mean()))
            center += self._by_traits(known, seen - center, threads)
        self.center += STEP * (center - self.center)

    def _by_traits(self, known: Floats, left: Floats, threads: int | None) -> Floats:
        """The posterior mean of traits @ coefficients for each target; and a step of EM for the coefficients' variances
        by group."""
        traits, groups, vary = self.traits, self.groups, self.vary
        assert traits is not None
        assert groups is not None
        assert vary is not None
        second, found = np.zeros((len(left), groups.size)), np.zeros_like(left)
        ridge = np.diag(1.0 / np.maximum(vary[groups], np.finfo(float).tiny ** 0.5))

        def solve(t: int) -> None:
            weighted = traits * known[t][:, None]
            cover = np.linalg.inv(weighted.T @ traits + ridge)
            coefficients = cover @ (weighted.T @ left[t])
            second[t] = coefficients**2 + np.diag(cover)
            found[t] = traits @ coefficients

        with one_blas_thread():
            each(solve, list(range(len(left))), thread_count(threads), lambda _: None)
        self.vary = np.bincount(groups, second.mean(axis=0)) / np.bincount(groups)
        return found


def sums(table: Kinds, values: Floats) -> Floats:
    """Of the values of each kind."""
    found: Floats = np.bincount(table.ravel(), values.ravel(), int(table.max()) + 1).astype(np.float64)
    return found


def _slopes(base: Floats, part: Floats, square: Floats, blur: Floats) -> tuple[Floats, Floats]:
    """The parts of the likelihood's slope in `base` that raise it and that lower it, each doubled."""
    variance = part * base + blur
    push = part / variance
    return push * square / variance, push


def _over(up: Floats, down: Floats) -> Floats:
    return np.divide(up, down, out=np.ones_like(up), where=down > 0)
