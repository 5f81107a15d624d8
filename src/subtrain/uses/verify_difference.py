"""Does a direction tell two algorithms apart? Retrain both without its units."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subtrain.collection.keyword_checks import hands_on
from subtrain.errors import InputError
from subtrain.study import Study
from subtrain.uses.compare import Comparison
from subtrain.uses.kit.result import Table, new_figure, result_html
from subtrain.uses.kit.retrained_effects import Effect, difference, random_removals, without

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
REMOVALS = ("its units", "random")
# Models that tell how much outputs vary.
SOME = 1000


@dataclass(frozen=True, eq=False)
class DifferenceCheck:
    """Both algorithms retrained without the `units` units that a direction of `side` weighs most, from all units.

    effect: float64 [2, T], of A and B, mean output without those units less with all, over `runs` runs; targets: the
    direction's subpopulation; effects: for A and B the mean over these targets, without the direction's units and
    without as many at random (`draws` sets). All are in standard deviations of the target's output over the subsets of
    its own study, for two algorithms may answer on different scales.
    """

    names: tuple[str, str]
    side: str
    component: int
    units: int
    runs: int
    draws: int
    targets: Numbers = field(repr=False)
    effect: Floats = field(repr=False)
    effects: tuple[tuple[Effect, Effect], tuple[Effect, Effect]]
    output: str = ""

    _repr_html_ = result_html

    def __repr__(self) -> str:
        (a, random_a), (b, random_b) = self.effects
        first, second = self.names
        whose = f"{first} without {second}" if self.side == "a" else f"{second} without {first}"
        return (
            f"DifferenceCheck(without {self.units} units of direction {self.component} of {whose}, its "
            f"{self.targets.size} targets move by {a} under {first} and by {b} under {second}; without as many at "
            f"random by {random_a} and {random_b}; in standard deviations of {self.output} over subsets, {self.runs} "
            "runs, retrained from all units)"
        )

    def table(self) -> Table:
        """Four rows: algorithm, what was removed, mean effect on the subpopulation and its 95 % interval."""
        rows = [
            (name, gone, self.effects[i][k]) for i, name in enumerate(self.names) for k, gone in enumerate(REMOVALS)
        ]
        return {
            "algorithm": np.array([row[0] for row in rows]),
            "removed": np.array([row[1] for row in rows]),
            "effect": np.array([row[2].value for row in rows]),
            "low": np.array([row[2].low for row in rows]),
            "high": np.array([row[2].high for row in rows]),
        }

    def figure(self) -> Figure:
        """Left: effects on the subpopulation with their intervals; right: on every target, under A and under B."""
        figure = new_figure(8.0, 3.6)
        left, right = figure.subplots(1, 2)
        for k, gone in enumerate(REMOVALS):
            value = np.array([self.effects[i][k].value for i in range(2)])
            reach = np.abs([[self.effects[i][k].low, self.effects[i][k].high] for i in range(2)] - value[:, None]).T
            at = np.arange(2) + 0.2 * (2 * k - 1)
            left.bar(at, value, 0.38, yerr=np.nan_to_num(reach), color=("C0", "0.7")[k], capsize=3, label=gone)
        left.set_xticks(range(2), self.names)
        left.axhline(0, color="0.3", lw=0.6)
        left.set(ylabel="change (standard deviations over subsets)")
        left.legend(frameon=False, title=f"without {self.units} units", fontsize="small")
        right.scatter(*self.effect, s=8, alpha=0.5, lw=0, color="0.5", label="all targets")
        right.scatter(*self.effect[:, self.targets], s=12, color="C0", label="the direction's")
        right.set(xlabel=f"change under {self.names[0]}", ylabel=f"change under {self.names[1]}")
        right.legend(frameon=False, fontsize="small")
        figure.suptitle(
            f"{self.output}: {self.targets.size} of {self.effect.shape[1]} targets, {self.runs} runs, "
            f"{self.draws} random sets, retrained from all units",
            fontsize="medium",
        )
        return figure


@hands_on("retrain")
def verify_difference(
    found: Comparison,
    study_a: Study,
    study_b: Study,
    component: int = 0,
    side: str = "a",
    units: int = 20,
    runs: int = 5,
    targets: int = 20,
    draws: int = 5,
    seed: int = 0,
    **options: Any,
) -> DifferenceCheck:
    """Retrain both algorithms with all units, without a direction's, and without as many at random.

    The direction tells the algorithms apart if losing its units moves its targets under one of them and not under the
    other (ModelDiff: Shah et al. 2022). side: "a" for a direction of A without B, "b" for
    one of B without A. targets: how many the effects are averaged over; options: as `retrain` takes them.
    """
    if study_a.n != study_b.n:
        raise InputError(f"{study_a.location} has {study_a.n} units, {study_b.location} has {study_b.n}")
    chosen = found.subpopulation(component, targets, side)
    sets = [found.units(component, units, side), *random_removals(study_a.n, units, draws, seed)]
    effect, effects = [], []
    for study in (study_a, study_b):
        scale = _spread(study, found.output)
        whole, removed = (part / scale for part in without(study, sets, runs, found.output, **options))
        before = whole[:, chosen].mean(axis=1)
        control = removed[1:][:, :, chosen].mean(axis=(1, 2))
        effects.append((difference(removed[0][:, chosen].mean(axis=1), before), difference(control, before)))
        effect.append(removed[0].mean(axis=0) - whole.mean(axis=0))
    return DifferenceCheck(
        names=found.names,
        side=side,
        component=component,
        units=units,
        runs=runs,
        draws=draws,
        targets=chosen,
        effect=np.stack(effect),
        effects=(effects[0], effects[1]),
        output=found.output,
    )


def _spread(study: Study, output: str) -> Floats:
    """Standard deviation float64 [T] of every target's output over some finished models; 1 where it never varies."""
    rows = study.done()[:SOME]
    if rows.size < 2:
        raise InputError(f"{study.location} has {rows.size} finished models, and nothing to measure effects by")
    spread = study.read(output, rows).reshape(rows.size, -1).astype(np.float64).std(axis=0, ddof=1)
    return np.where(spread > 0, spread, 1.0)
