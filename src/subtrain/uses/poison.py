"""Poisoned training examples: a set whose members depend on one another far more than clean examples do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.collection.keyword_checks import hands_on
from subtrain.datamodels import Datamodels
from subtrain.errors import InputError
from subtrain.formatting import number
from subtrain.study import Study
from subtrain.system.types import Floats
from subtrain.uses.kit.direction import directed, quantity_fitted
from subtrain.uses.kit.heaviest_submatrix import HeaviestSubmatrix, densest_submatrix, largest_submatrix, symmetric
from subtrain.uses.kit.question import question
from subtrain.uses.kit.result import Figure, Result, Table, new_figure
from subtrain.uses.kit.unit_names import Columns, flags, own_unit, unit_columns
from subtrain.uses.training_sets import Targets, TrainingSets, compare_without


@dataclass(frozen=True, eq=False, repr=False)
class Poison(Result):
    """inside: bool [n], the suspects; support: float64 [n], what the suspects weigh on a unit and it on them, halved
    (with the sign turned where less of the output is better); tried: sizes and the support a suspect of the best set of
    each size; precision, recall: where poisons are known.
    """

    output: str
    inside: NDArray[np.bool_]
    support: Floats
    tried: NDArray[np.float64]
    units: Columns
    known: NDArray[np.bool_] | None
    models: int

    @property
    def suspects(self) -> NDArray[np.int64]:
        """Units of the set, the best supported first."""
        return np.flatnonzero(self.inside)[np.argsort(-self.support[self.inside], kind="stable")]

    @property
    def apart(self) -> float:
        """Least support of a suspect over the largest of any other unit: about 1 for a set with no edge to it."""
        if self.inside.all():
            return float("nan")
        return float(self.support[self.inside].min() / max(self.support[~self.inside].max(), 1e-12))

    @property
    def precision(self) -> float:
        return float("nan") if self.known is None else float(self.known[self.inside].mean())

    @property
    def recall(self) -> float:
        return float("nan") if self.known is None else float(self.inside[self.known].mean())

    @property
    def label(self) -> tuple[str, int, int] | None:
        """The suspects' most common label, how many of them carry it, and how many units do; None without labels."""
        if "label" not in self.units:
            return None
        names, counts = np.unique(self.units["label"][self.inside], return_counts=True)
        name = str(names[counts.argmax()])
        return name, int(counts.max()), int(np.count_nonzero(self.units["label"] == name))

    @hands_on("retrain")
    def verify(
        self,
        runs: int = 10,
        randoms: int = 5,
        seed: int = 0,
        output: str | None = None,
        groups: Targets | None = None,
        **options: Any,
    ) -> TrainingSets:
        """Retrain without the suspects, and without as many random units (`randoms` such sets, drawn by `seed`).

        output and groups (the targets that carry a trigger, for example): as for `compare_training_sets`; options: as
        for `retrain`.
        """
        study = self.asked_study()
        return self.followed_by(compare_without(study, self.suspects, runs, randoms, seed, output, groups, **options))

    def finding(self) -> str:
        label = "" if self.label is None else "; {1} of all {2} labeled {0}".format(*self.label)
        known = "" if self.known is None else f"; precision {number(self.precision)}, recall {number(self.recall)}"
        return (
            f"{self.output}: {self.inside.sum()} of {self.inside.size} units depend on one another{label}; "
            f"mean support {self.support[self.inside].mean():.3g}, the smallest is {self.apart:.2g} times "
            f"the largest of any other unit{known}; datamodels from {self.models:,} models"
        )

    def table(self) -> Table:
        """One row a unit, suspects first, each part by falling support."""
        order = np.lexsort((-self.support, ~self.inside))
        columns = {**self.units, "suspect": self.inside, "support": self.support}
        if self.known is not None:
            columns["known"] = self.known
        return {name: column[order] for name, column in columns.items()}

    def figure(self) -> Figure:
        """Left, support a suspect by size of the set; right, every unit's support from the set found."""
        figure = new_figure(8, 3.4)
        left, right = figure.subplots(1, 2)
        left.plot(*self.tried.T, ".-", markersize=4)
        left.axvline(self.inside.sum(), color="0.7", linewidth=1)
        left.set(xlabel="size of the set", ylabel="support a member", xscale="log")
        order = np.argsort(-self.support, kind="stable")
        for flag, name in ((True, "suspects"), (False, "others")):
            at = np.flatnonzero(self.inside[order] == flag)
            right.plot(at, self.support[order][at], ".", markersize=4, label=name)
        if self.known is not None:
            at = np.flatnonzero(self.known[order])
            right.plot(
                at, self.support[order][at], "o", mfc="none", mec="black", markersize=6, mew=0.5, label="poisons"
            )
        right.set(xlabel="units, the best supported first", ylabel="support from the set")
        right.legend(frameon=False, fontsize=8)
        figure.suptitle(f"{self.output}: {self.inside.size:,} units, {self.models:,} models", fontsize=9)
        return figure


@question
def poison(
    dm: Datamodels,
    study: Study,
    size: int | None = None,
    without: ArrayLike = (),
    known: ArrayLike | None = None,
    starts: int = 10,
    seed: int = 0,
) -> Poison:
    """Find the units whose weights on one another sum to most: a planted backdoor, if there is one.

    Poisoned examples carry a feature that nothing else does, so each depends on the others and on nothing else (Khaddaj
    et al. 2023, maximum-sum submatrix of the train x train datamodel). The search climbs from `starts` units and a few
    other sets, without a guarantee. A set is found in any data: of clean data it is a class, or a part of one that
    looks alike. Where units are groups, the weights on a group's examples are averaged; of losses, which poisons lower
    for one another, their sign is turned. `verify` retrains without the suspects.

    Args:
        dm: Datamodels [n, N] of a train-set output; a unit's weight on itself is not counted.
        study: The study that they were fitted on.
        size: Number of units in the set, 2 to n / 2; by default the size, of up to a quarter of the units, with the
            most support a member.
        without: Units to leave out of the search, as the suspects of an earlier one.
        known: Numbers of known poisons, or bool [n], to compare with.
        starts: Units that the search starts from.
        seed: Draws the other sets.

    Returns:
        Poison: the suspects, and how much the set supports every unit.

    Raises:
        InputError: For datamodels that are not of one number a training example, and a size that cannot be.

    Example:
        >>> found = st.poison(own, study, size=3)
        >>> found.suspects.size
        3
    """
    weights = between_units(dm, study)
    helps = directed(quantity_fitted(dm, study), str(dm.meta["output"]), None, "a search for a poison").sign
    matrix = symmetric(weights if helps > 0 else -weights)
    searched = np.setdiff1d(np.arange(study.n), np.asarray(without, np.int64))
    most = searched.size // 2
    if not 2 <= (size or 2) <= most:
        raise InputError(f"a set must have 2 to {most} of {searched.size} units, got {size or 2}")
    part = matrix[searched][:, searched]
    tried: list[HeaviestSubmatrix] = []
    if size is None:
        best = densest_submatrix(part, max(2, most // 2), starts, seed, tried.append)
    else:
        tried = [best := largest_submatrix(part, size, starts, seed)]
    inside = np.zeros(study.n, np.bool_)
    inside[searched[best.inside]] = True
    return Poison(
        output=str(dm.meta["output"]),
        inside=inside,
        support=np.asarray(matrix @ inside.astype(np.float64)) / 2,
        tried=np.array([(found.inside.sum(), found.value / found.inside.sum()) for found in tried]),
        units=unit_columns(study),
        known=None if known is None else flags(known, study.n),
        models=int(dm.meta.get("models", 0)),
    )


def between_units(dm: Datamodels, study: Study) -> NDArray[Any]:
    """Weights [n, n] of every unit on the (mean of the) training examples of every unit."""
    output = dm.meta.get("output", "")
    if output not in study.outputs:
        raise InputError(f"{study.location} records no output {output!r}, which these datamodels are of")
    own = own_unit(study, output)
    if dm.n != study.n or dm.targets != own.size:
        raise InputError(
            f"these datamodels are [{dm.n}, {dm.targets}], the study has {study.n} units, {own.size} examples"
        )
    if np.array_equal(own, np.arange(study.n)):
        return dm.weight
    sums = np.zeros((study.n, dm.n))
    np.add.at(sums, own, dm.weight.T.astype(np.float64))
    return np.ascontiguousarray(sums.T) / np.bincount(own, minlength=study.n)
