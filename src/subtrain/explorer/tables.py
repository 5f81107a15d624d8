"""Figures of every target that the gallery sorts by and a target's page shows: one pass over a study's outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.design import EVALUATION
from subtrain.errors import InputError
from subtrain.evaluation import even_replicates, refuse_seen, score
from subtrain.explorer.figures import spread
from subtrain.explorer.heldout import quantity
from subtrain.store.study import Study

BINS = 30
DOTS = 400
SUBSETS = 1000
LOOKED_AT = 4096
BYTES = 64 << 20
Tables = dict[str, NDArray[Any]]
Progress = Callable[[str, int, int], None]


def tables(
    study: Study, dm: Datamodels, weight: NDArray[np.float32], progress: Progress
) -> tuple[Tables, dict[str, Any]]:
    """Arrays by name, and what is known of them as JSON. weight: float32 [T, n], target-major.

    Over all finished models: mean, sd, low, high [T], counts [T, BINS] (a histogram from low to high), correct [T]
    (share of models that were right; NaN where the output does not tell). On held-out subsets: lds, lds_ceiling,
    lds_one, lds_one_ceiling, residual [T] (mean squared error against single runs), predicted and actual [T, S] of at
    most DOTS subsets; NaN or empty without any. in_subsets [n]: in how many of `looked_at` masks each unit is.
    """
    output = dm.meta.get("output") or next(iter(study.outputs))
    if output not in study.outputs or int(np.prod(study.outputs[output].shape)) != dm.targets or dm.n != study.n:
        raise InputError(
            f"the datamodels are of {dm.n} units and {dm.targets} targets of {output}, which does not fit {study.where}"
        )
    found, models = _models(study, output, progress)
    judged, about = _heldout(study, dm, weight, output)
    in_subsets, looked_at = _in_subsets(study)
    return {**found, **judged, "in_subsets": in_subsets}, {
        "output": output,
        "models": models,
        "looked_at": looked_at,
        **about,
    }


def _models(study: Study, output: str, progress: Progress) -> tuple[Tables, int]:
    rows, targets = study.done(), int(np.prod(study.outputs[output].shape))
    step = max(1, BYTES // (4 * targets))
    parts = [rows[start : start + step] for start in range(0, rows.size, step)]

    def values() -> Any:
        return (study.read(output, part).reshape(len(part), -1).astype(np.float32) for part in parts)

    low, high = np.full(targets, np.inf, np.float32), np.full(targets, -np.inf, np.float32)
    total, squares, right = np.zeros(targets), np.zeros(targets), np.zeros(targets)
    threshold = {"margins": 0.0, "correctness": 0.5}.get(quantity(output))
    for number, some in enumerate(values()):
        low, high = np.fmin(low, some.min(axis=0)), np.fmax(high, some.max(axis=0))
        total += some.sum(axis=0, dtype=np.float64)
        squares += (some.astype(np.float64) ** 2).sum(axis=0)
        right += (some > (threshold or 0.0)).sum(axis=0)
        progress("outputs", number + 1, 2 * len(parts))
    counts = np.zeros((targets, BINS), np.uint32)
    width = np.where(high > low, high - low, 1)
    for number, some in enumerate(values()):
        bins = np.clip(((some - low) / width * BINS).astype(np.int64), 0, BINS - 1)
        flat = np.bincount((bins + np.arange(targets) * BINS).ravel(), minlength=targets * BINS)
        counts += flat.reshape(targets, BINS).astype(np.uint32)
        progress("outputs", len(parts) + number + 1, 2 * len(parts))
    m = max(1, rows.size)
    mean = total / m
    return {
        "mean": mean,
        "sd": np.sqrt(np.maximum(0, squares / m - mean**2)),
        "low": low,
        "high": high,
        "counts": counts,
        "correct": right / m if threshold is not None and rows.size else np.full(targets, np.nan),
    }, int(rows.size)


def _heldout(study: Study, dm: Datamodels, weight: NDArray[np.float32], output: str) -> tuple[Tables, dict[str, Any]]:
    names = ("lds", "lds_ceiling", "lds_one", "lds_one_ceiling")
    missing = {name: np.full(dm.targets, np.nan) for name in (*names, "residual")}
    missing["predicted"] = missing["actual"] = np.zeros((dm.targets, 0), np.float32)
    index = study.done(EVALUATION)
    try:
        refuse_seen(dm, study, index)
        index, subsets, replicates = even_replicates(study, index)
    except InputError as error:
        return missing, {"evaluation": None, "no_evaluation": str(error)}
    subsets = min(subsets, SUBSETS)
    index = index[: subsets * replicates]
    y = study.read(output, index).astype(np.float64).reshape(subsets, replicates, -1)
    inside = study.masks(index[::replicates]).unpack().astype(np.float32)
    predicted = _products(weight, inside) + dm.bias
    found = score(
        predicted,
        y,
        output=output,
        alpha=float(np.mean(study.design.alpha)),
        models_fitted=int(dm.meta.get("models", 0)),
    )
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
