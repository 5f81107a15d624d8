"""Counterfactuals: what the output would be without these units, predicted, and checked by retraining without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.collection.keyword_checks import hands_on
from subtrain.datamodels import Datamodels
from subtrain.designs.model_rows import numbers_below
from subtrain.errors import InputError
from subtrain.formatting import number, plural
from subtrain.study import Study
from subtrain.system.types import Floats
from subtrain.uses.kit.direction import direction_note, quantity_fitted
from subtrain.uses.kit.effect_agreement import Agreement, agreement, told
from subtrain.uses.kit.intervals import at_least_one, told_runs
from subtrain.uses.kit.question import question
from subtrain.uses.kit.removals import RANDOM, Removal, left_out, only, random_sets, removals, without
from subtrain.uses.kit.result import Figure, Result, Table, new_axes
from subtrain.uses.retrain import retrain

FULL, ALPHA = "full", "alpha"
DEFAULT_TARGETS = 50


@dataclass(frozen=True, eq=False, repr=False)
class Counterfactuals(Result):
    """k removals, each with its predicted and observed effect on its target's output.

    predicted [k]: the datamodels' effect, minus the sum of the weights; observed [k, runs]: output without the units
    minus output with them, [k, 0] if nothing was retrained; control [k, runs]: the output with them. base: what the
    units are removed from, the whole training set ("full") or random subsets of the design's size ("alpha"), which seed
    draws. remark: what a reader must know, which sizes could not be removed and whether less of the output is better.
    """

    removals: Sequence[Removal]
    predicted: Floats
    observed: Floats
    control: Floats
    base: str
    output: str
    n: int
    seed: int = 0
    remark: str = ""

    @hands_on("retrain")
    def verify(self, runs: int = 10, **options: Any) -> Counterfactuals:
        """Retrain `runs` models without the units of each removal, and as many with them.

        All removals are one retraining of different masks. One run shows each effect, two or more its interval as
        well. options: as for `retrain`, which raises what this raises.
        """
        at_least_one(runs)
        study = self.asked_study()
        checked = self._from_the_whole if self.base == FULL else self._from_subsets
        return self.followed_by(checked(study, runs, options))

    def _from_the_whole(self, study: Study, runs: int, options: dict[str, Any]) -> Counterfactuals:
        """Removed from all units: observed effects and outputs without removal, both [k, runs]."""
        removed = without(self.n, [job.units for job in self.removals])
        found = retrain(study, np.concatenate([removed, np.ones((1, self.n), np.bool_)]), runs, **options)
        after = found.of_targets([*self.target, 0], self.output)[:-1].astype(np.float64)
        control = found.outputs(self.output, self.target.tolist())[-1].T.astype(np.float64)
        return replace(self, observed=after - control.mean(axis=1, keepdims=True), control=control)

    def _from_subsets(self, study: Study, runs: int, options: dict[str, Any]) -> Counterfactuals:
        """Removed from `runs` random subsets, whose own predicted effects take the place of those predicted before."""
        assert self.dm is not None
        size = max(1, int(np.mean(study.design.alpha) * self.n))
        subsets = only(self.n, random_sets(self.n, [size] * runs, [self.seed, size]))
        kept = without(self.n, [job.units for job in self.removals])
        removed = (subsets[None] & kept[:, None]).reshape(-1, self.n)
        found = retrain(study, np.concatenate([removed, subsets]), 1, **options)
        own = [*np.repeat(self.target, runs), *np.zeros(runs, int)]
        after = found.of_targets(own, self.output)[: len(removed), 0].reshape(-1, runs)
        control = found.outputs(self.output, self.target.tolist())[-runs:, 0].T.astype(np.float64)
        lost = [(subsets[:, ~on] @ self.dm.weight[~on, t]).mean() for t, on in zip(self.target, kept, strict=True)]
        return replace(self, predicted=-np.array(lost, np.float64), observed=after - control, control=control)

    @property
    def runs(self) -> int:
        """Retrained models of each removal; 0 if nothing was retrained."""
        return int(self.observed.shape[1])

    @property
    def target(self) -> NDArray[np.int64]:
        return np.array([removal.target for removal in self.removals], np.int64)

    @property
    def size(self) -> NDArray[np.int64]:
        return np.array([len(removal.units) for removal in self.removals], np.int64)

    @property
    def kind(self) -> NDArray[np.str_]:
        return np.array([removal.kind for removal in self.removals])

    @cached_property
    def noise(self) -> tuple[Floats, Floats]:
        """Variance [k] of the mean observed effect that is its own, and that from the control; NaN of one run."""
        if self.runs == 1:
            unknown = np.full(len(self.removals), np.nan)
            return unknown, unknown
        if self.base == ALPHA:  # the same subsets with and without the units: their differences are the runs
            paired = self.observed.var(axis=1, ddof=1) / self.runs
            return paired, np.zeros_like(paired)
        return self.observed.var(axis=1, ddof=1) / self.runs, self.control.var(axis=1, ddof=1) / self.runs

    @cached_property
    def agreement(self) -> Agreement:
        """Of the targeted removals; the random ones are a control. Its ceilings are NaN of one run.

        Raises InputError if nothing was retrained.
        """
        if not self.runs:
            raise InputError("nothing was retrained: verify() shows whether the predictions hold")
        chosen = self.kind != RANDOM
        if not chosen.any():
            chosen[:] = True
        noise, shared = (part[chosen] for part in self.noise)
        return agreement(self.predicted[chosen], self.observed[chosen].mean(axis=1), self.target[chosen], noise, shared)

    def slopes(self) -> dict[tuple[str, int], float]:
        """Observed over predicted effect by kind and number of units, by least squares through 0; random ones left out.

        One slope hides a bend: few strong units do less than predicted when all others are there, many do more.
        """
        kinds, sizes, observed = self.kind, self.size, self.observed.mean(axis=1)
        found = {}
        for kind in dict.fromkeys(name for name in kinds.tolist() if name != RANDOM):
            for size in np.unique(sizes[kinds == kind]).tolist():
                predicted, seen = (part[(kinds == kind) & (sizes == size)] for part in (self.predicted, observed))
                square = float(predicted @ predicted)
                found[kind, size] = float(predicted @ seen) / square if square else float("nan")
        return found

    def _slopes_said(self) -> str:
        said: dict[str, list[str]] = {}
        for (kind, size), slope in (self.slopes() if self.runs else {}).items():
            said.setdefault(kind, []).append(f"{size}: {number(slope, 2)}")
        several = {kind: each for kind, each in said.items() if len(each) > 1}
        return "".join(f"; slope by units removed, {kind} {', '.join(each)}" for kind, each in several.items())

    def finding(self) -> str:
        each = f"{self.runs} runs each" if self.runs > 1 else told_runs(self.runs)
        found = f"{self.agreement}; {each}" if self.runs else "predicted, not retrained"
        return (
            f"{self.output}: {len(self.removals)} removals from the {self.base} training set of "
            f"{self.n} units, {np.unique(self.target).size} targets; {found}{self._slopes_said()}{self.remark}"
        )

    def table(self) -> Table:
        """One row a removal; low and high: 95 % interval of the observed effect (Student's t over runs), NaN of one."""
        columns: dict[str, NDArray[Any]] = {
            "target": self.target,
            "kind": self.kind,
            "size": self.size,
            "predicted": self.predicted,
        }
        if self.runs:
            from scipy.stats import t

            mean = self.observed.mean(axis=1)
            reach = t.ppf(0.975, self.runs - 1) * np.sqrt(sum(self.noise))
            columns |= {"observed": mean, "low": mean - reach, "high": mean + reach}
        return columns

    def figure(self) -> Figure:
        """Predicted against observed, every removal a point; without retraining, predicted against the size."""
        figure, axes = new_axes(5.6, 4.6)
        table = self.table()
        across, up = ("predicted", "observed") if "observed" in table else ("size", "predicted")
        for kind in np.unique(self.kind):
            here = self.kind == kind
            axes.plot(table[across][here], table[up][here], ".", ms=4, alpha=0.6, label=kind)
        if up == "observed":
            ends = [min(axes.get_xlim()[0], axes.get_ylim()[0]), max(axes.get_xlim()[1], axes.get_ylim()[1])]
            axes.plot(ends, ends, "--", color="0.5", lw=0.8, zorder=0)
        axes.set(xlabel=f"{across} {'effect' if across != 'size' else 'of the removal'}", ylabel=f"{up} effect")
        axes.legend(frameon=False)
        axes.set_title(self._caption(), fontsize="small")
        return figure

    def _caption(self) -> str:
        about = f"{self.output}: {np.unique(self.target).size} targets, n = {self.n}, removed from the {self.base} set"
        if not self.runs:
            return about
        found = self.agreement
        return (
            f"{about}, mean of {plural(self.runs, 'run')}\npooled: Spearman {number(found.spearman.value)}, Pearson "
            f"{told(found.pearson.value, found.ceiling)}, slope {number(found.slope.value, 2)}\n"
            f"per target: Spearman {told(found.target_spearman.value, found.target_ceiling)}"
        )


@question
def counterfactuals(
    dm: Datamodels,
    study: Study,
    targets: Sequence[Removal] | Sequence[int] | None = None,
    sizes: Sequence[int] | None = None,
    base: str = "full",
    seed: int = 0,
) -> Counterfactuals:
    """Predict how a target's output changes without some units (paper, section 3.1); `verify` retrains without them.

    By default the most helpful, the most harmful and as many random units are removed. From the whole training set, as
    in the paper, datamodels of subsets of size alpha n extrapolate to n.

    Args:
        dm: Datamodels of one output of the study.
        study: The study that they were fitted on.
        targets: Numbers of targets, by default 50 spread over all; or removals of your own.
        sizes: Numbers of units to remove; by default 10, 20, 40, … up to a tenth of all.
        base: "full" removes them from the whole training set; "alpha" from random subsets of the design's own size,
            each compared with the same subset whole, so that nothing is extrapolated.
        seed: Draws the random units, and the subsets of base="alpha".

    Returns:
        Counterfactuals: every removal with its predicted effect.

    Raises:
        InputError: For another base, units or targets that do not exist, and sizes for which no target has enough
            units.

    Example:
        >>> found = st.counterfactuals(dm, study, targets=[7], sizes=[3])
        >>> found.table()["kind"].tolist()
        ['helpful', 'harmful', 'random']
        >>> found.verify(runs=2, **fast).observed.shape
        (3, 2)
    """
    jobs, remark = _jobs(dm, study, targets, sizes, seed)
    output = str(dm.meta.get("output") or next(iter(study.outputs)))
    if base not in (FULL, ALPHA):
        raise InputError(f"units are removed from the {FULL} training set or from subsets ({ALPHA}), got base={base!r}")
    predicted = np.array([dm.effect_of_removing(job.units, [job.target])[0] for job in jobs])
    nothing = np.empty((len(jobs), 0))
    remark += direction_note(quantity_fitted(dm, study), output)
    return Counterfactuals(jobs, predicted, nothing, nothing, base, output, study.n, seed, remark)


@hands_on("retrain")
def verify_removals(asked: Result, jobs: Sequence[Removal], runs: int, **options: Any) -> Counterfactuals:
    """Retrain without the units of each of these removals, and without as many random ones for the same target."""
    study, dm = asked.asked_study(), asked.dm
    if dm is None or not jobs:
        raise InputError("no units were found, so there is nothing to leave out")
    sizes = sorted({len(job.units) for job in jobs})
    at_random = dict(zip(sizes, random_sets(study.n, sizes, 0), strict=True))
    controls = [Removal(job.target, at_random[len(job.units)].tolist(), RANDOM) for job in jobs]
    return counterfactuals(dm, study, [*jobs, *controls]).verify(runs, **options)


def _jobs(
    dm: Datamodels,
    study: Study,
    asked: Sequence[Removal] | Sequence[int] | None,
    sizes: Sequence[int] | None,
    seed: int,
) -> tuple[list[Removal], str]:
    """Removals, and what must be said of those asked for that cannot be."""
    if dm.n != study.n:
        raise InputError(f"these datamodels are over {dm.n} units, the study over {study.n}")
    spread = np.unique(np.linspace(0, dm.targets - 1, DEFAULT_TARGETS).astype(int)).tolist()
    given: Sequence[Any] = spread if asked is None else asked
    chosen = [item for item in given if isinstance(item, Removal)]
    if len(chosen) not in (0, len(given)):
        raise InputError("give either removals or numbers of targets, not both")
    jobs = chosen or removals(dm, study, given, sizes, seed=seed)
    missing = "" if chosen else left_out(dm, given, sizes, study)
    if sizes is not None and missing and all(job.kind == RANDOM for job in jobs):
        raise InputError(f"no target has so many units with a weight; {missing}: ask for smaller sizes")
    for job in jobs:
        numbers_below("targets", [job.target], dm.targets)
        numbers_below("units", job.units, dm.n)
    return jobs, f"; {missing}" if missing else ""
