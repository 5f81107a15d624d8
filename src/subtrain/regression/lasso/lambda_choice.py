"""One lambda a target: the path on fitting models, the choice on validation models, the refit on both."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.regression.counting.counts import OF_OUTPUTS, Counts
from subtrain.regression.counting.threads import Progress
from subtrain.regression.lasso.path import PASSES, Path, lasso_path, solve_at
from subtrain.regression.lasso.problem import check_choice, lambda_max, problem
from subtrain.regression.lasso.validation_error import ValidationModels
from subtrain.system.types import Floats

Some = slice | NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LassoOptions:
    """How to fit.

    lambdas: how many, or their values; eps: the smallest over the largest; tol: relative duality gap; objective:
    "standardized" (the paper's) or "raw"; early_stop: lambdas to go on after the least validation error, None for all;
    refit: fit the chosen lambda again on fitting and validation models; factor: of the chosen lambda, when it is fitted
    again; penalty: a factor of lambda for each unit [n];
    positive: no negative weights; max_iter: sweeps at most for one lambda; threads: None for all cores.
    """

    lambdas: int | ArrayLike = 100
    eps: float = 1e-3
    tol: float = 1e-4
    objective: str = "standardized"
    early_stop: int | None = 5
    refit: bool = True
    factor: float = 1.0
    penalty: Floats | None = None
    positive: bool = False
    max_iter: int = PASSES
    threads: int | None = None

    @property
    def solving(self) -> dict[str, Any]:
        """What `lasso_path` and `solve_at` both take of these."""
        return {
            "objective": self.objective,
            "penalty": self.penalty,
            "positive": self.positive,
            "tol": self.tol,
            "passes": self.max_iter,
            "threads": self.threads,
        }


def _none() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class LassoFit:
    """n units, T targets, k lambdas. weight: float64 [n, T] and bias: [T], for raw 0/1 masks. lam: [T], on the scale
    of the objective. gap: [T], relative duality gap of these weights. lambdas, validation_mse: [k, T], NaN where no
    validation was made. n_iter: int64 [T], sweeps in all. constant_units: int64, units always or never included.
    path_gap: [k, T], the gaps along the path, NaN where it stopped before. best: int64 [T], the place of lam."""

    weight: Floats
    bias: Floats
    lam: Floats
    gap: Floats
    lambdas: Floats
    validation_mse: Floats
    n_iter: NDArray[np.int64]
    constant_units: NDArray[np.int64]
    path_gap: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    best: NDArray[np.int64] = field(default_factory=_none)


def chosen_lambdas(
    train: Counts,
    validation: Counts | ValidationModels | None,
    options: LassoOptions | None = None,
    progress: Progress | None = None,
    targets: slice | None = None,
) -> LassoFit:
    """The first half of the job: paths and choice, weights of the fitting models alone; warns of nothing.

    Without `validation`, options.lambdas must be a single value; InputError otherwise.
    """
    how = options or LassoOptions()
    check_choice(how.lambdas, validation)
    part = of_targets(train, targets)
    lambdas = how.lambdas
    if targets is not None and np.ndim(lambdas) == 2:
        lambdas = np.asarray(lambdas)[targets]
    path = lasso_path(
        part,
        None if validation is None else of_targets(validation, targets),
        lambdas,
        how.eps,
        early_stop=how.early_stop,
        progress=progress,
        **how.solving,
    )
    return from_path(path, part)


def refit(
    total: Counts, fit: LassoFit, options: LassoOptions | None = None, progress: Progress | None = None
) -> LassoFit:
    """`fit` with the weights of all models, `total`, at the lambdas it chose, times options.factor.

    Its own weights are where this starts.
    """
    how = options or LassoOptions()
    # A target without any lambda (constant in the fitting models) keeps its all-zero weights.
    none = fit.lam <= 0
    lam = np.where(none, lambda_max(problem(total, how.objective, how.penalty), how.positive), how.factor * fit.lam)
    again = solve_at(
        total,
        lam,
        fit.weight.T,
        progress=progress,
        **how.solving,
    )
    return replace(
        fit,
        weight=again.weight.T,
        bias=again.bias,
        lam=again.lambdas[:, 0],
        gap=again.gap[:, 0],
        n_iter=fit.n_iter + again.passes[:, 0],
        constant_units=total.constant_units,
    )


def with_chosen(path: Path, chosen: Path, counts: Counts) -> LassoFit:
    """The fit of a path whose chosen lambdas were solved again, on `counts`."""
    fit = from_path(path, counts)
    if chosen is path:
        return fit
    at = np.arange(len(chosen.best)), chosen.best
    return replace(
        fit,
        weight=chosen.weight.T,
        bias=chosen.bias,
        lam=chosen.lambdas[at],
        gap=chosen.gap[at],
        n_iter=fit.n_iter + chosen.passes.sum(axis=1),
    )


def from_path(path: Path, counts: Counts) -> LassoFit:
    """The fit at the best lambda of each path."""
    at = np.arange(len(path.best)), path.best
    return LassoFit(
        weight=path.weight.T,
        bias=path.bias,
        lam=path.lambdas[at],
        gap=path.gap[at],
        lambdas=path.lambdas.T,
        validation_mse=path.error.T,
        n_iter=path.passes.sum(axis=1),
        constant_units=counts.constant_units,
        path_gap=path.gap.T,
        best=path.best,
    )


@overload
def of_targets(models: Counts, targets: Some | None) -> Counts: ...


@overload
def of_targets(models: Counts | ValidationModels, targets: Some | None) -> Counts | ValidationModels: ...


def of_targets(models: Counts | ValidationModels, targets: Some | None) -> Counts | ValidationModels:
    """The same models with some of their targets, without a copy of the Gram or the masks."""
    if targets is None:
        return models
    if isinstance(models, ValidationModels):
        return models.of(targets)
    some = {name: getattr(models, name)[targets] for name in OF_OUTPUTS}
    return replace(models, xty=models.xty[:, targets], **some)
