"""`Ridge` and `LeastSquares`: closed forms, from one eigendecomposition for all lambdas and targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.threads import Progress
from subtrain.regression.estimators.kit.contract import StandardErrors
from subtrain.regression.estimators.kit.dense_problem import Dense, check_memory, dense, validation_problem
from subtrain.regression.estimators.kit.linear_estimator import Fitted, LinearEstimator, all_counts
from subtrain.regression.fit_warnings import warn_ends
from subtrain.regression.lasso.problem import Problem, check_choice, lambda_grid, problem
from subtrain.system.types import Floats

# The largest lambda over the mean eigenvalue: shrinks all but targets that a few models explain to nothing.
TOP = 1e4


@dataclass(eq=False, repr=False)
class Ridge(LinearEstimator):
    """Datamodels by ridge regression, lambda chosen per target.

    Minimizes (1/2m) ||y - X w - b||^2 + (lam / 2) ||w||^2, b free, for each lambda; takes the one with the least
    squared error on validation models and fits it again on all models. scikit-learn's Ridge has alpha = m lam on raw
    masks.

    Args:
        lambdas: How many, geometric from 1e4 times the mean variance of the scaled masks down to eps times that, or
            their values, [k] or [T, k]. Default 49.
        eps: The smallest lambda over the largest. Default 1e-8.
        objective: "standardized" (default) or "raw" masks, as in `Lasso`.
        validation: Share of the models that choose lambda, as for `Lasso`. Default 0.1.
        seed: Draws the validation models. Default 0.
        refit: Whether the chosen lambda is fitted again on all models. Default True.
        threads: Default None, all cores.

    Fitted: as in `Lasso`; gap_ [T] bounds how far the objective is above its minimum, relative to half the target's
    variance; residual_ [T] is ||rho - (C + lam) w|| / ||rho||, from exact counts: rounding alone in both. Needs about 4
    dense n x n matrices of float64.

    Raises:
        InputError: by `fit`, as for `Lasso`, and where this machine's memory does not hold the matrices.

    Example:
        >>> random = np.random.default_rng(0)
        >>> masks = random.random((500, 5)) < 0.5
        >>> outputs = 2.0 * masks[:, 3] + random.normal(size=500)
        >>> Ridge().fit(masks, outputs).weight_[:, 0].round() + 0.0
        array([0., 0., 0., 2., 0.])
    """

    name: ClassVar[str] = "ridge"
    standard_errors: ClassVar[StandardErrors] = "lasso"

    lambdas: int | ArrayLike = 49
    eps: float = 1e-8
    objective: str = "standardized"
    validation: float | None = 0.1
    seed: int = 0
    refit: bool = True
    threads: int | None = None

    def estimate(self, train: Counts, validation: Counts | None, total: Any, progress: Progress | None) -> Fitted:
        check_choice(self.lambdas, validation)
        check_memory(train.n, 5)
        plan = problem(train, self.objective)
        spectrum = decompose(dense(plan))
        grid = ridge_grid(spectrum, self, train.targets)
        error = np.full(grid.shape, np.nan)
        best = np.zeros(train.targets, np.int64)
        if validation is not None:
            error = validation_errors(spectrum, validation_problem(plan, validation), grid, progress)
            best = error.argmin(axis=1)
        lam = np.take_along_axis(grid, best[:, None], axis=1)[:, 0]
        everything = all_counts(train, validation, total)
        if validation is not None and self.refit:
            plan = problem(everything, self.objective)
            spectrum = decompose(dense(plan))
        fitted = _fitted(plan, spectrum, lam, spectrum.values >= 0, grid, error)
        fitted = replace(fitted, constant_units=everything.constant_units)
        if validation is not None:
            warn_ends(grid.T, error.T, best, fitted.weight)
        return fitted


@dataclass(eq=False, repr=False)
class LeastSquares(LinearEstimator):
    """Datamodels by ordinary least squares on all models; of all solutions the one with the least ||weight||.

    Fixed-size masks determine their weights up to a constant only, and fewer models than units less than that: the
    solution is the one that scikit-learn's LinearRegression finds.

    Args:
        rcond: Directions in which the masks vary by less than this share of their largest variance count as none.
            Default 1e-10.
        threads: Default None, all cores.

    Fitted: weight_ [n, T], bias_ [T]; rank_, how many directions are left; gap_ [T], what the squared error could still
    fall within those directions, relative to the target's variance; residual_ [T], ||rho - C w|| / ||rho||, from exact
    counts; lam_ is 0. Needs about 3 dense n x n matrices of float64.

    Raises:
        InputError: by `fit`, as for `Ridge`.

    Example:
        >>> masks = np.random.default_rng(0).random((300, 3)) < 0.5
        >>> LeastSquares().fit(masks, 2.0 * masks[:, 1] - 1.0).weight_[:, 0].round(6) + 0.0
        array([0., 2., 0.])
    """

    name: ClassVar[str] = "least-squares"
    standard_errors: ClassVar[StandardErrors] = "lasso"

    rcond: float = 1e-10
    threads: int | None = None

    def estimate(self, train: Counts, validation: Counts | None, total: Any, progress: Progress | None) -> Fitted:
        counts = all_counts(train, validation, total)
        check_memory(counts.n, 4)
        plan = problem(counts, "raw")
        spectrum = decompose(dense(plan))
        kept = spectrum.values > self.rcond * spectrum.values.max(initial=0.0)
        self.rank_ = int(np.count_nonzero(kept))
        none = np.zeros((counts.targets, 0))
        return _fitted(plan, spectrum, np.zeros(counts.targets), kept, none, none)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues [n], ascending, and eigenvectors [n, n] of a problem's covariances."""

    problem: Dense
    values: Floats
    vectors: Floats


def decompose(task: Dense) -> Spectrum:
    """The one expensive step, O(n^3) whatever the number of lambdas and targets."""
    values, vectors = np.linalg.eigh(task.covariance)
    return Spectrum(task, np.maximum(values, 0.0), vectors)


def ridge_grid(spectrum: Spectrum, how: Ridge, targets: int) -> Floats:
    """The lambdas [T, k] that `how` chooses from."""
    top = TOP * max(spectrum.values.mean(), np.finfo(float).tiny)
    return lambda_grid(how.lambdas, np.full(targets, top), how.eps)


def validation_errors(spectrum: Spectrum, check: Dense, grid: Floats, progress: Progress | None = None) -> Floats:
    """Mean squared error [T, k] on validation models, in the basis in which every lambda's solution is a quotient."""
    turn = spectrum.vectors
    turned = Dense(turn.T @ check.covariance @ turn, check.rho @ turn, check.variance)
    pull = spectrum.problem.rho @ turn
    error = np.empty(grid.shape)
    for k in range(grid.shape[1]):
        error[:, k] = turned.errors(pull / (spectrum.values + grid[:, k : k + 1]))
        if progress:
            progress("path", k + 1, grid.shape[1])
    return error


def _fitted(
    plan: Problem,
    spectrum: Spectrum,
    lam: Floats,
    kept: NDArray[np.bool_],
    grid: Floats,
    error: Floats,
) -> Fitted:
    """Solve at one lambda a target within the kept directions, and certify the solution against the covariances."""
    values, vectors, task = spectrum.values[kept], spectrum.vectors[:, kept], spectrum.problem
    curvature = values + lam[:, None]
    coef = (task.rho @ vectors / curvature) @ vectors.T
    coef[:, plan.scale == 0] = 0.0
    coef[plan.variance == 0] = 0.0
    left = np.where(plan.variance[:, None] > 0, task.rho - coef @ task.covariance - lam[:, None] * coef, 0.0)
    excess = np.einsum("tn,tn->t", (left @ vectors) ** 2, 1.0 / curvature)
    weight, bias = plan.raw(coef)
    return Fitted(
        weight=np.ascontiguousarray(weight.T),
        bias=bias,
        lam=lam,
        gap=_over(excess, plan.variance),
        constant_units=plan.counts.constant_units,
        residual=_over(np.linalg.norm(left, axis=1), np.linalg.norm(task.rho, axis=1)),
        lambdas=grid.T,
        validation_mse=error.T,
    )


def _over(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
