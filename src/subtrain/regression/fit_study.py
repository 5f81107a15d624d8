"""Datamodels of a study: its finished models, minus the held-out ones, into an estimator."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from subtrain._version import __version__
from subtrain.datamodels import Datamodels
from subtrain.designs.model_rows import FIT
from subtrain.regression.anchored_level import anchored_level
from subtrain.regression.counting.count_stream import count_blocks
from subtrain.regression.counting.counts import Counts, gram_kind
from subtrain.regression.counting.study_counts import counted, kept_folder
from subtrain.regression.counting.threads import Mapper, Progress
from subtrain.regression.designed_models import as_designed
from subtrain.regression.estimators.kit.contract import (
    COUNTS_AND_VALIDATION,
    MODELS,
    Estimator,
    Rows,
    check_declared,
    estimator_of,
    plain,
)
from subtrain.regression.estimators.kit.linear_estimator import no_folds
from subtrain.regression.fit_on_cluster import count_on, mapper_of
from subtrain.regression.fit_plan import FitPlan
from subtrain.regression.fit_warnings import kept_warnings, warn
from subtrain.regression.lasso.zero_targets import left_out
from subtrain.regression.study_models import Models, finished_models
from subtrain.studies.segments import segment_file
from subtrain.studies.stored_study import StoredStudy
from subtrain.system.user_warning import warn_user

PATHS = "paths"


def fit(
    study: StoredStudy,
    output: str | None = None,
    estimator: Estimator | str | None = None,
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
    """A datamodel for every target of an output, from a study's finished models; held-out models stay unseen.

    Models are read in blocks and counted, never held all at once. Each FitWarning is kept in meta["notes"].

    Args:
        study: The study.
        output: Name of the output. Default None, the study's first.
        estimator: How to fit, or its name on the command line, as "ridge". Default None, `Lasso()`.
        outputs: Version 0.1's name for `output`.
        drop_nonfinite: Whether models with an output that is inf or NaN are left out. Default False. A target that is
            so in most models is left out in any case.
        keep_counts: Whether the counts stay in the study, so that an interrupted fit goes on, and a longer study costs
            its new models only. Default True.
        folder: Where the caller will save, to check its disk. Default None, not checked.
        announce: Called with a `FitPlan`, what the fit will take, before anything is counted.
        progress: Called with stage, done and total as it goes.
        engine: "local" (default), or "ray" to count models and solve targets on a Ray cluster, with the same numbers.
        address: HOST:PORT of the cluster's head. Default None, RAY_ADDRESS.

    Returns:
        The datamodels; weight [n, T] is for raw 0/1 masks.

    Raises:
        InputError: before any work, where there is no such output, too few models are finished, an output is not
            finite, or memory will not do.

    Example:
        >>> import subtrain as st
        >>> outputs = st.Output([1], "float32")
        >>> task = st.tasks.function(lambda indices, seed: {"sum": [indices.sum()]}, n=8, outputs={"sum": outputs})
        >>> study = st.Study.create(":memory:", task, st.Design(models=40))
        >>> _ = study.collect(progress=False)
        >>> st.fit(study, "sum", st.Ridge()).weight[:, 0].round(1) + 0.0
        array([-3.5, -2.5, -1.5, -0.5,  0.5,  1.5,  2.5,  3.5], dtype=float32)
    """
    began = time.monotonic()
    if outputs is not None:
        warn_user("fit(outputs=…) is removed in the next release: write output=…", FutureWarning)
    model: Estimator = estimator_of(estimator)
    check_declared(model)
    models = as_designed(finished_models(study, output or outputs, drop_nonfinite), getattr(model, "takes_pairs", True))
    notes = (*models.notes, *model.look_at(models))
    for note in notes:
        warn(note)
    parts = models.parts(*model.splits_by)
    if len(parts) > 2 and not model.folds:
        raise no_folds(model)
    everything = np.unique(np.concatenate(list(parts.values())))
    plan = replace(model.plan(models, parts, keep_counts), rows=models.said(everything))
    if announce:
        announce(plan)
    plan.check(folder)
    with kept_warnings() as said, left_out(models.blank), mapper_of(engine, address) as mapper:
        _fit_parts(model, parts, _Counting(models, keep_counts, mapper, progress))
    used = models.models_in(everything)
    meta = _meta(models, parts) | about_fit(model, used) | {"seconds": round(time.monotonic() - began, 3)}
    meta["notes"] = list(dict.fromkeys((*notes, *said)))
    meta |= model.choice()
    error = getattr(model, "error_", None)
    weight = model.weight_.astype(np.float32, copy=False)
    level, about = anchored_level(models, weight, model.bias_)
    return Datamodels(weight, model.bias_, model.lam_, meta | about, error, level)


@dataclass(frozen=True)
class _Counting:
    """How a fit counts the models of a study.

    keep: whether the counts stay in the study; mapper: what counts elsewhere, None for here.
    """

    models: Models
    keep: bool
    mapper: Mapper | None
    progress: Progress | None

    def __call__(self, rows: Rows, part: str, gram: str = "dense") -> Counts:
        models, progress = self.models, self.progress
        if self.keep:
            return counted(models, rows, part, gram, progress, self.mapper)
        if self.mapper is not None:
            return count_on(self.mapper, models, rows, gram, progress=progress)
        return count_blocks(models.blocks(rows), models=rows.size, progress=progress, gram=gram)


def _fit_parts(model: Estimator, parts: Mapping[str, Rows], counting: _Counting) -> None:
    """Fit the models in the form that the estimator reads."""
    progress = counting.progress
    if getattr(model, "reads_models", model.reads == MODELS):
        model.fit_models(counting.models, parts, counting, progress)
    elif model.reads == COUNTS_AND_VALIDATION and len(parts) == 2:
        _fit_held(model, parts, counting)
    elif len(parts) > 2:
        model.fit_folds([counting(rows, name) for name, rows in parts.items()], progress)
    else:
        counts = [counting(rows, name) for name, rows in parts.items()]
        model.fit_counts(counts[0], counts[1] if len(counts) > 1 else None, progress=progress)


def _fit_held(model: Estimator, parts: Mapping[str, Rows], counting: _Counting) -> None:
    """Only the fitting models are counted; the others are held as they are, and join the counts at the end."""
    (name, rows), (_, others) = parts.items()
    models, mapper, progress = counting.models, counting.mapper, counting.progress
    gram = gram_kind(models.study.n)
    train = counting(rows, name, gram)
    validation = models.in_memory(others)
    folder = kept_folder(models, name, gram) / PATHS if counting.keep else None

    def total() -> Counts:
        if not models.validation_joins:
            return train
        if mapper is not None:
            return count_on(mapper, models, others, gram, train)
        return validation.added_to(train, progress=progress)

    model.fit_counts(train, validation, total, progress, keep=folder, mapper=mapper)


def _meta(models: Models, parts: Mapping[str, Rows]) -> dict[str, Any]:
    study = models.study
    return {
        "output": models.output,
        "meaning": study.outputs[models.output].meaning,
        **({"better": better} if (better := study.outputs[models.output].better) else {}),
        "alpha": study.design.alpha,
        "models_planned": int(study.design.role_rows(FIT).size),
        "targets_left_out": list(models.blank),
        **({"design": made} if (made := models.about()) else {}),
        "parts": {name: int(rows.size) for name, rows in parts.items()},
        "study": study.location,
        "study_id": study.identity,
    }


def about_fit(model: Estimator, rows: Rows) -> dict[str, Any]:
    """What every fit says of itself: by which estimator, on the models `rows`, when."""
    return {
        "scale": "raw masks",
        "sign": "a positive weight means that training on the unit raises the output",
        "estimator": type(model).__name__,
        "params": {name: plain(value) for name, value in model.get_params().items() if "__" not in name},
        "gap_max": float(np.max(model.gap_)),
        "models": int(rows.size),
        "models_used": [list(span) for span in segment_file.runs(rows.tolist())],
        "subtrain": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
