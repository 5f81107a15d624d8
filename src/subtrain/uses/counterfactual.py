"""Counterfactuals: what the output would be without these units, predicted, and checked by retraining without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subtrain.collection.keyword_checks import hands_on
from subtrain.datamodels import Datamodels
from subtrain.designs.drawn import numbers_below
from subtrain.errors import InputError
from subtrain.formatting import number
from subtrain.study import Study
from subtrain.uses.kit.direction import quantity_fitted, said
from subtrain.uses.kit.effect_agreement import Agreement, agreement, told
from subtrain.uses.kit.result import OfAFit, Table, new_figure, result_html
from subtrain.uses.kit.weak_fit import of_a_fit
from subtrain.uses.removals import RANDOM, Removal, left_out, removals
from subtrain.uses.retrain import retrain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
FULL, ALPHA = "full", "alpha"
DEFAULT_TARGETS = 50


@dataclass(frozen=True, eq=False)
class Counterfactuals(OfAFit):
    """k removals, each with its predicted and observed effect on its target's output.

    predicted [k]: the datamodels' effect, minus the sum of the weights; observed [k, runs]: output without the units
    minus output with them, [k, 0] if nothing was retrained; control [k, runs]: the output with them. base: what the
    units are removed from, the whole training set ("full") or random subsets of the design's size ("alpha"). remark:
    what a reader must know, which sizes could not be removed and whether less of the output is better.
    """

    removals: Sequence[Removal] = field(repr=False)
    predicted: Floats = field(repr=False)
    observed: Floats = field(repr=False)
    control: Floats = field(repr=False)
    base: str
    output: str
    n: int
    remark: str = ""

    @property
    def runs(self) -> int:
        """Retrained models of each removal; 0 if nothing was retrained."""
        return int(self.observed.shape[1])

    @property
    def target(self) -> NDArray[np.int64]:
        return np.array([removal.target for removal in self.removals], np.int64)

    @property
    def kind(self) -> NDArray[np.str_]:
        return np.array([removal.kind for removal in self.removals])

    @cached_property
    def noise(self) -> tuple[Floats, Floats]:
        """Variance [k] of the mean observed effect that is its own, and that which comes from the control."""
        if self.base == ALPHA:  # the same subsets with and without the units: their differences are the runs
            paired = self.observed.var(axis=1, ddof=1) / self.runs
            return paired, np.zeros_like(paired)
        return self.observed.var(axis=1, ddof=1) / self.runs, self.control.var(axis=1, ddof=1) / self.runs

    @cached_property
    def agreement(self) -> Agreement:
        """Of the targeted removals; the random ones are a control. InputError unless there are two runs or more."""
        if self.runs < 2:
            raise InputError("nothing was retrained twice: give runs=2 or more to see whether the predictions hold")
        chosen = self.kind != RANDOM
        if not chosen.any():
            chosen[:] = True
        noise, shared = (part[chosen] for part in self.noise)
        return agreement(self.predicted[chosen], self.observed[chosen].mean(axis=1), self.target[chosen], noise, shared)

    _repr_html_ = result_html

    def __repr__(self) -> str:
        found = f"{self.agreement}; {self.runs} runs each" if self.runs > 1 else "predicted, not retrained"
        return (
            f"Counterfactuals({self.output}: {len(self.removals)} removals from the {self.base} training set of "
            f"{self.n} units, {np.unique(self.target).size} targets; {found}{self.remark})"
        )

    def table(self) -> Table:
        """One row a removal; low and high: 95 % interval of the observed effect (Student's t over runs)."""
        columns: dict[str, NDArray[Any]] = {
            "target": self.target,
            "kind": self.kind,
            "size": np.array([len(removal.units) for removal in self.removals]),
            "predicted": self.predicted,
        }
        if self.runs > 1:
            from scipy.stats import t

            mean = self.observed.mean(axis=1)
            reach = t.ppf(0.975, self.runs - 1) * np.sqrt(sum(self.noise))
            columns |= {"observed": mean, "low": mean - reach, "high": mean + reach}
        return columns

    def figure(self) -> Figure:
        """Predicted against observed, every removal a point; without retraining, predicted against the size."""
        figure = new_figure(5.6, 4.6)
        axes = figure.add_subplot()
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
        if self.runs < 2:
            return about
        found = self.agreement
        return (
            f"{about}, mean of {self.runs} runs\npooled: Spearman {number(found.spearman.value)}, Pearson "
            f"{told(found.pearson.value, found.ceiling)}, slope {number(found.slope.value, 2)}\n"
            f"per target: Spearman {told(found.target_spearman.value, found.target_ceiling)}"
        )


@hands_on("retrain")
@of_a_fit
def counterfactuals(
    dm: Datamodels,
    study: Study,
    what: Sequence[Removal] | Sequence[int] | None = None,
    sizes: Sequence[int] | None = None,
    runs: int = 10,
    base: str = FULL,
    seed: int = 0,
    **options: Any,
) -> Counterfactuals:
    """Predict the effect of removals (paper, section 3.1), and retrain `runs` models of each to see (0: only predict).

    what: removals, or targets, for which helpful, harmful and random units of each of `sizes` are removed, as
    `removals` says (of an output of which neither way is better, those that raise and lower it); by default 50 targets
    spread over all. Units are removed from the whole training set, as in the paper: datamodels of subsets of size
    alpha n then extrapolate to n. base="alpha" removes them from random subsets of the design's own size instead, and
    compares each with the same subset whole, so that nothing is extrapolated.
    options: as for `retrain`. All jobs are one retraining of different masks. Raises InputError as `retrain` does.
    """
    jobs, remark = _jobs(dm, study, what, sizes, seed)
    output = str(dm.meta.get("output") or next(iter(study.outputs)))
    if base not in (FULL, ALPHA):
        raise InputError(f"units are removed from the {FULL} training set or from subsets ({ALPHA}), got base={base!r}")
    if runs and base == ALPHA:
        predicted, observed, control = _from_subsets(dm, study, jobs, output, runs, seed, options)
    else:
        predicted = np.array([dm.effect_of_removing(job.units, [job.target])[0] for job in jobs])
        observed, control = np.empty((len(jobs), 0)), np.empty((len(jobs), 0))
        if runs:
            observed, control = _from_the_whole(study, jobs, output, runs, options)
    remark += said(quantity_fitted(dm, study), output)
    return Counterfactuals(jobs, predicted, observed, control, base, output, study.n, remark)


def _jobs(
    dm: Datamodels, study: Study, what: Sequence[Removal] | Sequence[int] | None, sizes: Sequence[int] | None, seed: int
) -> tuple[list[Removal], str]:
    """Removals, and what must be said of those asked for that cannot be."""
    if dm.n != study.n:
        raise InputError(f"these datamodels are over {dm.n} units, the study over {study.n}")
    spread = np.unique(np.linspace(0, dm.targets - 1, DEFAULT_TARGETS).astype(int)).tolist()
    given: Sequence[Any] = spread if what is None else what
    chosen = [item for item in given if isinstance(item, Removal)]
    if len(chosen) not in (0, len(given)):
        raise InputError("give either removals or numbers of targets, not both")
    jobs = chosen or removals(dm, given, sizes, seed=seed, study=study)
    missing = "" if chosen else left_out(dm, given, sizes, study)
    if sizes is not None and missing and all(job.kind == RANDOM for job in jobs):
        raise InputError(f"no target has so many units with a weight; {missing}: ask for smaller sizes")
    for job in jobs:
        numbers_below("targets", [job.target], dm.targets)
        numbers_below("units", job.units, dm.n)
    return jobs, f"; {missing}" if missing else ""


def _without(jobs: Sequence[Removal], n: int) -> NDArray[np.bool_]:
    """bool [k, n]: which units each job keeps."""
    kept = np.ones((len(jobs), n), bool)
    for mask, job in zip(kept, jobs, strict=True):
        mask[list(job.units)] = False
    return kept


def _from_the_whole(
    study: Study, jobs: Sequence[Removal], output: str, runs: int, options: dict[str, Any]
) -> tuple[Floats, Floats]:
    """Observed effects [k, runs] and outputs without removal [k, runs], of each job's target."""
    masks = np.concatenate([_without(jobs, study.n), np.ones((1, study.n), bool)])
    found = retrain(study, masks, runs, **options)
    targets = [job.target for job in jobs]
    without = found.of_targets([*targets, 0], output)[:-1].astype(np.float64)
    whole = found.outputs(output, targets)[-1].T.astype(np.float64)
    return without - whole.mean(axis=1, keepdims=True), whole


def _from_subsets(
    dm: Datamodels, study: Study, jobs: Sequence[Removal], output: str, runs: int, seed: int, options: dict[str, Any]
) -> tuple[Floats, Floats, Floats]:
    """Predicted effects [k], observed ones [k, runs], and outputs without removal [k, runs], on `runs` subsets."""
    size = max(1, int(np.mean(study.design.alpha) * study.n))
    random = np.random.default_rng([seed, size])
    subsets = np.zeros((runs, study.n), bool)
    for subset in subsets:
        subset[random.choice(study.n, size, replace=False)] = True
    kept = _without(jobs, study.n)
    removed = subsets[None] & kept[:, None]
    found = retrain(study, np.concatenate([removed.reshape(-1, study.n), subsets]), 1, **options)
    targets = np.array([job.target for job in jobs])
    without = found.of_targets([*np.repeat(targets, runs), *np.zeros(runs, int)], output)[: len(jobs) * runs, 0]
    whole = found.outputs(output, targets.tolist())[-runs:, 0].T.astype(np.float64)
    lost = np.array([(subsets[:, ~own] @ dm.weight[~own, t]).mean() for t, own in zip(targets, kept, strict=True)])
    return -lost.astype(np.float64), without.reshape(len(jobs), runs) - whole, whole
