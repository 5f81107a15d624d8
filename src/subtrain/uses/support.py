"""Data support: the smallest removal that flips a prediction, estimated, inflated, and certified by retraining."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subtrain.collection.keyword_checks import hands_on
from subtrain.datamodels import Datamodels
from subtrain.designs.drawn import numbers_below
from subtrain.errors import InputError
from subtrain.evaluation import Interval
from subtrain.study import Study
from subtrain.uses.kit.direction import quantity_fitted
from subtrain.uses.kit.proportion import proportion
from subtrain.uses.kit.result import OfAFit, Table, new_figure, result_html
from subtrain.uses.kit.weak_fit import of_a_fit
from subtrain.uses.retrain import retrain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
PAPER_SHARES = {1.0: 0.67, 1.2: 0.92}


@dataclass(frozen=True, eq=False)
class Support(OfAFit):
    """The data support of each target (paper, section 4.1).

    margin [T]: the margin on the whole training set that the estimate starts from; size int64 [T]: units to remove,
    in the order of their weights, until the predicted margin is below zero; -1 where all helpful units together do not
    suffice, 0 where the margin is not positive to begin with. after: for each factor the mean margin over `runs`
    models retrained without ⌈factor · size⌉ units, NaN for targets not retrained. control [T]: the mean margin of as
    many models trained on everything (NaN if there are none); calibrated: whether `margin` is that.
    """

    target: NDArray[np.int64]
    margin: Floats = field(repr=False)
    size: NDArray[np.int64] = field(repr=False)
    after: Mapping[float, Floats] = field(repr=False)
    control: Floats = field(repr=False)
    calibrated: bool
    runs: int
    output: str
    n: int

    @property
    def certified(self) -> dict[float, Interval]:
        """For each factor the share of the retrained targets whose mean margin fell below zero, with Wilson's 95 %
        interval; only of targets that the control, the models trained on everything, gets right."""
        found = {}
        for factor, after in self.after.items():
            asked = np.isfinite(after) & (self.control > 0)
            found[factor] = proportion(int((after[asked] < 0).sum()), int(asked.sum()))
        return found

    _repr_html_ = result_html

    def __repr__(self) -> str:
        has = self.size[self.size > 0]
        middle = f"median {np.median(has):.0f} of {self.n} units" if has.size else "none found"
        shares = [
            f"x{factor:g} flips {share.value:.0%} [{share.low:.0%}, {share.high:.0%}]"
            for factor, share in self.certified.items()
            if np.isfinite(share.value)
        ]
        proof = f"; retrained, mean of {self.runs} runs: {', '.join(shares)}" if shares else "; none retrained"
        return f"Support({self.output}: {middle}, {has.size} of {self.target.size} targets have one{proof})"

    def table(self) -> Table:
        """One row a target; support: None where no set is predicted to flip it."""
        size = np.array([None if k < 0 else k for k in self.size.tolist()], object)
        columns: dict[str, NDArray[Any]] = {"target": self.target, "margin": self.margin, "support": size}
        if self.runs:
            columns["control"] = self.control
        return columns | {f"after_x{factor:g}": after for factor, after in self.after.items()}

    def figure(self) -> Figure:
        """The share of targets with a support of at most so many units, as estimated and ×1.2."""
        figure = new_figure(6.0, 4.0)
        axes = figure.add_subplot()
        can = self.size >= 0
        certified = self.certified
        for factor in certified or (1.0,):
            sizes = np.sort(np.ceil(factor * self.size[can]))
            label = f"×{factor:g}" + (f": {_paper(factor, certified[factor])}" if certified else "")
            axes.step(sizes, np.arange(1, sizes.size + 1) / self.target.size, where="post", label=label)
        axes.set(xlabel="units removed", ylabel="share of targets", ylim=(0, 1), xscale="symlog", xlim=(0, None))
        axes.legend(frameon=False, title="flip when retrained" if self.runs else None)
        how = "the control's margin" if self.calibrated else "the predicted margin"
        axes.set_title(
            f"{self.output}: data support per target, {self.target.size} targets, n = {self.n}\n"
            f"estimated from {how}; {f'mean of {self.runs} runs each' if self.runs else 'not retrained'}",
            fontsize="small",
        )
        return figure


def _paper(factor: float, share: Interval) -> str:
    paper = f" (the paper's CIFAR-10: {PAPER_SHARES[factor]:.0%})" if factor in PAPER_SHARES else ""
    return f"{share.value:.0%}{paper}"


@hands_on("retrain")
@of_a_fit
def support(
    dm: Datamodels,
    study: Study,
    targets: Sequence[int] | None = None,
    runs: int = 10,
    factors: Sequence[float] = (1.0, 1.2),
    calibrate: bool = False,
    **options: Any,
) -> Support:
    """The smallest set of each target whose removal should flip its prediction, and whether it does.

    Units are sorted by weight, and the support is the smallest k with (margin on the whole training set) minus (sum of
    the k largest weights) below zero. The margin is the datamodel's own prediction for the mask of ones, an
    extrapolation from subsets of size alpha n; calibrate=True takes the mean of `runs` models trained on everything
    instead, which are trained as control in any case. With runs=0 nothing is trained. The outputs must be margins.
    options: as for `retrain`. Raises InputError for other outputs, and as `retrain` does.
    """
    output = margins_of(dm, study)
    chosen = np.arange(dm.targets) if targets is None else numbers_below("targets", targets, dm.targets)
    if calibrate and not runs:
        raise InputError("to calibrate, models must be trained on everything: give runs=1 or more")
    if min(factors, default=1.0) <= 0:
        raise InputError(f"factors to inflate the support by must be positive, got {min(factors)}")
    weight = dm.weight[:, chosen].astype(np.float64)
    order = np.argsort(-weight, axis=0, kind="stable")
    control = whole(study, output, chosen, runs, options) if runs else np.full(chosen.size, np.nan)
    margin = control if calibrate else dm.bias[chosen] + weight.sum(axis=0)
    size = smallest(margin, np.take_along_axis(weight, order, axis=0))
    after = _certified(study, output, chosen, order, size, runs, factors, options) if runs else {}
    return Support(chosen, margin, size, after, control, calibrate, runs, output, study.n)


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


def smallest(margin: Floats, sorted_weight: Floats) -> NDArray[np.int64]:
    """The smallest k at which margin [T] minus the first k of each column [n, T] is below zero; -1 where none is.

    Only units of positive weight count: beyond them the sum falls again.
    """
    sums = np.cumsum(np.maximum(sorted_weight, 0), axis=0)
    crossed = margin < sums
    found = np.where(crossed.any(axis=0), crossed.argmax(axis=0) + 1, -1)
    return np.where(margin <= 0, 0, found).astype(np.int64)


def _without(order: NDArray[np.int64], size: NDArray[np.int64], factor: float) -> NDArray[np.bool_]:
    """bool [T, n]: everything but the first ⌈factor · size⌉ units of each column of `order`, of which one stays."""
    count = np.minimum(np.ceil(factor * size - 1e-9), len(order) - 1)
    masks = np.ones(order.T.shape, bool)
    np.put_along_axis(masks, order.T, np.arange(len(order)) >= count[:, None], axis=1)
    return masks


def _certified(
    study: Study,
    output: str,
    targets: NDArray[np.int64],
    order: NDArray[np.int64],
    size: NDArray[np.int64],
    runs: int,
    factors: Sequence[float],
    options: Mapping[str, Any],
) -> dict[float, Floats]:
    """Mean margins [T] after each factor's removal, NaN where there is nothing to remove."""
    asked = np.flatnonzero(size > 0)
    after = {float(factor): np.full(targets.size, np.nan) for factor in factors}
    if asked.size:
        masks = np.concatenate([_without(order[:, asked], size[asked], factor) for factor in factors])
        found = retrain(study, masks, runs, **options)
        own = found.of_targets(np.tile(targets[asked], len(factors)), output).mean(axis=1, dtype=np.float64)
        for margins, part in zip(after.values(), np.split(own, len(factors)), strict=True):
            margins[asked] = part
    return after
