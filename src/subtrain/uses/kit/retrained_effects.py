"""Training sets without some units, retrained: what changes, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.study import Study
from subtrain.uses.kit.intervals import difference_interval

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


class Effect(NamedTuple):
    """A difference of means and its 95 % interval (NaN where there is nothing to tell its error by)."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.3g} [{self.low:+.3g}, {self.high:+.3g}]"


def difference(after: Floats, before: Floats) -> Effect:
    """Mean of `after` less mean of `before`, each independent values [r], with Welch's interval."""
    value, low, high = difference_interval(after, before)
    if np.var(after) + np.var(before) == 0:
        return Effect(value, float("nan"), float("nan"))
    return Effect(value, low, high)


def random_removals(n: int, units: int, draws: int, seed: int) -> list[Numbers]:
    """`draws` sets of so many units, each without repeats: what a removal is compared with."""
    if not 1 <= units <= n // 2 or draws < 2:
        raise InputError(f"removing takes 1 to {n // 2} of {n} units and at least 2 random draws; got {units}, {draws}")
    random = np.random.default_rng(seed)
    return [random.choice(n, units, replace=False) for _ in range(draws)]


def without(
    study: Study, sets: Sequence[Numbers], runs: int, output: str | None = None, **options: Any
) -> tuple[Floats, Floats]:
    """Outputs of models of all units, [runs, T], and of those without each set of units, [sets, runs, T].

    options: as `retrain` takes them. Raises InputError for fewer than two runs: nothing would tell their noise.
    """
    from subtrain.uses.retrain import retrain

    if runs < 2:
        raise InputError(f"telling an effect from noise takes at least 2 runs of each training set, got {runs}")
    masks = np.ones((1 + len(sets), study.n), bool)
    for mask, gone in zip(masks[1:], sets, strict=True):
        mask[gone] = False
    outputs = retrain(study, masks, runs, **options).outputs(output).astype(np.float64)
    return outputs[0], outputs[1:]
