"""A search for the smallest number of units whose removal flips each target, one round of retraining at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
# Where a search begins without a prediction, and the most units that are removed, as shares of all.
BEGIN, MOST = 0.05, 0.9
# How far apart the largest number that keeps and the smallest that flips may stay, as a share of the latter.
CLOSE = 0.05
UP, DOWN = 2.0, 0.6


@dataclass(frozen=True, eq=False)
class SupportSearch:
    """keeps, flips: int64 [R], the largest number of units known to leave a prediction and the smallest known to flip
    it (0: none yet); asked: what is tried next, 0 where the search has ended; most: units that may go."""

    keeps: Ints
    flips: Ints
    asked: Ints
    most: int

    @staticmethod
    def begin(predicted: Ints, n: int) -> SupportSearch:
        """predicted: int64 [R], the numbers to begin with, where they are above 0."""
        most = max(1, int(MOST * n))
        first = np.where(predicted > 0, predicted, max(1, round(BEGIN * n)))
        none = np.zeros(predicted.size, np.int64)
        return SupportSearch(none, none, np.minimum(first, most).astype(np.int64), most)

    def told(self, flipped: NDArray[np.bool_]) -> SupportSearch:
        """The search after its round: flipped [R], of those that were asked.

        Between a number that keeps and one that flips it halves their ratio; without one that flips it doubles, without
        one that keeps it takes six tenths.
        """
        tried = self.asked > 0
        keeps = np.where(tried & ~flipped, np.maximum(self.keeps, self.asked), self.keeps)
        flips = np.where(tried & flipped, self.asked, self.flips)
        up = np.minimum(np.ceil(UP * keeps), self.most)
        down = np.floor(DOWN * flips)
        between = np.round(np.sqrt(keeps.astype(np.float64) * flips))
        following = np.where(flips == 0, up, np.where(keeps == 0, down, between)).astype(np.int64)
        following = np.where(flips > 0, np.clip(following, keeps + 1, flips - 1), following)
        gap = flips - keeps
        ended = np.where(flips > 0, (gap <= 1) | (keeps > 0) & (gap <= CLOSE * flips), keeps >= self.most)
        return replace(self, keeps=keeps, flips=flips, asked=np.where(tried & ~ended, following, 0))
