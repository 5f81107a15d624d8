"""Lambda paths of many targets on a device, and the fit they end in: `lasso_from_counts` with the same answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.threads import Progress
from subtrain.regression.device.covariance import Covariance, covariance, fast
from subtrain.regression.device.memory import PathPlan, free_bytes, open_device, plan_path
from subtrain.regression.device.solve import Model, Rules, State, certify, solve
from subtrain.regression.lasso.lambda_choice import LassoFit, LassoOptions, with_chosen
from subtrain.regression.lasso.path import Path, grid_of
from subtrain.regression.lasso.path_stopping import Stop, ended, floors, stopping
from subtrain.regression.lasso.problem import Problem, lambda_max, problem
from subtrain.regression.lasso.zero_targets import warn_of

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Device:
    """Where to solve. memory: bytes to use, None for what is free; block: units a block of descent, dtype: of the
    covariances that steps are made with; None for what suits the device."""

    name: str = "cuda"
    memory: int | None = None
    block: int | None = None
    dtype: str | None = None


@dataclass(frozen=True)
class Judge:
    """Validation models: their covariances about the fitting models' means; rho: [n, T] and spread: [T]."""

    exact: Covariance
    rho: Floats
    spread: Floats


def lasso_on_device(
    train: Counts,
    valid: Counts | None,
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
    if valid is None and (np.ndim(how.lambdas) == 0 or np.shape(how.lambdas)[-1] != 1):
        raise InputError("choosing among lambdas needs validation models; without them give one value: lambdas=[0.01]")
    path = device_path(train, valid, how, where, progress)
    chosen, fitted = path, train
    if valid is not None and how.refit:
        fitted = train + valid if total is None else total
        lam = path.lambdas[np.arange(len(path.best)), path.best]
        # A target without any lambda (constant in the fitting models) keeps its all-zero weights.
        least = lambda_max(problem(fitted, how.objective, how.penalty), how.positive)
        lam = np.where(lam > 0, lam, np.maximum(least, lam))
        again = replace(how, lambdas=lam[:, None], early_stop=None)
        chosen = device_path(fitted, None, again, where, progress, start=path.weight, stage="refit")
    fit = with_chosen(path, chosen, fitted)
    warn_of(fit, how, train, valid is not None)
    return fit


def device_path(
    train: Counts,
    valid: Counts | None = None,
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
    rules = _rules(how, stopping(how.early_stop, train.m, units, 0 if valid is None else valid.m))
    few = getattr(torch, where.dtype or ("float16" if place.type == "cuda" else "float32"))
    _check_validation(train, valid)
    found = _nothing_found(plan, grid_of(plan, how.lambdas, how.eps, how.positive), valid, rules)
    largest = lambda_max(plan, rules.positive)
    todo = np.flatnonzero(largest > 0)
    if not np.all(found.lambdas[todo] > 0) or not np.all(np.isfinite(found.lambdas)):
        raise InputError("lambdas must be positive and finite")
    grams = train.gram.nbytes + (0 if valid is None else valid.gram.nbytes)
    layout = plan_path(train.n, train.targets, few.itemsize, grams, free_bytes(place, where.memory))
    model = _model(plan, layout, where.block, few, place)
    judge = None if valid is None else _judge(plan, valid, layout, place)
    with torch.inference_mode():
        for first in range(0, len(todo), layout.targets):
            at = todo[first : first + layout.targets]
            coef = None if start is None else start[at] * plan.scale
            _solve_targets(model, plan, judge, at, coef, floors(found.lambdas[at], largest[at]), rules, found)
            if progress:
                done = train.targets - len(todo) + first + len(at)
                progress(stage, done, train.targets)
    # Filled with coefficients of scaled masks until here.
    weight, bias = plan.raw(found.weight)
    return replace(found, weight=weight, bias=bias)


def _solve_targets(
    model: Model,
    plan: Problem,
    judge: Judge | None,
    at: NDArray[np.int64],
    start: Floats | None,
    floor: NDArray[np.int64],
    rules: Rules,
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
    state = State(coef, rho.clone(), rho, variance)
    if start is not None:
        certify(model, state, lambdas[:, 0], rules.positive)
    weight = torch.zeros_like(rho)
    rho_valid: Any = None if judge is None else send(judge.rho[:, at])
    live = torch.arange(len(at), device=place)
    lowest = torch.full_like(variance, float("inf"))
    best = torch.zeros_like(live)
    may_end = torch.from_numpy(floor).to(place)
    for step in range(lambdas.shape[1]):
        gap, sweeps = solve(model, state, lambdas[live, step], rules)
        here = at[live.cpu().numpy()]
        found.gap[here, step] = (2.0 * gap / state.variance).cpu().numpy()
        found.passes[here, step] = sweeps.cpu().numpy()
        if judge is None:
            error = torch.full_like(gap, -float(step))
        else:
            error = send(judge.spread[here]) + _quadratic(judge.exact, state.coef, rho_valid[:, live])
            found.error[here, step] = error.cpu().numpy()
        better = error < lowest[live]
        lowest[live] = torch.minimum(lowest[live], error)
        best[live[better]] = step
        weight[:, live[better]] = state.coef[:, better]
        if judge is not None and rules.stop.patience:
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
    centred = np.zeros(counts.n)
    exact = covariance(counts.gram, counts.m, plan.mean, centred, plan.inverse, layout.rows, place, layout.resident)
    penalty = torch.from_numpy(plan.penalty).to(place)
    return Model(exact, fast(exact, block or layout.block, few), penalty)


def _judge(plan: Problem, valid: Counts, layout: PathPlan, place: Any) -> Judge:
    """Second moments of the validation models about the fitting models' means."""
    mean, y_mean = valid.ones / valid.m, valid.y_sum / valid.m
    shift = y_mean - plan.y_mean
    rho = valid.xty / valid.m - np.outer(mean, plan.y_mean) - np.outer(plan.mean, shift)
    spread = valid.y_dev / valid.m + shift**2
    offset, inverse = mean - plan.mean, plan.inverse
    exact = covariance(valid.gram, valid.m, mean, offset, inverse, layout.rows, place, layout.resident)
    return Judge(exact, rho * inverse[:, None], spread)


def _check_validation(train: Counts, valid: Counts | None) -> None:
    if valid is not None and (valid.n, valid.targets) != (train.n, train.targets):
        raise InputError(f"validation counts do not match the fitting ones: {valid} and {train}")
    if valid is not None and valid.m == 0:
        raise InputError("there are no validation models")


def _rules(how: LassoOptions, stop: Stop) -> Rules:
    if not how.tol > 0:
        raise InputError(f"tol must be positive, got {how.tol}")
    return Rules(float(how.tol), max(1, how.max_iter), stop, bool(how.positive))


def _nothing_found(plan: Problem, grid: Floats, valid: Counts | None, rules: Rules) -> Path:
    """What is filled in; targets without a path keep their all-zero weights, which are exact."""
    count, k = grid.shape
    free = (lambda_max(plan, rules.positive) > 0)[:, None]
    error = np.full((count, k), np.nan)
    if valid is not None:
        y_mean = valid.y_sum / valid.m
        spread = valid.y_dev / valid.m + (y_mean - plan.y_mean) ** 2
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
