"""Figures of every target, by which the gallery is sorted and which a target's page shows, and of every unit."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.designs.model_rows import EVALUATION
from subtrain.errors import InputError
from subtrain.evaluation import score
from subtrain.evaluation_models import held_out
from subtrain.explorer.data.model_outputs import behavior
from subtrain.explorer.data.target_choice import spread
from subtrain.study import Study
from subtrain.uses.kit.standard_errors import standard_errors
from subtrain.uses.leakage import leakage

DOTS = 400
SUBSETS = 1000
LOOKED_AT = 4096
SUSPECTS = 1000
LARGE = 20_000_000
BYTES = 64 << 20
Tables = dict[str, NDArray[Any]]
Progress = Callable[[str, int, int], None]


def tables(
    study: Study, dm: Datamodels, weight: NDArray[np.float32], progress: Progress
) -> tuple[Tables, dict[str, Any]]:
    """Arrays by name, and what is known of them as JSON. weight: float32 [T, n], target-major.

    Those of `behavior`. On held-out subsets: lds, lds_ceiling, lds_one, lds_one_ceiling, residual [T] (mean squared
    error against single runs), predicted and actual [T, S] of at most DOTS subsets; NaN or empty without any.
    in_subsets [n]: in how many of `looked_at` masks each unit is. error [T]: standard error of each weight, NaN where
    it is not known. suspect_*: pairs that may be leaked, surest first; leakage [T]: each target's highest score.
    """
    output = dm.meta.get("output") or next(iter(study.outputs))
    if output not in study.outputs or int(np.prod(study.outputs[output].shape)) != dm.targets or dm.n != study.n:
        raise InputError(
            f"the datamodels are of {dm.n} units and {dm.targets} targets of {output}, which does not fit "
            f"{study.location}"
        )
    found, models = behavior(study, output, progress)
    judged, about = _heldout(study, dm, weight, output)
    in_subsets, looked_at = _in_subsets(study)
    arrays = {**found, **judged, "in_subsets": in_subsets, "error": _errors(study, dm, judged["residual"])}
    return arrays | _suspects(dm), {"output": output, "models": models, "looked_at": looked_at, **about}


def _heldout(study: Study, dm: Datamodels, weight: NDArray[np.float32], output: str) -> tuple[Tables, dict[str, Any]]:
    names = ("lds", "lds_ceiling", "lds_one", "lds_one_ceiling")
    missing = {name: np.full(dm.targets, np.nan) for name in (*names, "residual")}
    missing["predicted"] = missing["actual"] = np.zeros((dm.targets, 0), np.float32)
    index = study.done(EVALUATION)
    try:
        observed = held_out(dm, study, index, output)
    except InputError as error:
        return missing, {"evaluation": None, "no_evaluation": str(error)}
    replicates, subsets = observed.replicates, min(observed.subsets, SUBSETS)
    index, y = observed.rows[: subsets * replicates], observed.outputs[:subsets]
    inside = study.masks(index[::replicates]).unpack().astype(np.float32)
    predicted = _products(weight, inside) + dm.bias
    alpha = float(np.mean(study.design.alpha))
    constant = dm.bias + alpha * weight.sum(axis=1, dtype=np.float64)
    mixed = np.argsort(np.random.default_rng(0).permutation(dm.n))
    found = score(
        predicted,
        y,
        output=output,
        alpha=alpha,
        baselines={
            "predicting the mean": np.broadcast_to(constant, predicted.shape),
            "random weights": _products(weight, inside[:, mixed]) + dm.bias,
        },
        models_fitted=int(dm.meta.get("models", 0)),
        left_out=observed.left_out,
    )
    found = replace(found, notes=observed.notes)
    dots = spread(np.arange(subsets), DOTS)
    arrays = {name: found.per_target[name] for name in names}
    arrays["residual"] = np.mean([((predicted - y[:, run]) ** 2).mean(axis=0) for run in range(replicates)], axis=0)
    arrays["predicted"] = predicted[dots].T.astype(np.float32)
    arrays["actual"] = y.mean(axis=1)[dots].T.astype(np.float32)
    return arrays, {"evaluation": found.to_json(), "no_evaluation": ""}


def _products(weight: NDArray[np.float32], inside: NDArray[np.float32]) -> NDArray[np.float64]:
    """inside [S, n] @ weight.T, [S, T], a block of targets at a time."""
    out = np.empty((len(inside), len(weight)))
    step = max(1, BYTES // (4 * weight.shape[1]))
    for start in range(0, len(weight), step):
        out[:, start : start + step] = inside @ weight[start : start + step].T
    return out


def _in_subsets(study: Study) -> tuple[NDArray[np.int64], int]:
    rows = spread(study.done(), LOOKED_AT)
    count = np.zeros(study.n, np.int64)
    for start in range(0, rows.size, 256):
        count += study.masks(rows[start : start + 256]).unpack().sum(axis=0)
    return count, int(rows.size)


def _errors(study: Study, dm: Datamodels, residual: NDArray[Any]) -> NDArray[Any]:
    """Standard error of every weight of each target: the fit's own, of the median unit; else from the models fitted on,
    or, where that would take too much memory or is not known for the estimator, from what held-out models leave
    unexplained, which is a little more."""
    if dm.error is not None:
        return np.array([np.median(dm.error[:, t]) for t in range(dm.targets)])
    if dm.n * dm.targets <= LARGE:
        with suppress(InputError):
            errors = standard_errors(dm, study)
            return np.where(np.isfinite(errors), errors, np.nan)
    alpha = float(np.mean(study.design.alpha))
    spread = int(dm.meta.get("models", 0)) * alpha * (1 - alpha)
    return np.sqrt(residual / spread) if spread > 0 else np.full(dm.targets, np.nan)


def _suspects(dm: Datamodels) -> Tables:
    found = leakage(dm)
    best = np.full(dm.targets, -np.inf)
    np.maximum.at(best, found.target, found.score)
    most = slice(0, SUSPECTS)
    columns = {name: getattr(found, name)[most] for name in ("target", "unit", "weight", "score", "q")}
    return {f"suspect_{name}": values for name, values in columns.items()} | {
        "leakage": np.where(np.isfinite(best), best, np.nan)
    }
