"""Which weights are real: p-values for every weight, and pairs of which a known share is false."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.datamodels import Datamodels
from subtrain.errors import InputError
from subtrain.regression.counting.threads import Progress
from subtrain.study import Study
from subtrain.system.types import Floats
from subtrain.uses.kit.debias import Estimates
from subtrain.uses.kit.question import question
from subtrain.uses.kit.result import Figure, Result, Table, new_figure
from subtrain.uses.kit.standard_errors import chosen_targets, estimates


@dataclass(frozen=True, eq=False, repr=False)
class Significance(Result):
    """Weights with standard errors, for T chosen targets and all n units.

    targets: int64 [T]; estimate: float64 [n, T], unbiased weights in raw-mask units; error: their standard errors,
    [n, T] or [1, T] where the design knows all units equally well; freedom: [T], degrees of freedom of the residuals,
    and noise: [T], their standard deviation; weight: [n, T], of the datamodels themselves (shrunk); fdr: the share of
    `found` that is false, in expectation, at most; per_target: whether that holds for each target by itself.
    """

    targets: NDArray[np.int64]
    estimate: Floats
    error: Floats
    freedom: Floats
    noise: Floats
    weight: NDArray[np.floating]
    fdr: float = 0.05
    per_target: bool = False
    method: str = "debiased"
    models: int = 0
    output: str = ""

    @cached_property
    def p(self) -> Floats:
        """float64 [n, T]: how likely an estimate at least so far from 0 is where the true weight is 0 (two-sided t)."""
        from scipy.stats import t

        z = np.divide(np.abs(self.estimate), self.error, out=np.zeros_like(self.estimate), where=self.error > 0)
        return np.asarray(2 * t.sf(z, np.maximum(self.freedom, 1.0)), np.float64)

    @cached_property
    def q(self) -> Floats:
        """float64 [n, T]: the least `fdr` at which the pair is among those found (Benjamini & Hochberg 1995)."""
        from scipy.stats import false_discovery_control

        q = false_discovery_control(self.p, axis=0 if self.per_target else None)
        return np.asarray(q, np.float64).reshape(self.p.shape)

    @cached_property
    def found(self) -> NDArray[np.bool_]:
        """bool [n, T]: the pairs whose q is at most `fdr`."""
        return np.asarray(self.q <= self.fdr)

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Low and high ends [n, T] of intervals that hold the true weight with probability `level`, each by itself."""
        from scipy.stats import t

        if not 0 < level < 1:
            raise InputError(f"level must be between 0 and 1, got {level}")
        reach = t.ppf((1 + level) / 2, np.maximum(self.freedom, 1.0)) * self.error
        return self.estimate - reach, self.estimate + reach

    def finding(self) -> str:
        among = "each target" if self.per_target else "all pairs"
        return (
            f"{int(self.found.sum()):,} of {self.found.size:,} pairs of a unit and a target are real at "
            f"{self.fdr:.0%} false discoveries among {among}; {self.output}, {self.targets.size} targets, "
            f"{len(self.estimate)} units, {self.method} from {self.models:,} models of one run each"
        )

    def table(self) -> Table:
        """The pairs found, surest first: unit, target, weight, estimate, error, p, q."""
        unit, column = np.nonzero(self.found)
        error = np.broadcast_to(self.error, self.estimate.shape)[unit, column]
        order = np.lexsort((-np.abs(self.estimate[unit, column]) / error, self.q[unit, column]))
        unit, column = unit[order], column[order]
        return {
            "unit": unit,
            "target": self.targets[column],
            "weight": self.weight[unit, column].astype(np.float64),
            "estimate": self.estimate[unit, column],
            "error": error[order],
            "p": self.p[unit, column],
            "q": self.q[unit, column],
        }

    def figure(self) -> Figure:
        """Left: all p-values, flat where nothing is real; right: how many units are real for each target."""
        figure = new_figure(8.0, 3.4)
        left, right = figure.subplots(1, 2)
        left.hist(self.p.ravel(), np.linspace(0, 1, 41), color="C0", alpha=0.7)
        left.axhline(self.p.size / 40, color="0.3", lw=0.8, ls="--", label="if no weight were real")
        left.set(xlabel="p-value of a weight", ylabel="pairs", title="pooled over units and targets")
        left.legend(frameon=False)
        each = self.found.sum(axis=0)
        right.hist(each, np.arange(each.max() + 2) - 0.5 if each.max() < 40 else 40, color="C1", alpha=0.7)
        right.set(xlabel=f"real units (q ≤ {self.fdr:g})", ylabel="targets", title="per target")
        figure.suptitle(
            f"{self.output}: {self.targets.size} targets × {len(self.estimate)} units, {self.models:,} models, "
            f"one run each, {self.method}",
            fontsize="medium",
        )
        return figure


@question
def significance(
    dm: Datamodels,
    study: Study,
    targets: Sequence[int] | None = None,
    fdr: float = 0.05,
    *,
    method: str = "debiased",
    per_target: bool = False,
    used: ArrayLike | None = None,
    progress: Progress | None = None,
) -> Significance:
    """Test which weights are real: unbiased weights with standard errors, p- and q-values.

    Assumes that outputs are linear in the mask up to noise of one variance for each target; at alpha = 1/2 a variance
    that changes with one unit does no harm. Masks of one size know weights up to a constant: here the median weight is
    0. Takes the counts that `fit` kept in the study, or one pass over its models; memory is about 8 float64 [n, T].

    Args:
        dm: Datamodels of one output of the study.
        study: The study that they were fitted on.
        targets: Numbers of targets; by default all.
        fdr: Share of the pairs found that may be false, between 0 and 1.
        method: "debiased" corrects a LASSO's weights by the known covariance of the design's masks; for datamodels of
            another estimator it fits a LASSO on the same models first. "exact" is least squares, from more models than
            units.
        per_target: Keep fdr for each target, not over all pairs.
        used: [T], degrees of freedom of the fit, to correct these datamodels themselves; of a LASSO its weights that
            are not 0.
        progress: Called with (stage, done, total) as it goes.

    Returns:
        Significance: every pair of a unit and a target, and which are real.

    Raises:
        InputError: For a fit of another study, too few models, and an fdr that cannot be.

    Example:
        >>> found = st.significance(dm, study, targets=[0, 7])
        >>> found.q.shape, found.method
        ((30, 2), 'debiased')
    """
    if not 0 < fdr < 1:
        raise InputError(f"fdr must be between 0 and 1, got {fdr}")
    index = chosen_targets(dm, targets)
    if not index.size:
        raise InputError("there are no targets to test")
    found: Estimates = estimates(dm, study, index, method, used, progress)
    return Significance(
        targets=index,
        estimate=found.weight,
        error=found.error,
        freedom=found.freedom,
        noise=found.noise,
        weight=dm.weight[:, index],
        fdr=fdr,
        per_target=per_target,
        method=method,
        models=int(dm.meta.get("models", 0)),
        output=str(dm.meta.get("output", "")),
    )
