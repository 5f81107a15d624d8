"""Datamodels of a study: its finished models, minus the held-out ones, into an estimator."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from subtrain._version import __version__
from subtrain.datamodels import Datamodels
from subtrain.regression.counts import Counts
from subtrain.regression.kept import counted, part_name
from subtrain.regression.models import Models, finished_models
from subtrain.regression.plan import FitPlan, plan_fit
from subtrain.regression.stream import count_blocks
from subtrain.regression.threads import Progress
from subtrain.store import segment
from subtrain.store.study import Study


class Estimator(Protocol):
    """What `fit` needs of an estimator: to fit from counts, and weights [n, T] in raw-mask units."""

    weight_: NDArray[np.floating[Any]]
    bias_: NDArray[np.floating[Any]]
    lam_: NDArray[np.floating[Any]]
    gap_: NDArray[np.floating[Any]]

    def fit_counts(
        self, train: Counts, valid: Counts | None = None, total: Counts | None = None, progress: Progress | None = None
    ) -> Self: ...

    def get_params(self) -> dict[str, Any]: ...


def fit(
    study: Study,
    outputs: str | None = None,
    estimator: Estimator | None = None,
    *,
    drop_nonfinite: bool = False,
    keep_counts: bool = True,
    folder: Path | None = None,
    announce: Callable[[FitPlan], object] | None = None,
    progress: Progress | None = None,
) -> Datamodels:
    """A datamodel for every target of an output, from the study's finished models; held-out models stay unseen.

    outputs: name of the output, by default the study's first. estimator: by default `Lasso()`. Models are read in
    blocks and counted, never held all at once; keep_counts leaves the counts in the study, so that an interrupted fit
    goes on, and a longer study costs its new models only. folder: where the caller will save, to check its disk.
    announce(plan) is called with what it will take before anything is counted, progress(stage, done, total) as it
    goes. Raises InputError before any work when there is no such output, too few models are finished, an output is not
    finite (unless drop_nonfinite), or memory will not do.
    """
    from subtrain.regression.lasso import Lasso

    began = time.monotonic()
    models = finished_models(study, outputs, drop_nonfinite)
    model: Estimator = estimator if estimator is not None else Lasso()
    params = model.get_params()
    split = params.get("validation"), params.get("seed", 0)
    train, valid = models.split(*split)
    plan = plan_fit(models.rows.size, study.n, models.targets, valid.size > 0, keep_counts)
    if announce:
        announce(plan)
    plan.check(folder)
    parts = [
        _count(models, rows, part_name(role, *split), keep_counts, progress)
        for role, rows in (("fit", train), ("validation", valid))
        if rows.size
    ]
    model.fit_counts(*parts, progress=progress)
    meta = _meta(models, model, params, valid.size) | {"seconds": round(time.monotonic() - began, 3)}
    return Datamodels(model.weight_.astype(np.float32), model.bias_, model.lam_, meta)


def _count(models: Models, rows: NDArray[np.int64], part: str, keep: bool, progress: Progress | None) -> Counts:
    if keep:
        return counted(models, rows, part, progress)
    return count_blocks(models.blocks(rows), models=rows.size, progress=progress)


def _meta(models: Models, model: Estimator, params: dict[str, Any], validating: int) -> dict[str, Any]:
    study = models.study
    return {
        "output": models.output,
        "meaning": study.outputs[models.output].meaning,
        "scale": "raw masks",
        "sign": "a positive weight means that training on the unit raises the output",
        "alpha": study.design.alpha,
        "estimator": type(model).__name__,
        "params": {k: _plain(v) for k, v in params.items()},
        "gap_max": float(np.max(model.gap_)),
        "models": int(models.rows.size),
        "validation_models": int(validating),
        "models_used": [list(span) for span in segment.runs(models.rows.tolist())],
        "study": str(study.path),
        "study_id": study.identity,
        "subtrain": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
