"""Datamodels of a study: its finished models, minus the held-out ones, into an estimator."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from subtrain._version import __version__
from subtrain.datamodels import Datamodels
from subtrain.designs.drawn import FIT
from subtrain.errors import InputError
from subtrain.regression.counting.count_stream import count_blocks
from subtrain.regression.counting.counts import Counts, gram_kind
from subtrain.regression.counting.study_counts import counted, kept_folder
from subtrain.regression.counting.threads import Progress
from subtrain.regression.estimators.kit.pairs import Pairs
from subtrain.regression.fit_on_cluster import Mapper, count_on, mapper_of
from subtrain.regression.fit_plan import FitPlan, plan_fit
from subtrain.regression.fit_warnings import kept_warnings, warn
from subtrain.regression.lasso.zero_targets import left_out
from subtrain.regression.study_models import Models, biased, finished_models
from subtrain.studies.segments import segment_file
from subtrain.studies.stored_study import StoredStudy

Rows = NDArray[np.int64]
PATHS = "paths"


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
    study: StoredStudy,
    output: str | None = None,
    estimator: Estimator | None = None,
    *,
    outputs: str | None = None,
    drop_nonfinite: bool = False,
    keep_counts: bool = True,
    folder: Path | None = None,
    announce: Callable[[FitPlan], object] | None = None,
    progress: Progress | None = None,
    engine: str | Mapper = "local",
    address: str | None = None,
) -> Datamodels:
    """A datamodel for every target of an output, from the study's finished models; held-out models stay unseen.

    output: name of the output, by default the study's first (outputs: version 0.1's name for it). estimator: by
    default `Lasso()`. Models are read in blocks and counted, never held all at once; keep_counts leaves the counts
    in the study, so that an interrupted fit goes on, and a longer study costs its new models only. folder: where
    the caller will save, to check its disk. announce(plan) is called with what it will take before anything is
    counted, progress(stage, done, total) as it goes. engine: "local", or "ray" to count models and solve targets on
    the Ray cluster at `address`, with the same numbers. Raises InputError before any work when there is no such
    output, too few models are finished, an output is not finite (unless drop_nonfinite; a target that is so in most
    models is left out), or memory will not do. Each FitWarning, of models that are missing too, is kept in
    meta["notes"].
    """
    from subtrain.regression.estimators.lasso import Lasso

    began = time.monotonic()
    if outputs is not None:
        warnings.warn("fit(outputs=…) goes with the next release: write output=…", FutureWarning, stacklevel=2)
    models = finished_models(study, output or outputs, drop_nonfinite)
    model: Estimator = estimator if estimator is not None else Lasso()
    _check(model)
    notes = (*models.notes, *_advice(models, model))
    for note in notes:
        warn(note)
    params = model.get_params()
    share, seed = getattr(model, "splits_by", (params.get("validation"), params.get("seed", 0)))
    parts = models.parts(share, seed)
    judged = isinstance(model, Lasso) and model.takes_judges and len(parts) == 2
    plan = _plan(models, model, parts, judged, keep_counts)
    if announce:
        announce(plan)
    plan.check(folder)
    with kept_warnings() as said, left_out(models.blank), mapper_of(engine, address) as mapper:
        counts_of = partial(_count, models, keep_counts, progress, mapper)
        if judged:
            _fit_judged(models, model, parts, counts_of, keep_counts, progress, mapper)
        elif hasattr(model, "fit_models"):
            _one_choice(model, parts).fit_models(models, parts, counts_of, progress)
        else:
            _fit_counts(model, [counts_of(rows, name) for name, rows in parts.items()], progress)
    meta = _meta(models, model, params, parts) | {"seconds": round(time.monotonic() - began, 3)}
    meta["notes"] = list(dict.fromkeys((*notes, *said)))
    meta |= _choice(model)
    return Datamodels(model.weight_.astype(np.float32, copy=False), model.bias_, model.lam_, meta)


def _advice(models: Models, model: Estimator) -> tuple[str, ...]:
    from subtrain.regression.estimators.mean_difference import MeanDifference

    return biased(models) if isinstance(model, MeanDifference) else ()


def _check(model: Any) -> None:
    """Refuse what is no estimator of this package, in shape: a class, a name, an estimator of another library."""
    if isinstance(model, type) or not (hasattr(model, "fit_counts") or hasattr(model, "fit_models")):
        what = f"the class {model.__name__}: give {model.__name__}()" if isinstance(model, type) else repr(model)
        raise InputError(
            "estimator must be one of those of subtrain.regression, for example Ridge(), which fit counts of masks; "
            f"got {what}"
        )


def _plan(models: Models, model: Estimator, parts: Mapping[str, Rows], judged: bool, keep_counts: bool) -> FitPlan:
    if hasattr(model, "plan"):
        plan: FitPlan = model.plan(models, parts, keep_counts)
        return plan
    sizes = [rows.size for rows in parts.values()]
    return plan_fit(sizes, models.study.n, models.targets, judged, keep_counts, models.dtype.itemsize)


def _fit_judged(
    models: Models,
    model: Any,
    parts: Mapping[str, Rows],
    counts_of: Callable[..., Counts],
    keep: bool,
    progress: Progress | None,
    mapper: Mapper | None,
) -> None:
    """Only the fitting models are counted; the others judge as bits, and join the counts once the paths are done."""
    from subtrain.regression.estimators.lasso import with_judges

    (name, rows), (_, others) = parts.items()
    gram = gram_kind(models.study.n)
    train = counts_of(rows, name, gram)
    valid = models.judges(others)
    folder = kept_folder(models, name, gram) / PATHS if keep else None

    def total() -> Counts:
        if mapper is not None:
            return count_on(mapper, models, others, gram, train)
        return with_judges(train, valid, progress=progress)

    model.fit_counts(train, valid, total, progress=progress, keep=folder, mapper=mapper)


def _one_choice(model: Estimator, parts: Mapping[str, Rows]) -> Any:
    if len(parts) > 2:
        raise InputError(f"{type(model).__name__} cannot choose by folds: give validation as a share, for example 0.1")
    return model


def _fit_counts(model: Estimator, counts: list[Counts], progress: Progress | None) -> None:
    if len(counts) > 2:
        _folding(model).fit_folds(counts, progress=progress)
    else:
        model.fit_counts(counts[0], counts[1] if len(counts) > 1 else None, progress=progress)


def _folding(model: Estimator) -> Any:
    if not hasattr(model, "fit_folds"):
        raise InputError(f"{type(model).__name__} cannot choose by folds: give validation as a share, for example 0.1")
    return model


def _count(
    models: Models,
    keep: bool,
    progress: Progress | None,
    mapper: Mapper | None,
    rows: Rows,
    part: str,
    gram: str = "dense",
) -> Counts:
    if keep:
        return counted(models, rows, part, gram, progress, mapper)
    if mapper is not None:
        return count_on(mapper, models, rows, gram, progress=progress)
    return count_blocks(models.blocks(rows), models=rows.size, progress=progress, gram=gram)


def _meta(models: Models, model: Estimator, params: dict[str, Any], parts: Mapping[str, Rows]) -> dict[str, Any]:
    study = models.study
    return {
        "output": models.output,
        "meaning": study.outputs[models.output].meaning,
        **({"better": better} if (better := study.outputs[models.output].better) else {}),
        "scale": "raw masks",
        "sign": "a positive weight means that training on the unit raises the output",
        "alpha": study.design.alpha,
        "estimator": type(model).__name__,
        "params": {k: _plain(v) for k, v in params.items() if "__" not in k},
        "gap_max": float(np.max(model.gap_)),
        "models": int(models.rows.size),
        "models_planned": int(study.design.role_rows(FIT).size),
        "targets_left_out": list(models.blank),
        "parts": {name: int(rows.size) for name, rows in parts.items()},
        "models_used": [list(span) for span in segment_file.runs(models.rows.tolist())],
        "study": study.location,
        "study_id": study.identity,
        "subtrain": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _choice(model: Any) -> dict[str, Any]:
    """Which candidate an estimator chose, and the score of each, where it has candidates."""
    if not hasattr(model, "scores_") or not model.scores_.size:
        return {}
    scores = np.round(model.scores_, 4).tolist()
    return {"chosen": model.chosen_, "scores": dict(zip(model.candidates_, scores, strict=True))}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (Pairs, BaseEstimator)):
        return repr(value)
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
