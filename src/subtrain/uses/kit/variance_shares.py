"""Shares of the variance of outputs on a grid of masks and training seeds: a two-way analysis of variance.

An output is a mean plus an effect of the mask, an effect of the seed that is the same for every mask, and what the two
do together (their interaction). Beside every mask stands its complement: half their sum holds the effects of even order
in the units, and half their difference those of odd order, as all main effects of units are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from subtrain.errors import InputError
from subtrain.evaluation import Interval
from subtrain.system.types import Floats


@dataclass(frozen=True)
class VarianceShares:
    """Components of variance, none below zero, in units of the variance of one model's output; pooled over targets.

    odd, even: of the mask, by the order of its effects; seed: the same for every mask; interaction_odd,
    interaction_even: of mask and seed. Without complements even and interaction_even are None, and odd and
    interaction_odd are of all orders.
    """

    odd: float
    even: float | None
    seed: float
    interaction_odd: float
    interaction_even: float | None

    @property
    def mask(self) -> float:
        """Of the mask, effects of all orders."""
        return self.odd + (self.even or 0.0)

    @property
    def interaction(self) -> float:
        """Of mask and seed, of all orders."""
        return self.interaction_odd + (self.interaction_even or 0.0)

    @property
    def noise(self) -> float:
        """All that the seed does."""
        return self.seed + self.interaction

    @property
    def noise_share(self) -> float:
        """The seed's share of the variance of one model's output."""
        return _ratio(self.noise, self.noise + self.mask)

    @property
    def same_share(self) -> float:
        """The share of what the seed does that is the same for every mask; NaN where it does nothing."""
        return _ratio(self.seed, self.noise)

    @property
    def even_share(self) -> float:
        """The share of the variance over masks that is of even order; NaN without complements."""
        return float("nan") if self.even is None else _ratio(self.even, self.mask)


def shares_of(y: Floats, complements: bool) -> VarianceShares:
    """The shares in outputs y [masks, seeds, T], where the second half of the masks are complements of the first, in
    their order, if `complements`."""
    scaled = _scaled(y)
    if not complements:
        odd, seed, both = _two_way(scaled)
        return VarianceShares(max(odd, 0.0), None, max(seed, 0.0), both, None)
    half = len(y) // 2
    # 1. Half-sums: mean, even effects of the mask, the seed, and their even interaction.
    even, seed, both_even = _two_way((scaled[:half] + scaled[half:]) / 2)
    # 2. Half-differences: their mean over masks is 0, and effects of the seed are no part of them.
    apart = (scaled[:half] - scaled[half:]) / 2
    mean, seeds = apart.mean(axis=1, keepdims=True), y.shape[1]
    both_odd = float(((apart - mean) ** 2).sum(axis=(0, 1)).mean() / (half * (seeds - 1)))
    odd = float((mean**2).mean()) - both_odd / seeds
    return VarianceShares(max(odd, 0.0), max(even, 0.0), max(seed, 0.0), both_odd, both_even)


def interval_of(y: Floats, complements: bool, share: Callable[[VarianceShares], float]) -> Interval:
    """A share with its 95% interval, from leaving out each seed and each mask (or pair of masks) in turn."""
    from scipy.stats import t

    value = share(shares_of(y, complements))
    groups, seeds = len(y) // (2 if complements else 1), y.shape[1]
    parts = np.arange(len(y)) % groups
    without_mask = [share(shares_of(y[parts != k], complements)) for k in range(groups)]
    without_seed = [share(shares_of(np.delete(y, k, axis=1), complements)) for k in range(seeds)]
    spread = sum((len(some) - 1) * float(np.var(some)) for some in (without_mask, without_seed))
    side = float(t.ppf(0.975, min(groups, seeds) - 1) * np.sqrt(spread))
    return Interval(value, max(value - side, 0.0), min(value + side, 1.0))


def _two_way(y: Floats) -> tuple[float, float, float]:
    """Variances of rows, of columns and of what is left in y [rows, columns, T], means over targets."""
    rows, columns = y.shape[:2]
    center = y.mean(axis=(0, 1))
    row, column = y.mean(axis=1) - center, y.mean(axis=0) - center
    left = y - center - row[:, None] - column[None]
    both = float((left**2).sum(axis=(0, 1)).mean() / ((rows - 1) * (columns - 1)))
    return (
        float((row**2).sum(axis=0).mean() / (rows - 1)) - both / columns,
        float((column**2).sum(axis=0).mean() / (columns - 1)) - both / rows,
        both,
    )


def _scaled(y: Floats) -> Floats:
    """Outputs about each target's mean, over the root of their mean variance; without targets that do not vary.

    Targets are not scaled one by one: the variance of one of them on so few masks is itself so uncertain that its
    shares would be biased.
    """
    center = y - y.mean(axis=(0, 1))
    variance = (center**2).mean(axis=(0, 1))
    varied = variance > 1e-12 * np.maximum((y**2).mean(axis=(0, 1)), np.finfo(float).tiny)
    if not varied.any():
        raise InputError("no target varies, neither between masks nor between seeds")
    found: Floats = center[..., varied] / np.sqrt(variance[varied].mean())
    return found


def _ratio(part: float, whole: float) -> float:
    # What is left of rounding is no effect.
    return part / whole if whole > 1e-9 else float("nan")
