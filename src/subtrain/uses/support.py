"""Data support: the smallest removal that flips a prediction, predicted, searched for, and certified by retraining."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.collection.keyword_checks import hands_on
from subtrain.datamodels import Datamodels
from subtrain.designs.model_rows import numbers_below
from subtrain.errors import InputError
from subtrain.evaluation import Interval
from subtrain.formatting import plural
from subtrain.study import Study
from subtrain.system.types import Floats
from subtrain.uses.kit.direction import quantity_fitted
from subtrain.uses.kit.intervals import at_least_one, proportion
from subtrain.uses.kit.question import question
from subtrain.uses.kit.removals import without
from subtrain.uses.kit.result import Figure, Result, Table, new_axes
from subtrain.uses.kit.support_search import SupportSearch
from subtrain.uses.retrain import retrain

# The training seeds of the search follow from this and its round: no model of it verifies what it found.
SEARCH = 7_000
# What the table says of a set and of none, as the weights predict it and as retraining found it.
HOW = ("predicted", "no set predicted"), ("found by retraining", "no set found by retraining")
PAPER_SHARES = {1.0: 0.67, 1.2: 0.92}


@dataclass(frozen=True, eq=False, repr=False)
class Support(Result):
    """The data support of each target (paper, section 4.1).

    margin [T]: the margin on the whole training set that the estimate starts from; size int64 [T]: units to remove,
    in the order of their weights, until the margin is below zero; -1 where no set is predicted or found, 0 where the
    margin is not positive to begin with. calibrated: whether `margin` is that of models trained on everything; rounds:
    of retraining that found the sizes, 0 where the weights predict them; level: what identifies the predicted margin.
    Once verified, after: for each factor the mean margin over `runs` models retrained without ⌈factor · size⌉ units,
    NaN for targets not retrained; control [T]: the mean margin of as many models trained on everything.
    """

    target: NDArray[np.int64]
    margin: Floats
    size: NDArray[np.int64]
    after: Mapping[float, Floats]
    control: Floats
    calibrated: bool
    runs: int
    output: str
    n: int
    rounds: int = 0
    level: str = ""

    @hands_on("retrain")
    def verify(self, runs: int = 10, factors: Sequence[float] = (1.0, 1.2), **options: Any) -> Support:
        """Retrain `runs` models without each target's support times each of `factors`, and `runs` on everything.

        options: as for `retrain`. Raises InputError for factors or runs below what can be.
        """
        at_least_one(runs)
        if min(factors, default=1.0) <= 0:
            raise InputError(f"factors must be positive, got {list(factors)}")
        study = self.asked_study()
        control = whole(study, self.output, self.target, runs, options)
        asked = np.flatnonzero(self.size > 0)
        after = {float(factor): np.full(self.target.size, np.nan) for factor in factors}
        if asked.size:
            masks = np.concatenate([without(self.n, self._units(asked, factor)) for factor in factors])
            found = retrain(study, masks, runs, **options)
            own = found.of_targets(np.tile(self.target[asked], len(factors)), self.output)
            means = own.mean(axis=1, dtype=np.float64)
            for margins, part in zip(after.values(), np.split(means, len(factors)), strict=True):
                margins[asked] = part
        return self.followed_by(replace(self, after=after, control=control, runs=runs))

    @hands_on("retrain", taken=("name", "seed"))
    def certify(
        self, runs: int = 10, rounds: int = 7, factors: Sequence[float] = (1.0, 1.2), **options: Any
    ) -> Support:
        """Search for each target's smallest set by retraining, then verify what was found with fresh models.

        Units leave in the order of their weights. Each round trains `runs` models for every target that is still
        searched for, in one retraining; of targets that models of everything get right. A number of units flips a
        target if its mean margin is below zero by a standard error or more. Interrupted, it goes on.

        Args:
            runs: Models of each training set; default 10.
            rounds: Rounds of the search; default 7.
            factors: As for `verify`.
            **options: As for `retrain`.

        Returns:
            Support: the sizes found, and what fresh models without so many units answer.
        """
        at_least_one(runs)
        study = self.asked_study()
        control = whole(study, self.output, self.target, runs, options)
        right = np.flatnonzero(control > 0)
        search = SupportSearch.begin(self.size[right], self.n)
        for number in range(rounds):
            asked = search.asked > 0
            if not asked.any():
                break
            units = self._first(right[asked], search.asked[asked])
            found = retrain(study, without(self.n, units), runs, seed=SEARCH + number, **options)
            own = found.of_targets(self.target[right[asked]], self.output).astype(np.float64)
            error = own.std(axis=1, ddof=1) / np.sqrt(runs) if runs > 1 else 0.0
            flipped = np.zeros(right.size, bool)
            flipped[asked] = own.mean(axis=1) + error < 0
            search = search.told(flipped)
        size = np.zeros_like(self.size)
        size[right] = np.where(search.flips > 0, search.flips, -1)
        searched = replace(self, size=size, margin=control, calibrated=True, rounds=rounds)
        return self.followed_by(searched).verify(runs, factors, **options)

    def certify_models(self, runs: int = 10, rounds: int = 7, factors: int = 2) -> int:
        """Models that `certify` trains at most."""
        return runs * (1 + self.target.size * (rounds + factors))

    def _units(self, asked: NDArray[np.int64], factor: float) -> list[NDArray[np.int64]]:
        """The first ⌈factor · size⌉ units by weight of each of these targets; one unit stays."""
        return self._first(asked, np.ceil(factor * self.size[asked] - 1e-9).astype(np.int64))

    def _first(self, asked: NDArray[np.int64], sizes: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The first so many units by weight of each of these targets; one unit stays."""
        assert self.dm is not None
        count = np.minimum(sizes, self.n - 1)
        weight = self.dm.weight[:, self.target[asked]].astype(np.float64)
        order = np.argsort(-weight, axis=0, kind="stable")
        return [order[:k, column] for column, k in enumerate(count)]

    @property
    def certified(self) -> dict[float, Interval]:
        """For each factor the share of targets whose mean margin fell below zero, with Wilson's 95 % interval.

        Of all targets that the control, the models trained on everything, gets right: one without a set is not flipped.
        """
        right = self.control > 0
        return {
            factor: proportion(int((after[right] < 0).sum()), int(right.sum())) for factor, after in self.after.items()
        }

    def finding(self) -> str:
        has = self.size[self.size > 0]
        middle = f"median {np.median(has):.0f} of {self.n} units" if has.size else "none found"
        how = f"found by retraining in {self.rounds} rounds" if self.rounds else "predicted"
        shares = [
            f"x{factor:g} flips {share.value:.0%} [{share.low:.0%}, {share.high:.0%}]"
            for factor, share in self.certified.items()
            if np.isfinite(share.value)
        ]
        mean = f"{'fresh models' if self.rounds else 'retrained'}, mean of {plural(self.runs, 'run')}"
        right = f" of the {int((self.control > 0).sum())} targets that are right"
        proof = f"; {mean}: {', '.join(shares)}{right}" if shares else "; none retrained"
        level = "" if self.calibrated or not self.level else f"; {self.level}"
        return f"{self.output}: {middle}, {has.size} of {self.target.size} targets have one, {how}{level}{proof}"

    def table(self) -> Table:
        """One row a target; support: None where there is no set, and `how` says what that means."""
        size = np.array([None if k < 0 else k for k in self.size.tolist()], object)
        found, none = HOW[self.rounds > 0]
        how = np.select([self.size > 0, self.size == 0], [found, "wrong already"], none)
        columns: dict[str, NDArray[Any]] = {"target": self.target, "margin": self.margin, "support": size, "how": how}
        if self.runs:
            columns["control"] = self.control
        return columns | {f"after_x{factor:g}": after for factor, after in self.after.items()}

    def figure(self) -> Figure:
        """The share of targets with a support of at most so many units, as estimated and ×1.2."""
        figure, axes = new_axes(6.0, 4.0)
        can = self.size >= 0
        certified = self.certified
        for factor in certified or (1.0,):
            sizes = np.sort(np.ceil(factor * self.size[can]))
            label = f"×{factor:g}" + (f": {_paper(factor, certified[factor])}" if certified else "")
            axes.step(sizes, np.arange(1, sizes.size + 1) / self.target.size, where="post", label=label)
        axes.set(xlabel="units removed", ylabel="share of targets", ylim=(0, 1), xscale="symlog", xlim=(0, None))
        axes.legend(frameon=False, title="flip when retrained" if self.runs else None)
        runs = plural(self.runs, "run")
        how = "the control's margin" if self.calibrated else "the predicted margin"
        axes.set_title(
            f"{self.output}: data support per target, {self.target.size} targets, n = {self.n}\n"
            f"estimated from {how}; {f'mean of {runs} each' if self.runs else 'not retrained'}",
            fontsize="small",
        )
        return figure


def _paper(factor: float, share: Interval) -> str:
    paper = f" (the paper's CIFAR-10: {PAPER_SHARES[factor]:.0%})" if factor in PAPER_SHARES else ""
    return f"{share.value:.0%}{paper}"


@question
@hands_on("retrain")
def support(
    dm: Datamodels, study: Study, targets: Sequence[int] | None = None, *, calibrate: int = 0, **options: Any
) -> Support:
    """Find the smallest set of units whose removal should flip each prediction.

    Units are sorted by weight. The support is the smallest k at which the margin on the whole training set minus the
    sum of the k largest weights is below zero. `verify` retrains without it; `certify` searches for it by retraining.

    Args:
        dm: Datamodels of one output of the study. It must be margins.
        study: The study that they were fitted on.
        targets: Numbers of targets; by default all.
        calibrate: Models to train on everything, whose mean margin the estimate starts from; 0: it starts from the
            datamodel's own prediction, an extrapolation from subsets of size alpha n.
        **options: Keywords of `retrain`, as workers=4 or engine="slurm". Only for calibrate.

    Returns:
        Support: for each target its size, or that there is none.

    Raises:
        InputError: For outputs that are not margins, and targets that do not exist.

    Example:
        >>> found = st.support(dm, study, targets=[0, 7])
        >>> sorted(found.table())
        ['how', 'margin', 'support', 'target']
        >>> found.verify(runs=2, **fast).runs
        2
    """
    output = margins_of(dm, study)
    chosen = np.arange(dm.targets) if targets is None else numbers_below("targets", targets, dm.targets)
    weight = dm.weight[:, chosen].astype(np.float64)
    order = np.argsort(-weight, axis=0, kind="stable")
    unknown = np.full(chosen.size, np.nan)
    control = whole(study, output, chosen, calibrate, options) if calibrate else unknown
    margin = control if calibrate else dm.whole(chosen.tolist())
    lost = np.take_along_axis(weight, order, axis=0)
    size = smallest(margin, lost, lost_by_level(dm, chosen.tolist()))
    return Support(chosen, margin, size, {}, unknown, bool(calibrate), 0, output, study.n, level=dm.level_said)


def margins_of(dm: Datamodels, study: Study) -> str:
    """The output the datamodels are of; InputError unless it is margins, one a target, of this study."""
    output = str(dm.meta.get("output") or next(iter(study.outputs)))
    if quantity_fitted(dm, study).right_above != 0:
        raise InputError(f"a prediction flips where a margin crosses zero, and {output} is not margins")
    if dm.n != study.n:
        raise InputError(f"these datamodels are over {dm.n} units, the study over {study.n}")
    return output


def whole(study: Study, output: str, targets: NDArray[np.int64], runs: int, options: Mapping[str, Any]) -> Floats:
    """Mean output [T] of `runs` models trained on everything; the same models for every use that asks."""
    found = retrain(study, np.ones((1, study.n), bool), runs, **options)
    return np.asarray(found.outputs(output, targets.tolist())[0].mean(axis=0, dtype=np.float64))


def lost_by_level(dm: Datamodels, targets: Sequence[int]) -> Floats | float:
    """[n, T], what 1, 2, … n units fewer take from the margins, whichever they are; 0 without a level."""
    return 0.0 if dm.level is None else -dm.level_lost(np.arange(1, dm.n + 1), targets)


def smallest(margin: Floats, sorted_weight: Floats, lost: Floats | float = 0.0) -> NDArray[np.int64]:
    """The smallest k at which margin [T] minus the first k of each column [n, T] is below zero; -1 where none is.

    lost: [n, T], what so many units fewer take from the margin, whichever they are.
    """
    crossed = margin < np.cumsum(sorted_weight, axis=0) + lost
    found = np.where(crossed.any(axis=0), crossed.argmax(axis=0) + 1, -1)
    return np.where(margin <= 0, 0, found).astype(np.int64)
