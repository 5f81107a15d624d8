"""Training sets against one another, by retraining: what models trained on each reach, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.collection.keyword_checks import hands_on
from subtrain.errors import InputError
from subtrain.evaluation import Interval
from subtrain.formatting import plural
from subtrain.study import Study
from subtrain.system.types import Floats
from subtrain.uses.kit.direction import direction_note, quantity
from subtrain.uses.kit.intervals import at_least_one, difference_interval, mean_interval, told_runs
from subtrain.uses.kit.mean_differences import right
from subtrain.uses.kit.question import question
from subtrain.uses.kit.removals import only, random_sets
from subtrain.uses.kit.removals import without as kept_without
from subtrain.uses.kit.result import Figure, Result, Table, new_figure
from subtrain.uses.retrain import retrain

Arms = Mapping[str, ArrayLike]
Targets = Mapping[str, Sequence[int] | NDArray[np.int64]]


@dataclass(frozen=True, eq=False, repr=False)
class TrainingSets(Result):
    """measured: by arm and measure ("accuracy", where the output tells it, and the output's mean), then by group of
    targets, float64 [k, runs], the mean over the group's targets for each mask and run. sizes: units of each arm.
    """

    output: str
    measured: Mapping[tuple[str, str, str], Floats]
    arms: tuple[str, ...]
    groups: Mapping[str, int]
    measures: tuple[str, ...]
    sizes: Mapping[str, int]
    remark: str = ""

    def finding(self) -> str:
        group = next(iter(self.groups))
        parts = ", ".join(f"{arm} {self.mean(arm, group)}" for arm in self.arms)
        return (
            f"{self.measures[0]} of {self.output} on {self.groups[group]} targets ({group}): {parts}; "
            f"retrained, {self._certainty}{self.remark}"
        )

    @property
    def _certainty(self) -> str:
        alone = all(each.size == 1 for each in self.measured.values())
        return told_runs(1) if alone else "95 % intervals"

    def mean(self, arm: str, group: str, measure: str | None = None) -> Interval:
        """Mean over an arm's models. Of one mask the interval is over runs, of several over masks."""
        return mean_interval(self._draws(arm, group, measure))

    def gain(self, arm: str, over: str, group: str, measure: str | None = None) -> Interval:
        """Mean of one arm minus that of another, with Welch's interval."""
        return difference_interval(*(self._draws(x, group, measure) for x in (arm, over)))

    def _draws(self, arm: str, group: str, measure: str | None) -> Floats:
        each = self.measured[arm, measure or self.measures[0], group]
        return each[0] if len(each) == 1 else np.asarray(each.mean(axis=1))

    def _rows(self) -> Iterator[dict[str, Any]]:
        for group, arm, measure in product(self.groups, self.arms, self.measures):
            found = self.mean(arm, group, measure)
            sets, runs = self.measured[arm, measure, group].shape
            figures = {"value": found.value, "low": found.low, "high": found.high}
            shape = {"targets": self.groups[group], "units": self.sizes[arm], "sets": sets, "runs": runs}
            yield {"group": group, "trained on": arm, "measure": measure} | figures | shape

    def table(self) -> Table:
        """One row for every group of targets, arm and measure: mean and 95 % interval, over runs or over sets."""
        rows = list(self._rows())
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def figure(self) -> Figure:
        """Every arm's mean and interval: a column for each group of targets, a row for each measure."""
        figure = new_figure(max(5.0, 2.6 * len(self.groups)), 0.6 + 2.3 * len(self.measures))
        panels = figure.subplots(len(self.measures), len(self.groups), squeeze=False, sharex=True)
        for (measure, group), axes in zip(product(self.measures, self.groups), panels.flat, strict=True):
            for place, arm in enumerate(self.arms):
                found, each = self.mean(arm, group, measure), self._draws(arm, group, measure)
                axes.plot(np.full(each.size, place), each, ".", color="0.75", markersize=3, zorder=0)
                axes.errorbar(place, found.value, [[found.value - found.low], [found.high - found.value]], fmt="o")
            axes.set_xticks(range(len(self.arms)), self.arms, rotation=20, ha="right", fontsize=8)
            axes.set_title(f"{group}, {self.groups[group]} targets", fontsize=9)
        for measure, axes in zip(self.measures, panels[:, 0], strict=True):
            axes.set_ylabel(f"{measure} of {self.output}")
        _, runs = next(iter(self.measured.values())).shape
        figure.suptitle(f"retrained, {plural(runs, 'run')} of each mask; mean, {self._certainty}", fontsize=9)
        return figure


@question
@hands_on("retrain")
def compare_training_sets(
    study: Study,
    arms: Arms | None = None,
    runs: int = 5,
    output: str | None = None,
    groups: Targets | None = None,
    *,
    without: Sequence[int] | NDArray[np.int64] | None = None,
    randoms: int = 5,
    **options: Any,
) -> TrainingSets:
    """Retrain on several training sets, and compare the models on groups of targets.

    Accuracy is the share of targets with a margin above 0. The targets are taken as they are: intervals are over
    training runs (and masks), not over other targets.

    Args:
        study: The study whose task trains.
        arms: By name, a mask [n] or masks [k, n] (bool or 0/1).
        runs: Models of each mask.
        output: Name of the output; by default the study's first, with `without` its first of the test set.
        groups: Numbers of targets by name; by default all targets in one group.
        without: Units to leave out, for three arms more: all units, all without these, and all without as many random
            ones.
        randoms: Random sets to leave out.
        **options: Keywords of `retrain`, as workers=4 or engine="slurm".

    Returns:
        TrainingSets: means with intervals, and `gain` of one arm over another.

    Raises:
        InputError: Where there is nothing to compare, and if `without` names no units or all of them.

    Example:
        >>> found = st.compare_training_sets(study, without=[0, 1], runs=1, randoms=2, **fast)
        >>> found.sizes
        {'all': 30, 'without': 28, 'random': 28}
    """
    at_least_one(runs)
    if without is not None:
        arms = {**arms_without(study, without, randoms), **(arms or {})}
        output = output or next((name for name in study.outputs if name.startswith("test_")), None)
    name = output or next(iter(study.outputs))
    targets = int(np.prod(study.outputs[name].shape, dtype=np.int64)) if name in study.outputs else 0
    groups = groups or {"all": range(targets)}
    empty = [group for group, members in groups.items() if len(members) == 0]
    if not arms or empty:
        raise InputError(f"there is nothing to compare: {'no targets in group ' + empty[0] if empty else 'give arms'}")
    masks = {arm: np.atleast_2d(np.asarray(given, np.bool_)) for arm, given in arms.items()}
    found = retrain(study, np.concatenate(list(masks.values())), runs, **options)
    measured_in = quantity(study, name)
    measures = {} if measured_in.right_above is None else {"accuracy": right(measured_in)}
    measures["mean"] = np.asarray
    measured: dict[tuple[str, str, str], Floats] = {}
    for group, members in groups.items():
        outputs = found.outputs(name, list(members))
        for measure, read in measures.items():
            each = read(outputs).mean(axis=2, dtype=np.float64)
            stops = np.cumsum([len(part) for part in masks.values()])
            for arm, part in zip(masks, np.split(each, stops[:-1]), strict=True):
                measured[arm, measure, group] = part
    sizes = {arm: int(part.sum(axis=1).mean()) for arm, part in masks.items()}
    numbers = {group: len(members) for group, members in groups.items()}
    remark = direction_note(measured_in, name)
    return TrainingSets(name, measured, tuple(masks), numbers, tuple(measures), sizes, remark)


@hands_on("retrain")
def compare_without(
    study: Study,
    units: Sequence[int] | NDArray[np.int64],
    runs: int,
    randoms: int = 5,
    seed: int = 0,
    output: str | None = None,
    groups: Targets | None = None,
    **options: Any,
) -> TrainingSets:
    """`compare_training_sets` of all units, of all without these, and of all without as many random ones."""
    arms = arms_without(study, units, randoms, seed)
    output = output or next((name for name in study.outputs if name.startswith("test_")), None)
    return compare_training_sets(study, arms, runs, output, groups, **options)


def arms_without(
    study: Study, units: Sequence[int] | NDArray[np.int64], randoms: int = 5, seed: int = 0
) -> dict[str, NDArray[np.bool_]]:
    """Masks of all units, of all without these, and of all without as many random ones (`randoms` such sets).

    Raises InputError if no units or all of them are named.
    """
    gone = np.unique(np.asarray(units, np.int64))
    if gone.size in (0, study.n) or gone.min() < 0 or gone.max() >= study.n:
        raise InputError(f"name some but not all of the units 0 to {study.n - 1} to leave out")
    return {
        "all": np.ones(study.n, np.bool_),
        "without": kept_without(study.n, [gone]),
        "random": random_masks(study.n, study.n - gone.size, randoms, seed),
    }


def random_masks(n: int, size: int, count: int, seed: int = 0) -> NDArray[np.bool_]:
    """bool [count, n], each with `size` units drawn at random."""
    return only(n, random_sets(n, [size] * count, [seed, size]))


def split_targets(study: Study, output: str, **named: Sequence[int] | None) -> Targets | None:
    """The targets of an output as the named ones and the "others"; None, for all in one, if none are named."""
    given = {name: np.unique(np.asarray(members, np.int64)) for name, members in named.items() if members}
    if not given:
        return None
    if output not in study.outputs:
        raise InputError(f"{study.location} records no output {output!r}; it has {', '.join(study.outputs)}")
    rest = np.setdiff1d(np.arange(np.prod(study.outputs[output].shape)), np.concatenate(list(given.values())))
    return given | ({"others": rest} if rest.size else {})
