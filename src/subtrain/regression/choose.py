"""One lambda a target: the path on fitting models, the choice on validation models, the refit on both."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.regression.counts import Counts
from subtrain.regression.path import PASSES, Path, lasso_path, solve_at
from subtrain.regression.problem import lambda_max, problem
from subtrain.regression.threads import Progress

Floats = NDArray[np.float64]


class FitWarning(UserWarning):
    """Something about a fit that its user should know: units or targets it could do nothing for."""


@dataclass(frozen=True, eq=False)
class LassoOptions:
    """How to fit.

    lambdas: how many, or their values; eps: the smallest over the largest; tol: relative duality gap; objective:
    "standardized" (the paper's) or "raw"; early_stop: lambdas to go on after the least validation error, None for all;
    refit: fit the chosen lambda again on fitting and validation models; penalty: a factor of lambda for each unit [n];
    positive: no negative weights; max_iter: sweeps at most for one lambda; threads: None for all cores.
    """

    lambdas: int | ArrayLike = 100
    eps: float = 1e-3
    tol: float = 1e-4
    objective: str = "standardized"
    early_stop: int | None = 5
    refit: bool = True
    penalty: Floats | None = None
    positive: bool = False
    max_iter: int = PASSES
    threads: int | None = None


@dataclass(frozen=True, eq=False)
class LassoFit:
    """n units, T targets, k lambdas. weight: float64 [n, T] and bias: [T], for raw 0/1 masks. lam: [T], on the scale
    of the objective. gap: [T], relative duality gap of these weights. lambdas, validation_mse: [k, T], NaN where no
    validation was made. n_iter: int64 [T], sweeps in all. constant_units: int64, units always or never included."""

    weight: Floats
    bias: Floats
    lam: Floats
    gap: Floats
    lambdas: Floats
    validation_mse: Floats
    n_iter: NDArray[np.int64]
    constant_units: NDArray[np.int64]


def lasso_from_counts(
    train: Counts,
    valid: Counts | None,
    total: Counts | None = None,
    options: LassoOptions | None = None,
    progress: Progress | None = None,
) -> LassoFit:
    """Fit every target of `train`, each at the lambda with the least mean squared error on `valid`.

    total: counts to refit on, by default train + valid. Without `valid`, options.lambdas must be a single value, and
    everything is fitted on `train`. Warns (FitWarning) of constant units, of targets that miss the tolerance and of
    targets whose best lambda is an end of its path. Raises InputError for options and counts that do not fit.
    """
    how = options or LassoOptions()
    if valid is None and np.size(how.lambdas) == 1 and np.ndim(how.lambdas) == 0:
        raise InputError("choosing among lambdas needs validation models; without them give one value: lambdas=[0.01]")
    if valid is None and np.ndim(how.lambdas) > 0 and np.shape(how.lambdas)[-1] != 1:
        raise InputError(f"choosing among {np.shape(how.lambdas)[-1]} lambdas needs validation models")
    path = lasso_path(
        train,
        valid,
        how.lambdas,
        how.eps,
        objective=how.objective,
        penalty=how.penalty,
        positive=how.positive,
        tol=how.tol,
        passes=how.max_iter,
        early_stop=how.early_stop,
        threads=how.threads,
        progress=progress,
    )
    if valid is not None:
        _warn_ends(path)
    chosen, fitted = path, train
    if valid is not None and how.refit:
        fitted = train + valid if total is None else total
        chosen = _refit(fitted, path, how, progress)
    fit = _result(path, chosen, fitted)
    _warn_fit(fit, how.tol)
    return fit


def _refit(total: Counts, path: Path, how: LassoOptions, progress: Progress | None) -> Path:
    lam = _at_best(path.lambdas, path)
    # A target without any lambda (constant in the fitting models) keeps its all-zero weights.
    lam = np.where(lam > 0, lam, np.maximum(lambda_max(problem(total, how.objective, how.penalty), how.positive), lam))
    return solve_at(
        total,
        lam,
        path.weight,
        objective=how.objective,
        penalty=how.penalty,
        positive=how.positive,
        tol=how.tol,
        passes=how.max_iter,
        threads=how.threads,
        progress=progress,
    )


def _result(path: Path, chosen: Path, counts: Counts) -> LassoFit:
    return LassoFit(
        weight=chosen.weight.T,
        bias=chosen.bias,
        lam=_at_best(chosen.lambdas, chosen),
        gap=_at_best(chosen.gap, chosen),
        lambdas=path.lambdas.T,
        validation_mse=path.error.T,
        n_iter=path.passes.sum(axis=1) + (chosen.passes.sum(axis=1) if chosen is not path else 0),
        constant_units=np.flatnonzero((counts.ones == 0) | (counts.ones == counts.m)),
    )


def _at_best(values: Floats, path: Path) -> Floats:
    return values[np.arange(len(values)), path.best]


def _warn_ends(path: Path) -> None:
    k = path.lambdas.shape[1]
    free = path.lambdas[:, 0] > 0
    first, last = (int(np.count_nonzero(free & (path.best == end))) for end in (0, k - 1))
    if k > 1 and first:
        _warn(f"{_of(first, free)} the largest lambda validates best: nothing that was fitted predicts them")
    if k > 1 and last:
        _warn(f"{_of(last, free)} the smallest lambda validates best: a smaller eps may predict them better")


def _warn_fit(fit: LassoFit, tol: float) -> None:
    if fit.constant_units.size:
        _warn(
            f"{fit.constant_units.size} of {len(fit.weight)} units are in every mask or in none; their weight is 0 "
            f"(the first is unit {fit.constant_units[0]})"
        )
    short = fit.gap > tol
    if short.any():
        worst = int(np.argmax(fit.gap))
        _warn(
            f"{_of(int(short.sum()), short)} the relative duality gap stays above tol = {tol:g}; "
            f"the worst is target {worst} with {fit.gap[worst]:.2g}"
        )


def _of(count: int, targets: NDArray[np.bool_]) -> str:
    return f"for {count} of {targets.size} targets"


def _warn(message: str) -> None:
    warnings.warn(message, FitWarning, stacklevel=4)
