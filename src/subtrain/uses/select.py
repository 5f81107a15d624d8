"""Data selection: which units to train on for the sake of some targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.collection.keyword_checks import hands_on
from subtrain.datamodels import Datamodels
from subtrain.errors import InputError
from subtrain.quantities import LOWER, Quantity
from subtrain.study import Study
from subtrain.system.types import Floats
from subtrain.uses.kit.direction import directed, quantity_fitted
from subtrain.uses.kit.question import question
from subtrain.uses.kit.removals import only
from subtrain.uses.kit.result import Figure, Result, Table, new_axes
from subtrain.uses.kit.unit_names import Columns, unit_columns
from subtrain.uses.training_sets import TrainingSets, compare_training_sets, random_masks

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class Selection(Result):
    """kept: bool [n], the units to train on; score: float64 [n], what ranked them: their mean weight on the targets
    chosen for, with its sign turned where less of the output is better (flipped). groups: targets by what they are to
    the selection; those named first chose, the others show what it is worth.
    """

    output: str
    kept: NDArray[np.bool_]
    score: Floats
    groups: dict[str, Numbers]
    units: Columns
    models: int
    flipped: bool = False

    @hands_on("retrain")
    def verify(self, runs: int = 10, randoms: int = 5, seed: int = 0, **options: Any) -> TrainingSets:
        """Retrain on the selection, on all units, on `randoms` random sets of its size and on the worst such set.

        Compares them on each of the selection's groups of targets. options: as `retrain` takes them. Read the
        gain over random sets of the same size, on targets that the selection was not chosen for:
        `found.verify().gain("selected", "random", "others")`.
        """
        n, size = self.kept.size, int(self.kept.sum())
        arms = {
            "selected": self.kept,
            "random": random_masks(n, size, randoms, seed),
            "all": np.ones(n, np.bool_),
            "worst": only(n, [np.argsort(self.score, kind="stable")[:size]])[0],
        }
        found = compare_training_sets(self.asked_study(), arms, runs, self.output, self.groups, **options)
        return self.followed_by(found)

    @property
    def _score(self) -> str:
        return "minus the mean weight" if self.flipped else "mean weight"

    def finding(self) -> str:
        chose = next(iter(self.groups))
        less = f"; less of {self.output} is better" if self.flipped else ""
        return (
            f"keep {self.kept.sum()} of {self.kept.size} units by {self._score} on {self.groups[chose].size} "
            f"targets of {self.output} ({chose}), {self.score[self.kept].sum():.3g} of {self.score.sum():.3g} in sum"
            f"{less}; datamodels from {self.models:,} models"
        )

    def table(self) -> Table:
        """One row a unit, the best first."""
        order = np.argsort(-self.score, kind="stable")
        return {k: v[order] for k, v in {**self.units, "score": self.score, "kept": self.kept}.items()}

    def figure(self) -> Figure:
        """Scores in order, with the cut."""
        order = np.argsort(-self.score, kind="stable")
        figure, axes = new_axes()
        axes.axhline(0, color="0.8", linewidth=1)
        for flag, name in ((True, "kept"), (False, "left out")):
            at = np.flatnonzero(self.kept[order] == flag)
            axes.plot(at, self.score[order][at], ".", markersize=3, label=f"{name}, {at.size}")
        axes.set(xlabel="units, the best first", ylabel=f"{self._score} on the targets chosen for")
        axes.set_title(f"{self.output}: {self.kept.size:,} units, datamodels from {self.models:,} models", fontsize=9)
        axes.legend(frameon=False)
        return figure


@question
def select(
    dm: Datamodels,
    study: Study,
    keep: int | None = None,
    drop: int | None = None,
    targets: Sequence[int] | None = None,
    others: float = 0.5,
    seed: int = 0,
    better: str | None = None,
) -> Selection:
    """Keep the units with the largest mean weight on some targets; `verify` retrains on them.

    Minimizes the predicted mean loss over training sets of that size (Engstrom et al. 2024, DsDm, section 3). Of losses
    less is better, so their weights count with the sign turned. A selection always looks better on the targets that it
    was chosen for: the other targets show what it is worth.

    Args:
        dm: Datamodels of one output of the study.
        study: The study that they were fitted on.
        keep: Number of units to keep; give this or `drop`.
        drop: Number of the worst units to leave out.
        targets: Numbers of the targets to choose for; by default a random share 1 - `others` of all.
        others: Share of the targets, from 0 to below 1, that are set aside and do not choose.
        seed: Seed that draws the targets to choose for.
        better: "higher" or "lower", if the output has no better direction.

    Returns:
        Selection: which units are kept, and the score that ranked them.

    Raises:
        InputError: Where nothing tells which way is better, and for numbers of units or targets that cannot be.

    Example:
        >>> found = st.select(dm, study, keep=20)
        >>> int(found.kept.sum())
        20
        >>> found.verify(runs=1, randoms=2, **fast).arms
        ('selected', 'random', 'all', 'worst')
    """
    check_fit(dm, study)
    aim = aim_of(dm, study, better)
    chosen = _targets(dm.targets, targets, others, seed)
    rest = np.setdiff1d(np.arange(dm.targets), chosen)
    groups = {"chosen for": chosen} | ({"others": rest} if rest.size else {})
    return selection(dm, study, aim, size_kept(dm.n, keep, drop), groups)


def selection(dm: Datamodels, study: Study, aim: Quantity, keep: int, groups: dict[str, Numbers]) -> Selection:
    """The `keep` units that are best for the targets of the first group."""
    chosen = next(iter(groups.values()))
    score = aim.sign * dm.weight[:, chosen].mean(axis=1, dtype=np.float64)
    kept = only(dm.n, [np.argsort(-score, kind="stable")[:keep]])[0]
    output = dm.meta.get("output", "weights")
    flipped = aim.better == LOWER
    return Selection(output, kept, score, groups, unit_columns(study), int(dm.meta.get("models", 0)), flipped)


def aim_of(dm: Datamodels, study: Study, better: str | None) -> Quantity:
    """What is to be made better; InputError where nothing tells which way that is."""
    return directed(quantity_fitted(dm, study), str(dm.meta.get("output", "")), better, "a selection")


def check_fit(dm: Datamodels, study: Study) -> None:
    """InputError unless the datamodels are over the study's units, of one of its outputs."""
    output = dm.meta.get("output")
    if dm.n != study.n:
        raise InputError(f"these datamodels are over {dm.n} units, the study over {study.n}")
    if output not in study.outputs:
        raise InputError(f"{study.location} records no output {output!r}, which these datamodels are of")


def _targets(count: int, targets: Sequence[int] | None, others: float, seed: int) -> Numbers:
    if targets is None:
        if not 0 <= others < 1:
            raise InputError(f"others is the share of the targets not chosen for, 0 or more and below 1, got {others}")
        size = max(1, count - int(others * count))
        return np.sort(np.random.default_rng(seed).choice(count, size, replace=False))
    chosen = np.unique(np.asarray(targets, np.int64))
    if chosen.size == 0 or chosen[0] < 0 or chosen[-1] >= count:
        raise InputError(f"choose for some of the targets 0 to {count - 1}")
    return chosen


def size_kept(n: int, keep: int | None, drop: int | None) -> int:
    """How many units stay; InputError unless one of the two is given, and leaves some and takes some."""
    if (keep is None) == (drop is None):
        raise InputError("give the number of units to keep, or to drop")
    size = int(keep if keep is not None else n - (drop or 0))
    if not 1 <= size <= n - 1:
        raise InputError(f"a selection keeps 1 to {n - 1} of {n} units, not {size}")
    return size
