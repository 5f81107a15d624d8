"""Lambda paths of many targets on a device, and the fit they end in: `lasso_from_counts` with the same answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.threads import Progress
from subtrain.regression.device.covariance import Covariance, covariance, fast
from subtrain.regression.device.memory import UNPROVEN, PathPlan, free_bytes, open_device, plan_path
from subtrain.regression.device.solve import DescentState, DeviceRules, Model, certify, solve
from subtrain.regression.lasso.lambda_choice import LassoFit, LassoOptions, with_chosen
from subtrain.regression.lasso.path import Path, grid_of
from subtrain.regression.lasso.path_stopping import Stop, ended, floors, stopping
from subtrain.regression.lasso.problem import (
    Problem,
    check_choice,
    check_same,
    check_tol,
    lambda_max,
    problem,
    validation_moments,
)
from subtrain.regression.lasso.zero_targets import warn_of
from subtrain.system.experimental import experimental
from subtrain.system.types import Floats


@dataclass(frozen=True)
class Device:
    """Where to solve. memory: bytes to use, None for what is free; block: units a block of descent, dtype: of the
    covariances that steps are made with; None for what suits the device."""

    name: str = "cuda"
    memory: int | None = None
    block: int | None = None
    dtype: str | None = None


@dataclass(frozen=True)
class Validation:
    """Validation models: their covariances about the fitting models' means; rho: [n, T] and spread: [T]."""

    exact: Covariance
    rho: Floats
    spread: Floats


@experimental(UNPROVEN)
def lasso_on_device(
    train: Counts,
    validation: Counts | None,
    options: LassoOptions | None = None,
    device: str | Device = "cuda",
    total: Counts | None = None,
    progress: Progress | None = None,
) -> LassoFit:
    """What `lasso_from_counts` gives, solved on a CUDA device (or with torch on "cpu"), to the same gap.

    Every gap is computed in float64 from the exact counts. n_iter counts sweeps over all units, each several proximal
    steps. Raises InputError and warns as `lasso_from_counts` does, and raises InputError when n units do not fit.
    """
    how = options or LassoOptions()
    where = Device(device) if isinstance(device, str) else device
    check_choice(how.lambdas, validation)
    path = device_path(train, validation, how, where, progress)
    chosen, fitted = path, train
    if validation is not None and how.refit:
        fitted = train + validation if total is None else total
        lam = path.lambdas[np.arange(len(path.best)), path.best]
        # A target without any lambda (constant in the fitting models) keeps its all-zero weights.
        least = lambda_max(problem(fitted, how.objective, how.penalty), how.positive)
        lam = np.where(lam > 0, lam, np.maximum(least, lam))
        again = replace(how, lambdas=lam[:, None], early_stop=None)
        chosen = device_path(fitted, None, again, where, progress, start=path.weight, stage="refit")
    fit = with_chosen(path, chosen, fitted)
    warn_of(fit, how, train, validation is not None)
    return fit


@experimental(UNPROVEN)
def device_path(
    train: Counts,
    validation: Counts | None = None,
    options: LassoOptions | None = None,
    device: Device | None = None,
    progress: Progress | None = None,
    start: Floats | None = None,
    stage: str = "path",
) -> Path:
    """The path of every target as `lasso_path` gives it, from raw weights `start` [T, n]. options.refit and
    options.threads are not used. Raises InputError when not one target fits on the device."""
    import torch

    how, where = options or LassoOptions(), device or Device()
    place = open_device(where.name)
    plan = problem(train, how.objective, how.penalty)
    units = int(np.count_nonzero(plan.penalty))
    rules = _rules(how, stopping(how.early_stop, train.m, units, 0 if validation is None else validation.m))
    few = getattr(torch, where.dtype or ("float16" if place.type == "cuda" else "float32"))
    if validation is not None:
        check_same(train, validation)
    found = _nothing_found(plan, grid_of(plan, how.lambdas, how.eps, how.positive), validation, rules)
    largest = lambda_max(plan, rules.positive)
    todo = np.flatnonzero(largest > 0)
    grams = train.gram.nbytes + (0 if validation is None else validation.gram.nbytes)
    layout = plan_path(train.n, train.targets, few.itemsize, grams, free_bytes(place, where.memory))
    model = _model(plan, layout, where.block, few, place)
    check = None if validation is None else _validation(plan, validation, layout, place)
    with torch.inference_mode():
        for first in range(0, len(todo), layout.targets):
            at = todo[first : first + layout.targets]
            coef = None if start is None else start[at] * plan.scale
            _solve_targets(model, plan, check, at, coef, floors(found.lambdas[at], largest[at]), rules, found)
            if progress:
                done = train.targets - len(todo) + first + len(at)
                progress(stage, done, train.targets)
    # Filled with coefficients of scaled masks until here.
    weight, bias = plan.raw(found.weight)
    return replace(found, weight=weight, bias=bias)


def _solve_targets(
    model: Model,
    plan: Problem,
    check: Validation | None,
    at: NDArray[np.int64],
    start: Floats | None,
    floor: NDArray[np.int64],
    rules: DeviceRules,
    found: Path,
) -> None:
    """Fill `found` for the targets `at`, all of which are on the device together; floor: where each path may end."""
    import torch

    place = model.penalty.device

    def send(values: Floats) -> Any:
        return torch.from_numpy(values).to(place)

    rho = send(plan.rho[at]).t().contiguous()
    lambdas, variance = send(found.lambdas[at]), send(plan.variance[at])
    coef = torch.zeros_like(rho) if start is None else send(start).t().contiguous()
    state = DescentState(coef, rho.clone(), rho, variance)
    if start is not None:
        certify(model, state, lambdas[:, 0], rules.positive)
    weight = torch.zeros_like(rho)
    rho_validation: Any = None if check is None else send(check.rho[:, at])
    live = torch.arange(len(at), device=place)
    lowest = torch.full_like(variance, float("inf"))
    best = torch.zeros_like(live)
    may_end = torch.from_numpy(floor).to(place)
    for step in range(lambdas.shape[1]):
        gap, sweeps = solve(model, state, lambdas[live, step], rules)
        here = at[live.cpu().numpy()]
        found.gap[here, step] = (2.0 * gap / state.variance).cpu().numpy()
        found.passes[here, step] = sweeps.cpu().numpy()
        if check is None:
            error = torch.full_like(gap, -float(step))
        else:
            error = send(check.spread[here]) + _quadratic(check.exact, state.coef, rho_validation[:, live])
            found.error[here, step] = error.cpu().numpy()
        better = error < lowest[live]
        lowest[live] = torch.minimum(lowest[live], error)
        best[live[better]] = step
        weight[:, live[better]] = state.coef[:, better]
        if check is not None and rules.stop.patience:
            since = step - torch.maximum(best[live], may_end[live])
            going = ~ended(rules.stop, since, error, lowest[live])
            if not bool(going.any()):
                break
            if not bool(going.all()):
                live, state = live[going], state.take(going)
    found.best[at] = best.cpu().numpy()
    found.weight[at] = weight.t().contiguous().cpu().numpy()


def _quadratic(exact: Covariance, coef: Any, rho: Any) -> Any:
    """coef^T C coef - 2 rho^T coef, [t]."""
    total: Any = 0.0
    for here, part in exact.parts():
        total = total + (coef[here] * (part @ coef - 2.0 * rho[here])).sum(dim=0)
    return total


def _model(plan: Problem, layout: PathPlan, block: int | None, few: Any, place: Any) -> Model:
    import torch

    counts = plan.counts
    centered = np.zeros(counts.n)
    exact = covariance(counts.gram, counts.m, plan.mean, centered, plan.inverse, layout.rows, place, layout.resident)
    penalty = torch.from_numpy(plan.penalty).to(place)
    return Model(exact, fast(exact, block or layout.block, few), penalty)


def _validation(plan: Problem, validation: Counts, layout: PathPlan, place: Any) -> Validation:
    """Second moments of the validation models about the fitting models' means."""
    mean, offset, rho, spread = validation_moments(plan, validation)
    gram = validation.gram
    exact = covariance(gram, validation.m, mean, offset, plan.inverse, layout.rows, place, layout.resident)
    return Validation(exact, rho, spread)


def _rules(how: LassoOptions, stop: Stop) -> DeviceRules:
    check_tol(how.tol)
    return DeviceRules(float(how.tol), max(1, how.max_iter), stop, bool(how.positive))


def _nothing_found(plan: Problem, grid: Floats, validation: Counts | None, rules: DeviceRules) -> Path:
    """What is filled in; targets without a path keep their all-zero weights, which are exact."""
    count, k = grid.shape
    free = (lambda_max(plan, rules.positive) > 0)[:, None]
    error = np.full((count, k), np.nan)
    if validation is not None:
        y_mean = validation.y_sum / validation.m
        spread = validation.y_dev / validation.m + (y_mean - plan.y_mean) ** 2
        error = np.where(free, np.nan, np.repeat(spread[:, None], k, axis=1))
    return Path(
        lambdas=grid,
        best=np.zeros(count, np.int64),
        weight=np.zeros(plan.rho.shape),
        bias=plan.y_mean,
        gap=np.where(free, np.nan, np.zeros((count, k))),
        error=error,
        passes=np.zeros((count, k), np.int64),
    )
