"""What the rows of a fit say of weights: how far they confound units, and how noisy they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subtrain.system.types import Floats

# Crosstalk below which least squares have a closed form, and the degrees of freedom that must be left to it.
ORTHOGONAL, LEAST_FREEDOM = 0.05, 30


@dataclass(frozen=True, eq=False)
class Residuals:
    """What weights leave of m rows over units of which `rank` are told apart: rss [T], about its mean; gain [T], what
    least squares would take off it; used [T], degrees of freedom of the weights."""

    m: int
    rank: int
    rss: Floats
    gain: Floats
    used: Floats


@dataclass(frozen=True, eq=False)
class RowNoise:
    """What a design says of its rows.

    crosstalk: mean squared correlation of two units over that of as many random masks: 1 for these, 0 for orthogonal
    ones, where no weight's error is mistaken for another weight. half_sums: float64 [T], variance of a row's noise as
    half the sums of pairs tell it, which hold no main effect, None where there are no pairs; it counts even effects
    too, so it is an upper bound. freedom: of half_sums.
    """

    crosstalk: float = 1.0
    half_sums: Floats | None = None
    freedom: int = 0

    def of(self, targets: NDArray[np.int64]) -> RowNoise:
        """The same of some targets."""
        return RowNoise(self.crosstalk, None if self.half_sums is None else self.half_sums[targets], self.freedom)

    def left(self, m: int, used: Floats) -> Floats:
        """By what sums over m rows are divided for an unbiased weight, [T]: the LASSO's shrinkage hides behind the
        crosstalk alone (Bellec & Zhang 2019; of orthogonal rows, least squares need no correction)."""
        return m - self.crosstalk * (1.0 + used)

    def told(self, m: int, rank: int) -> bool:
        """Whether m such rows tell their noise: one orthogonal set without pairs tells no more than an upper bound."""
        return self.crosstalk >= 1 or self.half_sums is not None or self._closed(m, rank)

    def _closed(self, m: int, rank: int) -> bool:
        return self.crosstalk <= ORTHOGONAL and m - 1 - rank >= LEAST_FREEDOM

    def variance(self, found: Residuals) -> tuple[Floats, Floats]:
        """m times the variance of a weight whose mask has variance 1, [T], and its degrees of freedom [T].

        Random rows count the noise and the errors of all other weights in one, by the residuals over the freedom that
        the fit left. Orthogonal rows have noise alone: 1. as residuals of least squares tell it, where enough are left;
        2. as half-sums do; 3. as of random rows, which is never less on average. Between the two crosstalk weighs them.
        """
        free = np.maximum(found.m - 1.0 - found.used, 1.0)
        whole = found.m * found.rss / free**2
        if self.crosstalk >= 1:
            return whole, free
        noise, freedom = whole, free
        if self._closed(found.m, found.rank):
            # 1. Least squares in closed form.
            left = found.m - 1.0 - found.rank
            noise, freedom = np.maximum(found.rss - found.gain, 0.0) / left, np.full(whole.shape, left)
        elif self.half_sums is not None:
            # 2. Half-sums.
            noise, freedom = self.half_sums, np.full(whole.shape, float(self.freedom))
        return (1 - self.crosstalk) * noise + self.crosstalk * whole, freedom
