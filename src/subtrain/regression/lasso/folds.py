"""Lambda by K-fold cross-validation: the counts of all folds but one are sums of the folds' counts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.threads import Progress
from subtrain.regression.lasso.lambda_choice import LassoFit, LassoOptions, of_targets, refit
from subtrain.regression.lasso.path import Path, grid_of, lasso_path
from subtrain.regression.lasso.problem import problem
from subtrain.regression.lasso.zero_targets import warn_of
from subtrain.system.types import Floats


def lasso_kfold(
    fold_counts: Sequence[Counts],
    options: LassoOptions | None = None,
    progress: Progress | None = None,
    targets: slice | None = None,
) -> LassoFit:
    """Fit every target on all folds, at the lambda with the least squared error when each fold is held out in turn.

    The path of lambdas is that of all models. validation_mse is the mean over the models of all folds, NaN where an
    early stop left a fold out; path_gap is the largest of the folds. Needs at least two folds, one of them in memory
    beside their sums; warns as `lasso_from_counts` does. options.refit is not looked at: the folds' fits are dropped.
    """
    how = options or LassoOptions()
    if len(fold_counts) < 2:
        raise InputError(f"cross-validation needs at least 2 folds, got {len(fold_counts)}")
    folds = [of_targets(fold, targets) for fold in fold_counts]
    total = reduce(add, folds)
    grid = _grid(total, how, targets)
    error, gap, passes = _curves(folds, how, grid, how.early_stop, progress)
    # A fold may stop before the minimum of the mean: where that is the last lambda all folds reached, go on to the end.
    reached = (~np.isnan(error)).sum(axis=1)
    best = _least(error)
    early = np.flatnonzero((best == reached - 1) & (reached < grid.shape[1]) & (grid[:, 0] > 0))
    if early.size:
        rest = [of_targets(fold, early) for fold in folds]
        error[early], gap[early], more = _curves(rest, how, grid[early], None, progress)
        passes[early] += more
        best = _least(error)
    fit = LassoFit(
        weight=np.zeros((total.n, total.targets)),
        bias=np.zeros(total.targets),
        lam=grid[np.arange(total.targets), best],
        gap=np.zeros(total.targets),
        lambdas=grid.T,
        validation_mse=error.T,
        n_iter=passes,
        constant_units=np.zeros(0, np.int64),
        path_gap=gap.T,
        best=best,
    )
    fit = refit(total, fit, how, progress)
    warn_of(fit, how, total, True)
    return fit


def _grid(total: Counts, how: LassoOptions, targets: slice | None) -> Floats:
    values = how.lambdas
    if np.ndim(values) == 2 and targets is not None:
        values = np.asarray(values)[targets]
    return grid_of(problem(total, how.objective, how.penalty), values, how.eps, how.positive)


def _curves(
    folds: Sequence[Counts], how: LassoOptions, grid: Floats, early_stop: int | None, progress: Progress | None
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Mean error and largest gap [T, k] over the folds, and their sweeps [T]."""
    paths = [_held_out(folds, k, how, grid, early_stop, progress) for k in range(len(folds))]
    shares = np.array([fold.m for fold in folds]) / sum(fold.m for fold in folds)
    error = sum(share * path.error for share, path in zip(shares, paths, strict=True))
    gap = np.max([path.gap for path in paths], axis=0)
    return np.asarray(error), gap, np.sum([path.passes.sum(axis=1) for path in paths], axis=0)


def _held_out(
    folds: Sequence[Counts], k: int, how: LassoOptions, grid: Floats, early_stop: int | None, progress: Progress | None
) -> Path:
    return lasso_path(
        reduce(add, [fold for i, fold in enumerate(folds) if i != k]),
        folds[k],
        np.where(grid > 0, grid, 1.0),
        early_stop=early_stop,
        progress=progress,
        **how.solving,
    )


def _least(error: Floats) -> NDArray[np.int64]:
    best: NDArray[np.int64] = np.argmin(np.where(np.isnan(error), np.inf, error), axis=1)
    return best
