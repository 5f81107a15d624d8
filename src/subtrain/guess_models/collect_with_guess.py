"""`study.collect(guess=K)`: the first models are trained once, for their outputs and for their influence tables."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.collection import collect
from subtrain.collection.keyword_checks import hands_on
from subtrain.collection.tally import Collected
from subtrain.collection.workers import checkpoint
from subtrain.designs.model_rows import FIT
from subtrain.errors import InputError
from subtrain.guess_models import check_task
from subtrain.guess_models.tables_study import Tables, kept
from subtrain.studies.stored_study import StoredStudy

NAME = "default"


@hands_on("collect")
def collect_with_guess(study: StoredStudy, guess: int, *, progress: bool = True, **options: Any) -> Collected:
    """Train what is missing, and compute influence tables of the first `guess` models that fit as they are trained.

    The guess is of the study's first output, and its name is "default". If it is there and has as many models, or more,
    nothing is added to it. Models that are finished already are trained once more for their tables. It can be
    interrupted and called again.

    Args:
        study: The study.
        guess: Number of models.
        progress: Whether to show progress. Default True.
        options: As `collect` takes them (engine, workers, …).

    Returns:
        How many models are done, and how long it took.

    Raises:
        InputError: where the task knows no influence, or the study has fewer models that fit.
        CollectError: as `collect`.

    Example:
        >>> task = st.tasks.digits(n=30, targets=8)
        >>> study = st.Study.create(":memory:", task, st.Design(models=40))
        >>> study.collect(guess=4, progress=False).done
        80
        >>> study.fit(estimator=st.SharedPrior(guess="default")).meta["chosen"][:5]
        'guess'
    """
    began = time.monotonic()
    check_task(study)
    output = next(iter(study.outputs))
    there = kept(study, NAME, output)
    rows = _first(study, guess, [] if there is None else there.meta["models"])
    if rows.size:
        made = Tables.of(study, output, rows, NAME, recorded=True)
        # The segments of the study are not those of its tables.
        made.compute(progress, {name: value for name, value in options.items() if name != "segments"})
        record(study, made.recorded())
        made.keep(there)
    done = collect(study, progress=progress, **options)
    return replace(done, seconds=time.monotonic() - began)


def _first(study: StoredStudy, guess: int, there: list[int]) -> NDArray[np.int64]:
    """The models that a guess of so many lacks: those with the lowest numbers, so that a new call finds the same."""
    fits = study.design.role_rows(FIT)
    if not 1 <= guess <= fits.size:
        raise InputError(
            f"a guess takes 1 to {fits.size} models, for so many of {study.location} are to fit on, got {guess}"
        )
    return np.setdiff1d(fits, there)[: max(0, guess - len(there))]


def record(study: StoredStudy, models: Mapping[int, Mapping[str, NDArray[Any]]]) -> None:
    """Keep the outputs of these models where `collect` finds them: it commits them, and trains the rest of a segment.

    Of a segment that somebody else has committed nothing changes.
    """
    for start, stop in study.segments:
        rows = [row for row in range(start, stop) if row in models]
        if rows and (start, stop) not in study.rows.whole():
            checkpoint.save(study, (start, stop), rows, {row: dict(models[row]) for row in rows})
