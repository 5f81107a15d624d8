"""`ElasticNet`: datamodels by a mixture of LASSO and ridge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.threads import Progress, each, thread_count
from subtrain.regression.estimators.kit.dense_problem import Dense, check_memory, dense, judged
from subtrain.regression.estimators.kit.estimator import Fitted, Linear, lambda_values, need_validation
from subtrain.regression.fit_warnings import warn_ends, warn_gaps
from subtrain.regression.lasso.path_stopping import Stop, ended, floors, stopping
from subtrain.regression.lasso.problem import problem

Floats = NDArray[np.float64]
# Lambdas solved between looks at the validation error.
STRETCH = 5


class ElasticNet(Linear):
    """Datamodels by elastic net, lambda chosen per target; l1_ratio 1 is the LASSO, for which `Lasso` is faster.

    Minimises (1/2m) ||y - X w - b||^2 + lam (l1_ratio ||w||_1 + (1 - l1_ratio) / 2 ||w||^2), b free, along a path of
    lambdas; takes the one with the least squared error on validation models and fits it again on all models. The path
    starts where all weights are 0. Parameters and what is fitted are those of `Lasso`, on "raw" masks the objective is
    scikit-learn's. Needs about 2 dense n x n matrices of float64.
    """

    def __init__(
        self,
        lambdas: int | ArrayLike = 100,
        eps: float = 1e-3,
        l1_ratio: float = 0.5,
        tol: float = 1e-4,
        objective: str = "standardized",
        validation: float | None = 0.1,
        seed: int = 0,
        early_stop: int | None = 5,
        refit: bool = True,
        positive: bool = False,
        max_iter: int = 5_000,
        threads: int | None = None,
    ) -> None:
        self.lambdas = lambdas
        self.eps = eps
        self.l1_ratio = l1_ratio
        self.tol = tol
        self.objective = objective
        self.validation = validation
        self.seed = seed
        self.early_stop = early_stop
        self.refit = refit
        self.positive = positive
        self.max_iter = max_iter
        self.threads = threads

    def _estimate(self, train: Counts, valid: Counts | None, total: Counts | None, progress: Progress | None) -> Fitted:
        need_validation(self.lambdas, valid)
        check_memory(train.n, 3)
        plan = problem(train, self.objective)
        stop = stopping(self.early_stop, train.m, train.n, 0 if valid is None else valid.m)
        rules = Rules(self.l1_ratio, self.tol, self.max_iter, self.positive, stop, self.threads)
        judge = None if valid is None else judged(plan, valid)
        path = net_path(dense(plan), judge, self.lambdas, self.eps, rules, progress)
        grid, error, n_iter, lam, best = path.lambdas, path.error, path.sweeps, path.lam, path.best
        if valid is not None and self.refit:
            plan = problem(train + valid if total is None else total, self.objective)
            path = net_refit(dense(plan), lam, path.coef, rules, progress)
            n_iter += path.sweeps
        weight, bias = plan.raw(path.coef)
        if valid is not None:
            warn_ends(grid.T, error.T, best, weight.T)
        warn_gaps(path.gap, self.tol)
        zero = np.zeros_like(bias)
        return Fitted(np.ascontiguousarray(weight.T), bias, lam, path.gap, zero, grid.T, error.T, int(n_iter.max()))


@dataclass(frozen=True)
class Rules:
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
        if not self.tol > 0:
            raise InputError(f"tol must be positive, got {self.tol}")


@dataclass(frozen=True, eq=False)
class NetPath:
    """For T targets and k lambdas: lambdas [T, k]; error [T, k], validation mean square, NaN where there is none;
    best [T], the chosen lambda; coef [T, n], gap and lam [T] there; sweeps [T] in all; free [T], whether it has a path.
    """

    lambdas: Floats
    error: Floats
    best: NDArray[np.int64]
    coef: Floats
    gap: Floats
    lam: Floats
    sweeps: NDArray[np.int64]
    free: NDArray[np.bool_]


def net_path(
    task: Dense, judge: Dense | None, lambdas: int | ArrayLike, eps: float, rules: Rules, progress: Progress | None
) -> NetPath:
    """Every target's path, and the lambda with the least squared error under `judge` (the last one without)."""
    pull = task.rho if rules.positive else np.abs(task.rho)
    top = np.where(task.variance > 0, pull.max(axis=1, initial=0.0), 0.0) / rules.l1_ratio
    grid = np.ascontiguousarray(lambda_values(lambdas, top, eps))
    return _solve(task, judge, grid, top, np.zeros(task.rho.shape), rules, progress, "path")


def net_refit(task: Dense, lam: Floats, start: Floats, rules: Rules, progress: Progress | None) -> NetPath:
    """One lambda a target [T], from coefficients `start`; a target without any lambda keeps its zeros."""
    free = np.where(task.variance > 0, lam, 0.0)
    return _solve(task, None, np.ascontiguousarray(lam[:, None]), free, start, rules, progress, "refit")


def _solve(
    task: Dense,
    judge: Dense | None,
    grid: Floats,
    largest: Floats,
    start: Floats,
    rules: Rules,
    progress: Progress | None,
    stage: str,
) -> NetPath:
    from subtrain.regression.estimators.kit.elastic_descent import Net, net_target

    targets, k = grid.shape
    free, floor = largest > 0, floors(grid, largest)
    # Read-only or otherwise laid out arrays would compile the kernel again.
    covariance, rho = (np.require(a, requirements=["C", "W"]) for a in (task.covariance, task.rho))
    net = Net(
        covariance, rho, task.variance, grid, float(rules.l1_ratio), float(rules.tol), rules.sweeps, rules.positive
    )
    error = np.full(grid.shape, np.nan)
    if judge is not None:
        error[~free] = judge.variance[~free, None]
    best = np.zeros(targets, np.int64)
    coef = np.where(free[:, None], start, 0.0)
    gap, sweeps = np.zeros(targets), np.zeros(targets, np.int64)
    finished = int(np.count_nonzero(~free))

    def run(t: int) -> None:
        now, lowest = coef[t].copy(), np.inf
        for first in range(0, k, STRETCH):
            count = min(STRETCH, k - first)
            every, gaps, taken = np.empty((count, now.size)), np.empty(count), np.empty(count, np.int64)
            net_target(net, t, first, now, every, gaps, taken)
            sweeps[t] += taken.sum()
            if judge is not None:
                error[t, first : first + count] = _errors(judge, t, every)
            for i in range(count):
                if judge is None or error[t, first + i] < lowest:
                    lowest, best[t] = error[t, first + i], first + i
                    coef[t], gap[t] = every[i], gaps[i]
            last = first + count - 1
            if judge is not None and ended(rules.stop, last - max(best[t], floor[t]), error[t, last], lowest):
                break

    def report(_: int) -> None:
        nonlocal finished
        finished += 1
        if progress:
            progress(stage, finished, targets)

    each(run, np.flatnonzero(free).tolist(), thread_count(rules.threads), report)
    lam = np.take_along_axis(grid, best[:, None], axis=1)[:, 0]
    return NetPath(grid, error, best, coef, gap, lam, sweeps, free)


def _errors(judge: Dense, t: int, coef: Floats) -> Floats:
    """Mean squared error [k] of one target's coefficients [k, n], over the units that any of them uses."""
    used = np.flatnonzero(coef.any(axis=0))
    some = coef[:, used]
    square = np.einsum("kn,kn->k", some @ judge.covariance[np.ix_(used, used)], some)
    errors: Floats = judge.variance[t] - 2.0 * some @ judge.rho[t, used] + square
    return errors
