"""Nearest examples: the units that help and harm a target most, or a group of targets, or every class.

What lowers a loss helps; where neither way is better, as of a regressor's predictions, units raise or lower it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.datamodels import Datamodels
from subtrain.designs.model_rows import numbers_below
from subtrain.errors import InputError
from subtrain.study import Study
from subtrain.tasks.base import View
from subtrain.uses.counterfactual import Counterfactuals, verify_removals
from subtrain.uses.kit.direction import direction_note, quantity_fitted
from subtrain.uses.kit.question import question
from subtrain.uses.kit.removals import Removal, by_side, ranked
from subtrain.uses.kit.result import Figure, Result, Table, new_figure
from subtrain.uses.kit.standard_errors import why_no_errors
from subtrain.uses.kit.unit_names import unit_columns


@dataclass(frozen=True, eq=False, repr=False)
class Neighbors(Result):
    """For each of G groups of targets the units with the largest mean weights of either sign.

    groups: their names; targets [T], and member [T], the number of the group of each. Rows of the other arrays, one
    a group and side and unit, are in the order of the groups, helpful before harmful, largest weight first: group
    (its number), side (one of `sides`: "helpful", "harmful"; "raises", "lowers" where neither way is better), unit,
    weight (mean over the group's targets), q (NaN where no significance is known), label (of the unit, "" if
    unknown), error (standard error of the weight where the fit tells it, as `SharedPrior` does, NaN elsewhere and for
    means over several targets, whose errors depend on each other). no_errors: why the fit tells none though its
    estimator does, in words.
    """

    groups: tuple[str, ...]
    targets: NDArray[np.int64]
    member: NDArray[np.int64]
    group: NDArray[np.int64]
    side: NDArray[np.str_]
    unit: NDArray[np.int64]
    weight: NDArray[np.float64]
    q: NDArray[np.float64]
    label: NDArray[np.str_]
    output: str
    n: int
    view: View | None = None
    sides: tuple[str, str] = ("helpful", "harmful")
    remark: str = ""
    error: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    no_errors: str = ""

    def verify(self, runs: int = 10, **options: Any) -> Counterfactuals:
        """Retrain without the units of each list, and without as many random units: do the group's targets move?

        options: as for `Counterfactuals.verify`.
        """
        jobs = []
        for g, side in product(range(len(self.groups)), self.sides):
            units = self.unit[(self.group == g) & (self.side == side)].tolist()
            jobs += [Removal(int(target), units, side) for target in self.targets[self.member == g] if units]
        return verify_removals(self, jobs, runs, **options)

    def finding(self) -> str:
        known = f", {int((self.q <= 0.05).sum())} of them with q ≤ 0.05" if np.isfinite(self.q).any() else ""
        more = f", … ({len(self.groups)} in all)" if len(self.groups) > 3 else ""
        names = ", ".join(self.groups[:3]) + more
        means = f"; weights are means over {self.targets.size} targets" if self.targets.size > len(self.groups) else ""
        why = f"; {self.no_errors}" if self.no_errors else ""
        return f"{self.output}: {self.unit.size} {self._named} of {self.n} for {names}{means}{known}{self.remark}{why}"

    @property
    def count(self) -> NDArray[np.int64]:
        """Targets of each group, int64 [G]."""
        return np.bincount(self.member, minlength=len(self.groups))

    @property
    def _named(self) -> str:
        return "helpful and harmful units" if self.sides[0] == "helpful" else "units that raise and lower it most"

    def table(self) -> Table:
        """One row a neighbor."""
        columns: dict[str, NDArray[Any]] = {
            "group": np.array(self.groups)[self.group],
            "side": self.side,
            "unit": self.unit,
            "weight": self.weight,
        }
        if np.isfinite(self.error).any():
            columns["error"] = self.error
        if any(self.label):
            columns["label"] = self.label
        return columns | ({"q": self.q} if np.isfinite(self.q).any() else {})

    def figure(self) -> Figure:
        """The neighbors of the first eight groups: as images where the task shows them, else as bars."""
        images = None if self.view is None else self.view.images.get("train")
        shown = range(min(8, len(self.groups)))
        width = int(max(np.bincount(2 * self.group + (self.side == self.sides[0]), minlength=1).max(initial=0), 1))
        figure = new_figure(1.0 + 1.1 * width, 0.6 + 1.5 * len(shown) * (1 if images is None else 1.4))
        axes = figure.subplots(2 * len(shown), width if images is not None else 1, squeeze=False)
        for row, (g, side) in enumerate((g, side) for g in shown for side in self.sides):
            here = np.flatnonzero((self.group == g) & (self.side == side))
            if images is None:
                _bars(axes[row, 0], self, here)
            else:
                _pictures(axes[row], self, here, images)
            axes[row, 0].set_ylabel(f"{self.groups[g]}\n{side}", fontsize="small")
        figure.suptitle(
            f"{self.output}: {self._named}, n = {self.n}, weights averaged over each group's targets{self.remark}",
            fontsize="small",
        )
        return figure


def _bars(axes: Any, found: Neighbors, here: NDArray[np.int64]) -> None:
    weight = found.weight[here]
    axes.bar(
        [str(unit) for unit in found.unit[here]], weight, color=np.where(found.side[here] == found.sides[0], "C0", "C1")
    )
    axes.tick_params(labelsize="x-small")


def _pictures(axes: Any, found: Neighbors, here: NDArray[np.int64], images: NDArray[np.uint8]) -> None:
    for cell in axes:
        cell.set(xticks=[], yticks=[])
        cell.spines[:].set_visible(False)
    for cell, k in zip(axes, here, strict=False):
        cell.imshow(np.squeeze(images[found.unit[k]]), cmap="gray")
        cell.set_title(f"{found.label[k]} ({found.weight[k]:+.2g})", fontsize="x-small")


@question
def neighbors(
    dm: Datamodels,
    study: Study | None = None,
    targets: Sequence[int] | None = None,
    k: int = 10,
    groups: ArrayLike | None = None,
    q: ArrayLike | None = None,
    together: bool = False,
) -> Neighbors:
    """List the k units that help and the k that harm each target most (paper, section 4.2), by weight.

    What raises an output helps; what lowers a loss helps. Where neither way is better, as of predictions, the lists
    hold the units that raise and that lower the output most.

    Args:
        dm: Datamodels of one output of the study.
        study: The study that they were fitted on, if it is there: for labels, for a declared direction, and to say
            where the fit is weak.
        targets: Numbers of targets; by default all.
        k: Number of units on each side.
        groups: [targets], what each belongs to, a class for example: one list a group, by the mean of its targets'
            weights.
        q: [n, targets], or [n, groups]: a false-discovery rate for each weight, as `significance` finds it, to show
            beside it.
        together: Make one list for all targets together.

    Returns:
        Neighbors: the units of each list with their weights.

    Raises:
        InputError: Where targets do not exist or shapes do not fit.

    Example:
        >>> found = st.neighbors(dm, study, targets=[7], k=2)
        >>> found.side.tolist()
        ['helpful', 'helpful', 'harmful', 'harmful']
    """
    chosen = np.arange(dm.targets) if targets is None else numbers_below("targets", targets, dm.targets)
    names, member = _grouped(chosen, groups, together)
    weight = np.stack([dm.weight[:, chosen[member == g]].mean(axis=1, dtype=np.float64) for g in range(len(names))], 1)
    sure = np.full(weight.shape, np.nan) if q is None else np.asarray(q, np.float64)
    if sure.shape != weight.shape:
        raise InputError(f"q must be {list(weight.shape)}, one a unit and target or group, got {list(sure.shape)}")
    output = quantity_fitted(dm, study)
    rows = [
        (g, side, unit)
        for g in range(len(names))
        for side, sign in by_side(output).items()
        for unit in ranked(weight[:, g], sign)[: max(0, k)]
    ]
    group = np.array([row[0] for row in rows], np.int64)
    unit = np.array([row[2] for row in rows], np.int64)
    view = None if study is None or study.groups is not None else study.view
    labels = None if study is None else unit_columns(study).get("label")
    return Neighbors(
        names,
        chosen,
        member,
        group,
        np.array([row[1] for row in rows], np.str_),
        unit,
        weight[unit, group],
        sure[unit, group],
        np.array(["" if labels is None else str(labels[u]) for u in unit], np.str_),
        str(dm.meta.get("output", "output")),
        dm.n,
        view,
        output.sides,
        direction_note(output, str(dm.meta.get("output", ""))),
        _errors(dm, chosen, member, unit, group),
        why_no_errors(dm),
    )


def _errors(
    dm: Datamodels,
    targets: NDArray[np.int64],
    member: NDArray[np.int64],
    unit: NDArray[np.int64],
    group: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Of each row, where its group is one target and the fit tells errors."""
    found = np.full(unit.size, np.nan)
    if dm.error is None or not unit.size:
        return found
    alone = np.bincount(member)[group] == 1
    first = np.array([targets[member == g][0] for g in range(int(member.max()) + 1)])
    found[alone] = dm.error[unit[alone], first[group[alone]]]
    return found


def _grouped(
    chosen: NDArray[np.int64], groups: ArrayLike | None, together: bool
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names of the groups, and the number of each target's."""
    if groups is not None:
        names, member = np.unique(np.asarray(groups).reshape(-1), return_inverse=True)
        if member.size != chosen.size:
            raise InputError(f"groups must name the group of each of {chosen.size} targets, got {member.size}")
        return tuple(str(name) for name in names), member
    if together:
        return (f"{chosen.size} targets",), np.zeros(chosen.size, np.int64)
    return tuple(f"target {t}" for t in chosen), np.arange(chosen.size)
