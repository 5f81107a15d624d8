"""From counts to the regression the solver sees: centering and scaling as rank-one corrections of the counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.regression.counting.counts import Counts
from subtrain.system.types import Floats

OBJECTIVES = ("standardized", "raw")
# Below this share of its mean square, a target's variance is lost to rounding in the float64 sums.
RESOLUTION = 1e-20


@dataclass(frozen=True, eq=False)
class Problem:
    """(1/2m) ||y - X w - b||^2 + lam sum_j penalty_j |w_j| for T targets, b free, in sufficient statistics.

    X are the masks divided by `scale`: their standard deviation (objective "standardized", which centers them too; b
    makes that immaterial) or 1 ("raw"). mean, scale: float64 [n]; scale is 0 for constant units, which are left out.
    penalty: float64 [n], 0 for units that are left out. rho: [T, n], covariances of scaled masks and outputs;
    variance, y_mean: [T]; variance is exactly 0 for constant targets.
    """

    counts: Counts
    objective: str
    mean: Floats
    scale: Floats
    penalty: Floats
    rho: Floats
    variance: Floats
    y_mean: Floats

    @property
    def inverse(self) -> Floats:
        """1 / scale, 0 for units that are left out."""
        return np.divide(1.0, self.scale, out=np.zeros_like(self.scale), where=self.scale > 0)

    def raw(self, coef: Floats) -> tuple[Floats, Floats]:
        """Weights [T, n] and bias [T] for raw 0/1 masks, of coefficients [T, n] of scaled masks."""
        weight = coef * self.inverse
        # Not a matrix product: its sums depend on how many targets and threads there are.
        return weight, self.y_mean - (weight * self.mean).sum(axis=1)


def problem(counts: Counts, objective: str = "standardized", penalty: Floats | None = None) -> Problem:
    """The problem of `counts`; penalty: positive factors of lam, one a unit [n], inf leaves the unit out.

    A target that varies by less than 1e-10 of its size, so that its covariances would be rounding, counts as constant
    (`too_close`). Raises InputError for an unknown objective, fewer than 2 models, and where that is all targets.
    """
    if objective not in OBJECTIVES:
        raise InputError(f"objective must be one of {', '.join(OBJECTIVES)}, got {objective!r}")
    if counts.m < 2:
        raise InputError(f"fitting needs at least 2 models, got {counts.m} sample(s)")
    m = counts.m
    mean = counts.ones / m
    spread = np.sqrt(mean * (1.0 - mean))
    scale = spread if objective == "standardized" else np.where(spread > 0, 1.0, 0.0)
    factor = _penalty(penalty, counts.n)
    scale = np.where(np.isinf(factor), 0.0, scale)
    y_mean = counts.y_sum / m
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    rho = np.ascontiguousarray(((counts.xty / m - np.outer(mean, y_mean)) * inverse[:, None]).T)
    return Problem(
        counts=counts,
        objective=objective,
        mean=mean,
        scale=scale,
        penalty=np.where(scale > 0, factor, 0.0),
        rho=rho,
        variance=_variance(counts),
        y_mean=y_mean,
    )


def lambda_max(problem: Problem, positive: bool = False) -> Floats:
    """The smallest lambda of each target [T] at which the all-zero weights are optimal, on the problem's own scale."""
    inside = problem.penalty > 0
    pull = problem.rho[:, inside] / problem.penalty[inside]
    pull = pull if positive else np.abs(pull)
    top: Floats = np.maximum(pull.max(axis=1, initial=0.0), 0.0)
    return np.where(problem.variance > 0, top, 0.0)


def validation_moments(problem: Problem, validation: Counts) -> tuple[Floats, Floats, Floats, Floats]:
    """What the error of `problem`'s datamodels on other models is made of, about the fitting models' means.

    The error of coefficients w is spread - 2 rho . w + w^T C w, with C[j, k] = (gram[j, k] / m - mean[j] mean[k] +
    offset[j] offset[k]) inverse[j] inverse[k].

    Returns:
        mean [n], offset [n], rho [n, T] and spread [T].

    Raises:
        InputError: for other units or targets, and where there are no models.
    """
    check_same(problem.counts, validation)
    mean, y_mean = validation.ones / validation.m, validation.y_sum / validation.m
    shift = y_mean - problem.y_mean
    rho = validation.xty / validation.m - np.outer(mean, problem.y_mean) - np.outer(problem.mean, shift)
    return mean, mean - problem.mean, rho * problem.inverse[:, None], validation.y_dev / validation.m + shift**2


def check_same(train: Counts, validation: Any) -> None:
    """Refuse validation models, or counts of them, over other units or targets, and none at all."""
    if (validation.n, validation.targets) != (train.n, train.targets):
        raise InputError(f"validation models do not match the fitting ones: {validation} and {train}")
    if validation.m == 0:
        raise InputError("there are no validation models")


def _penalty(penalty: Floats | None, n: int) -> Floats:
    if penalty is None:
        return np.ones(n)
    factor = np.asarray(penalty, np.float64)
    if factor.shape != (n,) or not np.all(factor > 0):
        raise InputError(f"penalty must hold one positive factor for each of the {n} units")
    return factor


def too_close(counts: Counts) -> NDArray[np.bool_]:
    """bool [T]: outputs that differ, but by too little beside their size."""
    return np.asarray((counts.y_min < counts.y_max) & (counts.y_dev <= RESOLUTION * counts.y_sq))


def too_close_said(counts: Counts) -> str:
    """Where the first such target lies."""
    t = int(np.flatnonzero(too_close(counts))[0])
    return f"target {t} lies between {counts.y_min[t]} and {counts.y_max[t]}, too close together to fit"


def _variance(counts: Counts) -> Floats:
    lost = too_close(counts)
    if lost.size and lost.all():
        say = f"{too_close_said(counts)} ({lost.size} targets do); subtract its mean before counting"
        raise InputError(say)
    none = lost | (counts.y_min == counts.y_max)
    return np.where(none, 0.0, counts.y_dev / counts.m)


def is_choice(lambdas: int | ArrayLike) -> bool:
    """Whether these are several lambdas: a number of them, or more than one value a target."""
    return bool(np.ndim(lambdas) == 0 or np.shape(lambdas)[-1] != 1)


def check_choice(lambdas: int | ArrayLike, validation: Any) -> None:
    """Refuse to choose among several lambdas without models to choose them by."""
    if validation is None and is_choice(lambdas):
        raise InputError("choosing among lambdas needs validation models; without them give one value: lambdas=[0.01]")


def lambda_grid(lambdas: int | ArrayLike, largest: Floats, eps: float) -> Floats:
    """Every target's lambdas.

    Args:
        lambdas: How many, at least 2, or their values, [k] for all targets or [T, k].
        largest: float64 [T], the first lambda of each target where only their number is given; 0 for a target without
            a path.
        eps: The last lambda over the first, between 0 and 1.

    Returns:
        float64 [T, k], decreasing; geometric where only their number is given.

    Raises:
        InputError: for values of another shape, and for values that are not positive where a target has a path.
    """
    targets = largest.size
    if np.ndim(lambdas) == 0:
        k = int(lambdas)  # type: ignore[arg-type]
        if k < 2 or not 0.0 < eps < 1.0:
            raise InputError(f"a lambda grid needs at least 2 values and 0 < eps < 1, got {k} values and eps = {eps}")
        return np.outer(largest, eps ** (np.arange(k) / (k - 1)))
    values = np.asarray(lambdas, np.float64)
    if values.ndim > 2 or values.shape[-1] == 0 or (values.ndim == 2 and len(values) != targets):
        raise InputError(f"lambdas must be a count, [k] or [{targets}, k], got shape {list(values.shape)}")
    return check_positive(-np.sort(-np.broadcast_to(values, (targets, values.shape[-1])), axis=1), largest)


def check_tol(tol: float) -> None:
    """Refuse a gap that nothing reaches."""
    if not tol > 0:
        raise InputError(f"tol must be positive, got {tol}")


def check_positive(lambdas: Floats, largest: Floats) -> Floats:
    """The same lambdas [T, k] in C order; InputError unless they are finite, and positive where largest [T] is."""
    if not np.all(np.isfinite(lambdas)) or not np.all(lambdas[largest > 0] > 0):
        raise InputError("lambdas must be positive and finite")
    return np.array(lambdas, np.float64, order="C")
