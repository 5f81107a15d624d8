"""What happens to groups of targets when units are left out: retrained without them, and without random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from subtrain.errors import InputError
from subtrain.evaluation import Interval
from subtrain.study import Study
from subtrain.system.types import Floats
from subtrain.uses.kit.intervals import at_least_one, difference_interval
from subtrain.uses.kit.removals import Numbers, random_sets, without
from subtrain.uses.kit.result import Figure, Result, Table, new_figure


@dataclass(frozen=True, eq=False, repr=False)
class RemovalEffects(Result):
    """Mean effects on groups of targets, output without some units less output with all of them.

    claim: the finding in words. effects: a row of intervals for each entry of `rows[1]`, one for each of
    `columns[1]`; rows[0] and columns[0] name the two. predicted: the same by the datamodels, if they predict any.
    targets: the numbers of the targets that were averaged over. agreement: Pearson correlations over all targets of
    predicted and observed effects. points: for the figure, x and y of every target by name; axes: what x and y are.
    """

    claim: str
    rows: tuple[str, tuple[str, ...]]
    columns: tuple[str, tuple[str, ...]]
    effects: Mapping[str, tuple[Interval, ...]]
    targets: Numbers
    points: Mapping[str, tuple[Floats, Floats]]
    axes: tuple[str, str]
    caption: str
    predicted: Floats | None = None
    agreement: tuple[float, ...] = ()

    def finding(self) -> str:
        return self.claim

    def table(self) -> Table:
        """A row an effect: what was retrained and removed, mean effect with its 95 % interval, the predicted effect."""
        pairs = [(row, column) for row in self.rows[1] for column in self.columns[1]]
        found = [effect for row in self.rows[1] for effect in self.effects[row]]
        columns = {
            self.rows[0]: np.array([row for row, _ in pairs]),
            self.columns[0]: np.array([column for _, column in pairs]),
            "effect": np.array([effect.value for effect in found]),
            "low": np.array([effect.low for effect in found]),
            "high": np.array([effect.high for effect in found]),
        }
        return columns if self.predicted is None else columns | {"predicted": self.predicted}

    def figure(self) -> Figure:
        """Left: the mean effects with their intervals; right: the effect on every target."""
        figure = new_figure(9.0, 3.8)
        left, right = figure.subplots(1, 2)
        count = len(self.columns[1])
        for k, column in enumerate(self.columns[1]):
            found = [self.effects[row][k] for row in self.rows[1]]
            value = np.array([effect.value for effect in found])
            reach = np.abs([[effect.low, effect.high] for effect in found] - value[:, None]).T
            at = np.arange(value.size) + 0.8 * (k - (count - 1) / 2) / count
            left.bar(at, value, 0.76 / count, yerr=np.nan_to_num(reach), capsize=3, label=column)
        left.set_xticks(range(len(self.rows[1])), self.rows[1])
        left.axhline(0, color="0.3", lw=0.6)
        left.set(xlabel=self.rows[0], ylabel="mean change")
        left.legend(frameon=False, title=self.columns[0], fontsize="small")
        for name, (x, y) in self.points.items():
            right.scatter(x, y, s=8, alpha=0.6, lw=0, label=name)
        right.set(xlabel=self.axes[0], ylabel=self.axes[1])
        right.legend(frameon=False, fontsize="small")
        figure.suptitle(self.caption, fontsize="small")
        return figure


def difference(after: Floats, before: Floats) -> Interval:
    """Mean of `after` less mean of `before`, each independent values [r]; no interval where neither varies."""
    found = difference_interval(after, before)
    if np.var(after) + np.var(before) == 0:  # also of one run each
        return Interval(found.value, float("nan"), float("nan"))
    return found


def as_many_at_random(n: int, units: int, draws: int, seed: int) -> list[Numbers]:
    """`draws` random sets of `units` units each: what a removal is compared with."""
    if not 1 <= units <= n // 2 or draws < 2:
        raise InputError(f"removing takes 1 to {n // 2} of {n} units and at least 2 random draws; got {units}, {draws}")
    return random_sets(n, [units] * draws, seed)


def retrained_without(
    study: Study, sets: Sequence[Numbers], runs: int, output: str | None = None, **options: Any
) -> tuple[Floats, Floats]:
    """Outputs of models of all units, [runs, T], and of those without each set of units, [sets, runs, T].

    options: as `retrain` takes them. Raises InputError for fewer than one run.
    """
    from subtrain.uses.retrain import retrain

    at_least_one(runs)
    masks = np.concatenate([np.ones((1, study.n), np.bool_), without(study.n, sets)])
    outputs = retrain(study, masks, runs, **options).outputs(output).astype(np.float64)
    return outputs[0], outputs[1:]
