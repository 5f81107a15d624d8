"""LASSO from counts alone: the path of each target with its validation error, or one lambda."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.gram_rows import table
from subtrain.regression.counting.threads import Progress, each, thread_count, told
from subtrain.regression.lasso.path_stopping import NEVER, Stop, floors, stopping
from subtrain.regression.lasso.problem import (
    Problem,
    check_positive,
    check_same,
    check_tol,
    lambda_grid,
    lambda_max,
    problem,
    validation_moments,
)
from subtrain.regression.lasso.validation_error import ValidationModels
from subtrain.system.types import Floats

PASSES = 5_000


@dataclass(frozen=True, eq=False)
class Path:
    """What a path found for T targets and k lambdas.

    lambdas: [T, k], decreasing. best: int64 [T], the lambda with the least validation error (the last one without
    validation). weight: [T, n] and bias: [T] there, for raw masks. gap: [T, k], duality gap over half the target's
    variance. error: [T, k], mean squared error on the validation models. passes: int64 [T, k]. gap and error are NaN,
    and passes 0, where an early stop came first. weights: [T, k, n] and biases: [T, k] at every lambda, if kept.
    """

    lambdas: Floats
    best: NDArray[np.int64]
    weight: Floats
    bias: Floats
    gap: Floats
    error: Floats
    passes: NDArray[np.int64]
    weights: Floats | None = None
    biases: Floats | None = None


def lasso_path(
    train: Counts,
    validation: Counts | ValidationModels | None = None,
    lambdas: int | ArrayLike = 100,
    eps: float = 1e-3,
    *,
    objective: str = "standardized",
    penalty: Floats | None = None,
    positive: bool = False,
    tol: float = 1e-4,
    early_stop: int | None = None,
    keep: bool = False,
    passes: int = PASSES,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Solve each target along a path of lambdas.

    Args:
        train: Counts of the fitting models, with their Gram.
        validation: Other models, on which every lambda is tried, as counts or, cheaper, as `ValidationModels`. Default
            None, no validation error.
        lambdas: How many, geometric from the least lambda that leaves all weights at 0 down to eps times that, or their
            values, [k] for all targets or [T, k]. Default 100.
        eps: The last lambda over the first. Default 1e-3.
        objective: "standardized" (default) or "raw" masks, as in `Lasso`.
        penalty: float64 [n], a positive factor of lambda for each unit; inf leaves the unit out. Default None, 1.
        positive: Whether no weight may be negative. Default False.
        tol: Duality gap to reach at every lambda, relative to half the target's variance, the objective of the all-zero
            weights. It bounds how much of that variance a better solution could still explain. Default 1e-4.
        early_stop: A path ends this many lambdas after its least validation error, where `stopping` trusts it. Default
            None, never.
        keep: Whether the weights at every lambda are returned. Default False.
        passes: Sweeps at most for one lambda. Default 5,000.
        threads: Default None, all cores.
        progress: Called with "path", targets done and targets in all.

    Returns:
        The paths of all targets, with their gaps and validation errors.

    Raises:
        InputError: for counts without a Gram, and for parameters out of range.

    Example:
        >>> from subtrain.regression import count, lasso_path
        >>> masks = np.random.default_rng(0).random((200, 3)) < 0.5
        >>> path = lasso_path(count(masks, 2.0 * masks[:, 1]), lambdas=5, eps=0.01)
        >>> path.weight.round(1) + 0.0
        array([[0., 2., 0.]])
    """
    plan = problem(train, objective, penalty)
    grid = grid_of(plan, lambdas, eps, positive)
    stop = stopping(early_stop, train.m, int(np.count_nonzero(plan.penalty)), 0 if validation is None else validation.m)
    rules = _rules(tol, passes, stop, positive, keep)
    return _run(plan, validation, grid, None, rules, threads, progress, "path")


def solve_at(
    counts: Counts,
    lam: ArrayLike,
    start: Floats | None = None,
    *,
    objective: str = "standardized",
    penalty: Floats | None = None,
    positive: bool = False,
    tol: float = 1e-4,
    passes: int = PASSES,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Solve each target at its own lambda, [T] or one for all, from raw weights `start` [T, n]; a Path with k = 1."""
    plan = problem(counts, objective, penalty)
    grid = np.broadcast_to(np.asarray(lam, np.float64), (counts.targets,))[:, None]
    coef = None if start is None else start * plan.scale
    rules = _rules(tol, passes, NEVER, positive, False)
    return _run(plan, None, grid, coef, rules, threads, progress, "refit")


def _rules(tol: float, passes: int, stop: Stop, positive: bool, keep: bool) -> Any:
    from subtrain.regression.lasso.working_set import WorkingSetRules

    check_tol(tol)
    return WorkingSetRules(float(tol), int(passes), stop, bool(positive), bool(keep))


def grid_of(plan: Problem, lambdas: int | ArrayLike, eps: float, positive: bool) -> Floats:
    """Every target's lambdas [T, k], as `lambda_grid` makes them."""
    return lambda_grid(lambdas, lambda_max(plan, positive), eps)


def _run(
    plan: Problem,
    validation: Counts | ValidationModels | None,
    lambdas: Floats,
    start: Floats | None,
    rules: Any,
    threads: int | None,
    progress: Progress | None,
    stage: str,
) -> Path:
    """Run the kernel on every target that has a path, and map what it found back to raw masks."""
    from subtrain.regression.lasso.target_path import Targets, solve_target

    largest = lambda_max(plan, rules.positive)
    solvable = largest > 0
    moments, rho_validation, spread = _validation(
        plan, None if isinstance(validation, ValidationModels) else validation
    )
    bits = _validation_bits(plan, validation)
    grid = check_positive(lambdas, largest)
    first = np.zeros(plan.rho.shape) if start is None else np.array(start, np.float64, order="C")
    targets = Targets(plan.rho, plan.variance, rho_validation, spread, grid, first, floors(grid, largest))
    if isinstance(validation, ValidationModels):
        spread = np.array([0.0 if found else _spread(plan, validation, t) for t, found in enumerate(solvable)])
    found = _nothing_found(solvable, spread, plan.counts.n, grid.shape[1], rules.keep)
    train = _moments(plan)
    rooms: SimpleQueue[Any] = SimpleQueue()
    for _ in range(thread_count(threads)):
        rooms.put(np.empty((0, 0), np.float32))

    def run(t: int) -> None:
        rooms.put(solve_target(train, moments, bits(t), plan.penalty, targets, rules, t, found, rooms.get()))

    todo = np.flatnonzero(solvable).tolist()
    each(run, todo, thread_count(threads), told(progress, stage, solvable.size - len(todo), solvable.size))
    weight, bias = plan.raw(found.coef)
    error = found.error if validation is not None else np.full(grid.shape, np.nan)
    path = Path(grid, found.best, weight, bias, found.gap, error, found.passes)
    if not rules.keep:
        return path
    weights = found.every * plan.inverse
    return replace(path, weights=weights, biases=plan.y_mean[:, None] - (weights * plan.mean).sum(axis=-1))


def _nothing_found(solvable: NDArray[np.bool_], spread: Floats, n: int, k: int, keep: bool) -> Any:
    """What the kernel fills in; targets without a path keep their all-zero weights, which are exact."""
    from subtrain.regression.lasso.target_path import PathResult

    count = solvable.size
    return PathResult(
        coef=np.zeros((count, n)),
        best=np.zeros(count, np.int64),
        gap=np.where(solvable[:, None], np.nan, np.zeros((count, k))),
        error=np.where(solvable[:, None], np.nan, np.repeat(spread[:, None], k, axis=1)),
        passes=np.zeros((count, k), np.int64),
        every=np.zeros((count, k, n) if keep else (0, 0, 0)),
    )


def _moments(plan: Problem) -> Any:
    from subtrain.regression.lasso.coordinate_descent import TargetMoments

    if len(plan.counts.gram) != plan.counts.n:
        raise InputError(f"{plan.counts} were made without a Gram, which lambda paths need")
    return TargetMoments(
        table(plan.counts.gram), float(plan.counts.m), plan.mean, np.zeros(plan.counts.n), plan.inverse
    )


def _validation_bits(plan: Problem, validation: Counts | ValidationModels | None) -> Callable[[int], Any]:
    """What the kernel takes of the validation models, for one target after another."""
    from subtrain.regression.lasso.target_path import ValidationBits

    if not isinstance(validation, ValidationModels):
        none = ValidationBits(np.zeros((0, 0), np.uint64), np.zeros((1, 0)))
        return lambda t: none
    check_same(plan.counts, validation)
    return lambda t: ValidationBits(validation.bits, _centered(plan, validation, t))


def _centered(plan: Problem, validation: ValidationModels, t: int) -> Floats:
    centered: Floats = validation.outputs[:, t].astype(np.float64) - plan.y_mean[t]
    return centered[None]


def _spread(plan: Problem, validation: ValidationModels, t: int) -> float:
    """Mean squared error of predicting the fitting models' mean."""
    return float(np.mean(_centered(plan, validation, t) ** 2))


def _validation(plan: Problem, validation: Counts | None) -> tuple[Any, Floats, Floats]:
    """Moments of the validation models about the fitting models' means, and the outputs' covariances and spread."""
    from subtrain.regression.lasso.coordinate_descent import TargetMoments

    train = plan.counts
    if validation is None:
        none = np.zeros((0, 0), train.gram.dtype)
        return (
            TargetMoments(none, 0.0, plan.mean, plan.mean, plan.inverse),
            np.zeros_like(plan.rho),
            np.zeros(train.targets),
        )
    mean, offset, rho, spread = validation_moments(plan, validation)
    moments = TargetMoments(table(validation.gram), float(validation.m), mean, offset, plan.inverse)
    return moments, np.ascontiguousarray(rho.T), np.maximum(spread, 0.0)
