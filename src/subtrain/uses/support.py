"""Data support: the smallest removal that flips a prediction, estimated, inflated, and certified by retraining."""

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
from subtrain.uses.retrain import retrain

PAPER_SHARES = {1.0: 0.67, 1.2: 0.92}


@dataclass(frozen=True, eq=False, repr=False)
class Support(Result):
    """The data support of each target (paper, section 4.1).

    margin [T]: the margin on the whole training set that the estimate starts from; size int64 [T]: units to remove,
    in the order of their weights, until the predicted margin is below zero; -1 where all helpful units together do not
    suffice, 0 where the margin is not positive to begin with. calibrated: whether `margin` is that of models trained on
    everything. Once verified, after: for each factor the mean margin over `runs` models retrained without ⌈factor ·
    size⌉ units, NaN for targets not retrained; control [T]: the mean margin of as many models trained on everything.
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

    def _units(self, asked: NDArray[np.int64], factor: float) -> list[NDArray[np.int64]]:
        """The first ⌈factor · size⌉ units by weight of each of these targets; one unit stays."""
        assert self.dm is not None
        count = np.minimum(np.ceil(factor * self.size[asked] - 1e-9).astype(np.int64), self.n - 1)
        weight = self.dm.weight[:, self.target[asked]].astype(np.float64)
        order = np.argsort(-weight, axis=0, kind="stable")
        return [order[:k, column] for column, k in enumerate(count)]

    @property
    def certified(self) -> dict[float, Interval]:
        """For each factor the share of the retrained targets whose mean margin fell below zero, with Wilson's 95 %
        interval; only of targets that the control, the models trained on everything, gets right."""
        found = {}
        for factor, after in self.after.items():
            asked = np.isfinite(after) & (self.control > 0)
            found[factor] = proportion(int((after[asked] < 0).sum()), int(asked.sum()))
        return found

    def finding(self) -> str:
        has = self.size[self.size > 0]
        middle = f"median {np.median(has):.0f} of {self.n} units" if has.size else "none found"
        shares = [
            f"x{factor:g} flips {share.value:.0%} [{share.low:.0%}, {share.high:.0%}]"
            for factor, share in self.certified.items()
            if np.isfinite(share.value)
        ]
        mean = f"retrained, mean of {plural(self.runs, 'run')}"
        proof = f"; {mean}: {', '.join(shares)}" if shares else "; none retrained"
        return f"{self.output}: {middle}, {has.size} of {self.target.size} targets have one{proof}"

    def table(self) -> Table:
        """One row a target; support: None where no set is predicted to flip it."""
        size = np.array([None if k < 0 else k for k in self.size.tolist()], object)
        columns: dict[str, NDArray[Any]] = {"target": self.target, "margin": self.margin, "support": size}
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
    """Find the smallest set of units whose removal should flip each prediction; `verify` retrains without it.

    Units are sorted by weight. The support is the smallest k at which the margin on the whole training set minus the
    sum of the k largest weights is below zero.

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
        ['margin', 'support', 'target']
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
    size = smallest(margin, lost, -dm.level_lost(np.arange(1, study.n + 1), chosen.tolist()))
    return Support(chosen, margin, size, {}, unknown, bool(calibrate), 0, output, study.n)


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


def smallest(margin: Floats, sorted_weight: Floats, lost: Floats | float = 0.0) -> NDArray[np.int64]:
    """The smallest k at which margin [T] minus the first k of each column [n, T] is below zero; -1 where none is.

    lost: [n, T], what so many units fewer take from the margin, whichever they are.
    """
    crossed = margin < np.cumsum(sorted_weight, axis=0) + lost
    found = np.where(crossed.any(axis=0), crossed.argmax(axis=0) + 1, -1)
    return np.where(margin <= 0, 0, found).astype(np.int64)
