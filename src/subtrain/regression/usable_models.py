"""Which models and targets made elsewhere can be fitted: outputs that are not finite, and rows that look unwritten."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from subtrain.collection.missing_models import SELECTED
from subtrain.errors import InputError

if TYPE_CHECKING:
    from subtrain.regression.study_models import Models

BLOCK = 4096
# Rows of zeros by chance, of all, from which on they say nothing.
_CHANCE = 0.01


def usable(models: Models, drop: bool) -> Models:
    """These models without what cannot be fitted, with a sentence for each kind of it.

    A target that is not finite in more than half of the models is left out: it is read as 0, and gets weights of 0.
    Of what else is not finite InputError names the first model and target, unless `drop` leaves those models out.
    Models whose outputs are all 0, where the others' never are, are counted, for they may never have been written.
    """
    seen = _look(models)
    broken = np.flatnonzero(seen.bad > models.rows.size / 2)
    if broken.size == models.targets > 1 or models.targets == 1:
        broken = broken[:0]
    notes = [_zero_note(models, seen)]
    if broken.size:
        notes.append(
            f"{broken.size:,} of {models.targets:,} targets are inf or NaN in most models (the first is target "
            f"{broken[0]}): they are left out, with weights of 0"
        )
    models = replace(models, blank=tuple(broken.tolist()))
    dropped = _dropped(models, drop) if seen.bad.sum() > seen.bad[broken].sum() else np.zeros(0, np.int64)
    if dropped.size:
        notes.append(
            f"{dropped.size:,} of {models.rows.size:,} models have an output that is inf or NaN (the first is model "
            f"{dropped[0]}) and are left out: if that depends on their subsets, those that are left are {SELECTED}"
        )
    rows = np.setdiff1d(models.rows, dropped)
    return replace(models, rows=rows, notes=tuple(note for note in notes if note), validation=_finite(models))


def _finite(models: Models) -> NDArray[np.int64] | None:
    """Validation models without those that are not finite: they only choose lambda, and others do that too."""
    own = models.validation
    if own is None:
        return None
    kept = own[np.isfinite(models.outputs_of(own)).all(axis=1)]
    return kept if kept.size > 1 else None


@dataclass(eq=False)
class _Seen:
    """bad: models that are not finite, of each target; zeros: models that are all 0; zero: other numbers that are 0."""

    bad: NDArray[np.int64]
    zeros: list[int] = field(default_factory=list)
    zero: int = 0
    distinct: set[float] = field(default_factory=set)


def _look(models: Models) -> _Seen:
    seen = _Seen(np.zeros(models.targets, np.int64))
    for start in range(0, models.rows.size, BLOCK):
        rows = models.rows[start : start + BLOCK]
        outputs = models.study.read(models.output, rows).reshape(rows.size, -1)
        seen.bad += np.count_nonzero(~np.isfinite(outputs), axis=0)
        blank = outputs == 0
        none = blank.all(axis=1)
        seen.zeros += rows[none].tolist()
        seen.zero += int(np.count_nonzero(blank[~none]))
        if len(seen.distinct) < 100:
            seen.distinct.update(outputs[~none][:, 0][:200].tolist())
    return seen


def _zero_note(models: Models, seen: _Seen) -> str:
    """Whether models of nothing but zeros are more than chance would have, for numbers that vary continuously."""
    zeros, others = len(seen.zeros), models.rows.size - len(seen.zeros)
    if not zeros or not others or models.dtype.kind != "f" or len(seen.distinct) < min(20, others // 2):
        return ""
    share = seen.zero / (others * models.targets)
    if models.rows.size * share**models.targets > _CHANCE:
        return ""
    return (
        f"the outputs of {zeros:,} of {models.rows.size:,} models are all 0 (the first is model {seen.zeros[0]}), and "
        "those of no other model are: were they never filled? They are fitted as they are"
    )


def _dropped(models: Models, drop: bool) -> NDArray[np.int64]:
    bad: list[int] = []
    for start in range(0, models.rows.size, BLOCK):
        rows = models.rows[start : start + BLOCK]
        outputs = models.read(rows)[1]
        finite = np.isfinite(outputs)
        if finite.all():
            continue
        if not drop:
            k, target = (int(v) for v in np.argwhere(~finite)[0])
            raise InputError(
                f"{models.output} of model {rows[k]} is {outputs[k, target]} at target {target}; "
                "repair it, or leave such models out with drop_nonfinite (--drop-nonfinite)"
            )
        bad += rows[~finite.all(axis=1)].tolist()
    return np.array(bad, np.int64)
