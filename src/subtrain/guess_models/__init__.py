"""`st.guess`: influence tables of some of a study's own models, computed as models are trained, by any engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.collection.keyword_checks import hands_on
from subtrain.designs.model_rows import FIT, whole_numbers
from subtrain.errors import InputError
from subtrain.guess_models.tables_study import Tables, kept
from subtrain.guesses import Guess
from subtrain.studies.stored_study import StoredStudy

__all__ = ["guess"]


@hands_on("collect")
def guess(
    study: StoredStudy,
    models: int | Sequence[int] = 50,
    output: str | None = None,
    *,
    name: str = "default",
    progress: bool = True,
    **options: Any,
) -> Guess:
    """Compute influence tables of some models that fit, and keep their sums in the study: a guess of every weight.

    Each model is trained once more from its mask and seed, and linearized around what it came to. A guess that is there
    already only gets the models it lacks. It can be interrupted and called again.

    Args:
        study: The study; some of its models are finished.
        models: How many, the first that are finished; or their numbers. Default 50.
        output: Name of the recorded output. Default None, the study's first.
        name: Name of the guess, a folder below STUDY/guesses. Default "default".
        progress: Whether to show progress. Default True.
        options: As `collect` takes them (engine, workers, …).

    Returns:
        The guess, for `SharedPrior(guess=…)`.

    Raises:
        InputError: where the task knows no influence, too few models are finished, or a model is held out.

    Example:
        >>> task = st.tasks.digits(n=30, targets=8)
        >>> study = st.Study.create(":memory:", task, st.Design(models=40))
        >>> _ = study.collect(progress=False)
        >>> made = st.guess(study, models=4, progress=False)
        >>> study.fit(estimator=st.SharedPrior(guess=made)).meta["chosen"][:5]
        'guess'
    """
    output = output or next(iter(study.outputs))
    if output not in study.outputs:
        raise InputError(f"{study.location} records no output {output!r}; it has {', '.join(study.outputs)}")
    check_task(study)
    rows = chosen_models(study, models)
    there = kept(study, name, output)
    if there is not None and not np.isin(there.meta["models"], rows).all():
        there = None
    lacking = np.setdiff1d(rows, there.meta["models"]) if there else rows
    if there is not None and not lacking.size:
        return there
    made = Tables.of(study, output, lacking, name)
    made.compute(progress, options)
    return made.keep(there)


def check_task(study: StoredStudy) -> None:
    """InputError unless the study's task can say how training on an example moves its outputs."""
    if study.imported:
        raise InputError(f"{study.location} was imported: without its task no model can be trained again for a guess")
    if getattr(study.task, "influence", None) is None:
        raise InputError(
            f"the task of {study.location} knows no influence: those of digits, mlp, cnn, logistic and ridge heads and "
            "torch_module do; give your own task a method influence(mask, seed, output), or make a table elsewhere and "
            "fit with SharedPrior(guess=TABLE) (--guess TABLE.npy)"
        )


def chosen_models(study: StoredStudy, models: int | Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of the models, ascending; InputError for held-out ones, and for more than are finished."""
    done = study.done(FIT)
    if isinstance(models, (int, np.integer)):
        if not 1 <= models <= done.size:
            raise InputError(
                f"a guess takes at least 1 and at most {done.size} models, for so many fit models of {study.location} "
                f"are finished, got {models}"
            )
        return done[: int(models)]
    rows = np.unique(whole_numbers("models", models))
    wrong = np.setdiff1d(rows, done)
    if wrong.size or not rows.size:
        which = f"model {wrong[0]} is held out or not finished" if wrong.size else "none is given"
        raise InputError(f"a guess takes finished models that fit, {which}: held-out models stay unseen")
    return rows
