"""Brittleness to mislabeling: how few training examples, given the runner-up's label, flip a prediction.

Models with some units mislabeled, each job with its own units and labels, are retrained in one study.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.collection.keyword_checks import hands_on
from subtrain.collection.workers import task_message
from subtrain.datamodels import Datamodels
from subtrain.designs.model_rows import numbers_below, whole_numbers
from subtrain.errors import InputError
from subtrain.formatting import plural
from subtrain.quantities import split_of
from subtrain.studies.trust import Making
from subtrain.study import Study
from subtrain.system.types import Floats
from subtrain.tasks.base import Task
from subtrain.tasks.relabel import relabelled, relabelled_source
from subtrain.uses.kit.intervals import at_least_one
from subtrain.uses.kit.question import question
from subtrain.uses.kit.removals import ranked
from subtrain.uses.kit.result import Figure, Result, Table, new_axes
from subtrain.uses.retrain import Retrained, retrain, task_of
from subtrain.uses.support import margins_of

_MODELS_FOR_LABELS = 200
PAPER_MEDIAN = 35


@dataclass(frozen=True, eq=False, repr=False)
class Brittleness(Result):
    """How many mislabeled training examples flip each target (paper, section 4.1).

    label int64 [T]: the label that the target's most helpful examples get; sizes int64 [L]: how many, ascending; units:
    for each target its most helpful units, the most helpful first. after [T, L]: the margin that the datamodels predict
    without so many of them, which another label lowers as much at least; once verified, the mean margin over `runs`
    models trained with their other label. control [T]: the margin with everything as it is, predicted or retrained.
    """

    target: NDArray[np.int64]
    label: NDArray[np.int64]
    sizes: NDArray[np.int64]
    units: tuple[NDArray[np.int64], ...]
    after: Floats
    control: Floats
    runs: int
    output: str
    n: int

    @hands_on("retrain", taken=("source",))
    def verify(self, runs: int = 10, **options: Any) -> Brittleness:
        """Retrain `runs` models with each target's examples under their other label, and on everything as it is.

        options: as for `retrain`. Raises InputError for groups as units, or a task that cannot relabel.
        """
        at_least_one(runs)
        jobs = [Mislabeling([], [])]
        for units, label in zip(self.units, self.label.tolist(), strict=True):
            jobs += [Mislabeling(units[:size].tolist(), [label] * units[:size].size) for size in self.sizes]
        found = retrain_mislabeled(self.asked_study(), jobs, runs, **options)
        own = [self.target[0], *np.repeat(self.target, self.sizes.size)]
        after = found.of_targets(own, self.output)[1:].mean(axis=1, dtype=np.float64).reshape(-1, self.sizes.size)
        control = found.outputs(self.output, self.target.tolist())[0].mean(axis=0, dtype=np.float64)
        return self.followed_by(replace(self, after=after, control=control, runs=runs))

    @property
    def _how(self) -> str:
        if self.runs:
            return f"retrained, mean of {plural(self.runs, 'run')}"
        return f"as removal would, not retrained ({self.dm.level_said if self.dm else ''})"

    @property
    def support(self) -> NDArray[np.int64]:
        """The smallest of `sizes` that flips each target, int64 [T]; -1 where none does, 0 where it is wrong anyway."""
        flipped = self.after < 0
        found = np.where(flipped.any(axis=1), self.sizes[flipped.argmax(axis=1)], -1)
        return np.where(self.control <= 0, 0, found).astype(np.int64)

    def finding(self) -> str:
        right = self.support[self.support != 0]
        flipped = right[right > 0]
        half = f"half flip after {_median(right)}" if flipped.size * 2 > right.size else "fewer than half flip"
        return (
            f"{self.output}: {flipped.size} of {right.size} targets flip when at most {self.sizes[-1]} of "
            f"{self.n} examples are mislabeled, {half}; {self._how}"
        )

    def table(self) -> Table:
        """One row a target; support: None where none of the sizes flips it."""
        columns: dict[str, NDArray[Any]] = {"target": self.target, "label": self.label, "control": self.control}
        for size, after in zip(self.sizes, self.after.T, strict=True):
            columns[f"after_{size}"] = after
        return columns | {"support": np.array([None if k < 0 else k for k in self.support.tolist()], object)}

    def figure(self) -> Figure:
        """The share of targets, right without mislabeling, that so many mislabeled examples flip."""
        figure, axes = new_axes(6.0, 3.8)
        right = self.control > 0
        axes.plot(self.sizes, (self.after[right] < 0).mean(axis=0), "o-", label="flipped")
        axes.axhline(0.5, color="0.6", lw=0.8, ls="--")
        axes.axvline(PAPER_MEDIAN, color="0.6", lw=0.8, ls=":", label=f"paper: half flip at {PAPER_MEDIAN}")
        axes.set(xscale="log", xlabel="examples given the runner-up's label", ylabel="share of targets", ylim=(0, 1))
        axes.legend(frameon=False)
        axes.set_title(
            f"{self.output}: mislabeling per target, {int(right.sum())} targets that are right without it,\n"
            f"n = {self.n}, {self._how}",
            fontsize="small",
        )
        return figure


@question
def brittleness(
    dm: Datamodels,
    study: Study,
    targets: Sequence[int] | None = None,
    sizes: Sequence[int] = (1, 2, 4, 8, 16, 32, 64),
    labels: ArrayLike | None = None,
) -> Brittleness:
    """Find how many of a target's most helpful examples, given another label, flip its prediction.

    `verify` retrains with these labels. A target has no more examples mislabeled than have a positive weight.

    Args:
        dm: Datamodels of one output of the study. It must be margins.
        study: The study that they were fitted on.
        targets: Numbers of targets; by default all.
        sizes: How many examples to mislabel, one training set each.
        labels: Integers [targets], the label that each target's examples get; by default the runner-up: the class of
            the second largest logit, averaged over the study's models, which must then record logits ("test_logits").

    Returns:
        Brittleness: the margin of each target and size, as it would be without these examples.

    Raises:
        InputError: Where labels are neither given nor recorded, and for outputs that are not margins.

    Example:
        >>> found = st.brittleness(dm, study, targets=[7], sizes=[1, 2])
        >>> found.after.shape
        (1, 2)
        >>> found.verify(runs=1, **fast).runs
        1
    """
    output = margins_of(dm, study)
    chosen = np.arange(dm.targets) if targets is None else numbers_below("targets", targets, dm.targets)
    given = runner_up(study, output, chosen) if labels is None else whole_numbers("labels", labels)
    if given.size != chosen.size:
        raise InputError(f"{chosen.size} targets need a label each, {given.size} are given")
    ladder = np.unique(np.minimum(whole_numbers("sizes", sizes), dm.n))
    if not ladder.size or ladder[0] < 1:
        raise InputError("sizes must be 1 or more: how many examples to mislabel")
    units = tuple(ranked(dm.weight[:, target], 1)[: ladder[-1]] for target in chosen)
    whole = dm.whole(chosen.tolist())
    lost = [
        [dm.weight[own[:size], t].sum(dtype=np.float64) for size in ladder]
        for own, t in zip(units, chosen, strict=True)
    ]
    return Brittleness(chosen, given, ladder, units, whole[:, None] - np.array(lost), whole, 0, output, study.n)


def runner_up(study: Study, output: str, targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class with the second largest mean logit for each target, int64: the runner-up where the model is right."""
    name = f"{split_of(output)}_logits"
    if name not in study.outputs:
        raise InputError(
            f"{study.location} records no {name}, so the runner-up is not known: give labels, one a target, or let the "
            f"task record {name} as well"
        )
    rows = study.done()
    logits = study.read(name, rows[:: max(1, rows.size // _MODELS_FOR_LABELS)])[:, targets].astype(np.float64)
    return np.asarray(logits.mean(axis=0).argsort(axis=1)[:, -2])


def _median(support: NDArray[np.int64]) -> int:
    """Half of the targets flip after so many, those that never do counted as never."""
    return int(np.sort(np.where(support < 0, np.iinfo(np.int64).max, support))[(support.size - 1) // 2])


@dataclass(frozen=True)
class Mislabeling:
    """These units get these labels instead of their own, in training only."""

    units: Sequence[int]
    labels: Sequence[int]


@hands_on("retrain", taken=("source",))
def retrain_mislabeled(
    study: Study, jobs: Sequence[Mislabeling], runs: int = 1, *, task: Task | None = None, **options: Any
) -> Retrained:
    """Train `runs` models on the whole training set with each job's units under its labels; a job without units is the
    control.

    All jobs share one task: the study's with a twin behind its examples for every pair of unit and label that occurs;
    a job's mask holds the original of every other unit and the twins of its own. options: as for `retrain`. Raises
    InputError when units are groups, a unit is mislabeled twice in a job, or the task cannot relabel.
    """
    base = task or task_of(study)
    if study.groups is not None:
        raise InputError("only single examples can be relabeled; the units of this study are groups of them")
    pairs = [_pairs(job, study.n) for job in jobs]
    if not any(part.size for part in pairs):
        raise InputError("no job mislabels anything: give at least one unit and its new label")
    twins = np.unique(np.concatenate(pairs), axis=0)
    masks = np.zeros((len(jobs), study.n + len(twins)), bool)
    masks[:, : study.n] = True
    number = {(int(unit), int(label)): study.n + k for k, (unit, label) in enumerate(twins)}
    for mask, part in zip(masks, pairs, strict=True):
        mask[part[:, 0]] = False
        mask[[number[int(unit), int(label)] for unit, label in part]] = True
    units, labels = twins.T.tolist()
    making = task_message.making_of(study) if task is None else None
    source = relabelled_source(getattr(base, "source", None) if making is None else making.source, units, labels)
    again = None if source is None else Making(source, own=making is None or making.own)
    return retrain(study, masks, runs, task=relabelled(base, units, labels), source=again, **options)


def _pairs(job: Mislabeling, n: int) -> NDArray[np.int64]:
    """int64 [q, 2] of units and labels."""
    units, labels = numbers_below("units", job.units, n), whole_numbers("labels", job.labels)
    if units.size != labels.size or np.unique(units).size != units.size:
        raise InputError("a job names each of its units once, with one label for each")
    return np.stack([units, labels], axis=1)
