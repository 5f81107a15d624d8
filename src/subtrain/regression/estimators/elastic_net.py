"""`ElasticNet`: datamodels by a mixture of LASSO and ridge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.threads import Progress, each, thread_count, told
from subtrain.regression.estimators.kit.contract import StandardErrors
from subtrain.regression.estimators.kit.dense_problem import Dense, check_memory, dense, validation_problem
from subtrain.regression.estimators.kit.linear_estimator import Fitted, LinearEstimator, all_counts
from subtrain.regression.fit_warnings import warn_ends, warn_gaps
from subtrain.regression.lasso.path_stopping import Stop, ended, floors, stopping
from subtrain.regression.lasso.problem import check_choice, check_tol, lambda_grid, problem
from subtrain.system.types import Floats

# Lambdas solved between looks at the validation error.
STRETCH = 5


@dataclass(eq=False, repr=False)
class ElasticNet(LinearEstimator):
    """Datamodels by elastic net, lambda chosen per target; l1_ratio 1 is the LASSO, for which `Lasso` is faster.

    Minimizes (1/2m) ||y - X w - b||^2 + lam (l1_ratio ||w||_1 + (1 - l1_ratio) / 2 ||w||^2), b free, along a path of
    lambdas that starts where all weights are 0; takes the one with the least squared error on validation models and
    fits it again on all models. On "raw" masks the objective is scikit-learn's.

    Args:
        lambdas: How many lambdas, or their values, [k] or [T, k]. Default 100.
        eps: The smallest lambda over the largest. Default 1e-3.
        l1_ratio: Share of the absolute penalty, above 0 and at most 1. Default 0.5.
        tol: Duality gap to reach, relative to half the target's variance. Default 1e-4.
        objective: "standardized" (default) or "raw" masks, as in `Lasso`.
        validation: Share of the models that choose lambda, as for `Lasso`. Default 0.1.
        seed: Draws the validation models. Default 0.
        early_stop: Lambdas to go on after the least validation error, None for all. Default 5.
        refit: Whether the chosen lambda is fitted again on all models. Default True.
        positive: Whether no weight may be negative. Default False.
        max_iter: Sweeps at most for one lambda. Default 5,000.
        threads: Default None, all cores.

    Fitted: as in `Lasso`. Needs about 2 dense n x n matrices of float64.

    Raises:
        InputError: by `fit`, as for `Ridge`, and for an l1_ratio or tol out of range.

    Example:
        >>> random = np.random.default_rng(0)
        >>> masks = random.random((500, 5)) < 0.5
        >>> outputs = 2.0 * masks[:, 3] + random.normal(size=500)
        >>> ElasticNet().fit(masks, outputs).weight_[:, 0].round() + 0.0
        array([0., 0., 0., 2., 0.])
    """

    name: ClassVar[str] = "elastic-net"
    standard_errors: ClassVar[StandardErrors] = "lasso"
    sparse: ClassVar[bool] = True

    lambdas: int | ArrayLike = 100
    eps: float = 1e-3
    l1_ratio: float = 0.5
    tol: float = 1e-4
    objective: str = "standardized"
    validation: float | None = 0.1
    seed: int = 0
    early_stop: int | None = 5
    refit: bool = True
    positive: bool = False
    max_iter: int = 5_000
    threads: int | None = None

    def estimate(self, train: Counts, validation: Counts | None, total: Any, progress: Progress | None) -> Fitted:
        check_choice(self.lambdas, validation)
        check_memory(train.n, 3)
        plan = problem(train, self.objective)
        stop = stopping(self.early_stop, train.m, train.n, 0 if validation is None else validation.m)
        rules = ElasticNetRules(self.l1_ratio, self.tol, self.max_iter, self.positive, stop, self.threads)
        check = None if validation is None else validation_problem(plan, validation)
        path = net_path(dense(plan), check, self.lambdas, self.eps, rules, progress)
        everything = all_counts(train, validation, total)
        if validation is not None and self.refit:
            plan = problem(everything, self.objective)
            path = net_refit(dense(plan), path, path.coef, rules, progress)
        weight, bias = plan.raw(path.coef)
        if validation is not None:
            warn_ends(path.lambdas.T, path.error.T, path.best, weight.T)
        warn_gaps(path.gap, self.tol)
        return Fitted(
            weight=np.ascontiguousarray(weight.T),
            bias=bias,
            lam=path.lam,
            gap=path.gap,
            constant_units=everything.constant_units,
            lambdas=path.lambdas.T,
            validation_mse=path.error.T,
            residual=np.zeros_like(bias),
            n_iter=int(path.sweeps.max()),
        )


@dataclass(frozen=True)
class ElasticNetRules:
    """l1_ratio, positive: of the penalty; tol: relative gap; sweeps: at most for one lambda; stop: when a validated
    path ends."""

    l1_ratio: float
    tol: float
    sweeps: int
    positive: bool
    stop: Stop
    threads: int | None

    def __post_init__(self) -> None:
        if not 0.0 < self.l1_ratio <= 1.0:
            raise InputError(f"l1_ratio must be above 0 and at most 1 (Ridge is for 0), got {self.l1_ratio}")
        check_tol(self.tol)


@dataclass(frozen=True, eq=False)
class NetPath:
    """For T targets and k lambdas: lambdas [T, k]; error [T, k], validation mean square, NaN where there is none;
    best [T], the chosen lambda; coef [T, n], gap and lam [T] there; sweeps [T] in all.
    """

    lambdas: Floats
    error: Floats
    best: NDArray[np.int64]
    coef: Floats
    gap: Floats
    lam: Floats
    sweeps: NDArray[np.int64]


def net_path(
    task: Dense,
    check: Dense | None,
    lambdas: int | ArrayLike,
    eps: float,
    rules: ElasticNetRules,
    progress: Progress | None,
) -> NetPath:
    """Every target's path, and the lambda with the least squared error under `check` (the last one without)."""
    pull = task.rho if rules.positive else np.abs(task.rho)
    top = np.where(task.variance > 0, pull.max(axis=1, initial=0.0), 0.0) / rules.l1_ratio
    grid = lambda_grid(lambdas, top, eps)
    return _solve(task, check, grid, top, np.zeros(task.rho.shape), rules, progress, "path")


def net_refit(task: Dense, path: NetPath, start: Floats, rules: ElasticNetRules, progress: Progress | None) -> NetPath:
    """`path` with coefficients of other models at the lambdas it chose, from coefficients `start`; a target without any
    lambda keeps its zeros."""
    free = np.where(task.variance > 0, path.lam, 0.0)
    found = _solve(task, None, np.ascontiguousarray(path.lam[:, None]), free, start, rules, progress, "refit")
    return replace(path, coef=found.coef, gap=found.gap, sweeps=path.sweeps + found.sweeps)


def _solve(
    task: Dense,
    check: Dense | None,
    grid: Floats,
    largest: Floats,
    start: Floats,
    rules: ElasticNetRules,
    progress: Progress | None,
    stage: str,
) -> NetPath:
    from subtrain.regression.estimators.kit.elastic_descent import ElasticProblem, net_target

    targets, k = grid.shape
    free, floor = largest > 0, floors(grid, largest)
    # Read-only or otherwise laid out arrays would compile the kernel again.
    covariance, rho = (np.require(a, requirements=["C", "W"]) for a in (task.covariance, task.rho))
    net = ElasticProblem(
        covariance, rho, task.variance, grid, float(rules.l1_ratio), float(rules.tol), rules.sweeps, rules.positive
    )
    error = np.full(grid.shape, np.nan)
    if check is not None:
        error[~free] = check.variance[~free, None]
    best = np.zeros(targets, np.int64)
    coef = np.where(free[:, None], start, 0.0)
    gap, sweeps = np.zeros(targets), np.zeros(targets, np.int64)

    def run(t: int) -> None:
        now, lowest = coef[t].copy(), np.inf
        for first in range(0, k, STRETCH):
            count = min(STRETCH, k - first)
            every, gaps, taken = np.empty((count, now.size)), np.empty(count), np.empty(count, np.int64)
            net_target(net, t, first, now, every, gaps, taken)
            sweeps[t] += taken.sum()
            if check is not None:
                error[t, first : first + count] = _errors(check, t, every)
            for i in range(count):
                if check is None or error[t, first + i] < lowest:
                    lowest, best[t] = error[t, first + i], first + i
                    coef[t], gap[t] = every[i], gaps[i]
            last = first + count - 1
            if check is not None and ended(rules.stop, last - max(best[t], floor[t]), error[t, last], lowest):
                break

    todo = np.flatnonzero(free).tolist()
    each(run, todo, thread_count(rules.threads), told(progress, stage, targets - len(todo), targets))
    lam = np.take_along_axis(grid, best[:, None], axis=1)[:, 0]
    return NetPath(grid, error, best, coef, gap, lam, sweeps)


def _errors(check: Dense, t: int, coef: Floats) -> Floats:
    """Mean squared error [k] of one target's coefficients [k, n], over the units that any of them uses."""
    used = np.flatnonzero(coef.any(axis=0))
    some = coef[:, used]
    square = np.einsum("kn,kn->k", some @ check.covariance[np.ix_(used, used)], some)
    errors: Floats = check.variance[t] - 2.0 * some @ check.rho[t, used] + square
    return errors
