"""Evaluation models: which of them can evaluate a fit, in which order, and a note of each that cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from subtrain.collection.missing_models import missing_models
from subtrain.designs.model_rows import EVALUATION, FIT
from subtrain.errors import InputError
from subtrain.studies.stored_study import StoredStudy

if TYPE_CHECKING:
    from subtrain.datamodels import Datamodels

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """rows: int64 [S R], ordered by subset; outputs: float64 [S, R, T]; left_out: targets that cannot be evaluated;
    notes: what was left out or is missing, in sentences."""

    rows: Rows
    subsets: int
    replicates: int
    outputs: NDArray[np.float64]
    left_out: Rows
    notes: tuple[str, ...]


def held_out(dm: Datamodels, study: StoredStudy, index: Rows, output: str) -> HeldOut:
    """Those of the models `index` that can evaluate these datamodels, with their outputs.

    Left out are models with the mask of one that was fitted on, and models and targets that are not finite: a target
    that is so in more than half of the models, then every model that is so in another. Raises InputError when a model
    itself was fitted on, when fewer than three subsets are left, or when the output has another number of targets.
    """
    refuse_seen(dm, study, index)
    targets = int(np.prod(study.outputs[output].shape, dtype=np.int64)) if output in study.outputs else dm.targets
    if targets != dm.targets:
        raise InputError(f"these datamodels have {dm.targets} targets, {output} has {targets}")
    used = dm.meta.get("models_used") if dm.meta.get("study_id") in (None, study.identity) else None
    fitted = np.concatenate([np.arange(a, b) for a, b in used]) if used else study.done(FIT)
    return evaluation_outputs(study, index, output, fitted, dm.meta.get("targets_left_out", []))


def evaluation_outputs(
    study: StoredStudy, index: Rows, output: str, fitted: Rows, without: Sequence[int] = ()
) -> HeldOut:
    """The same without datamodels: fitted, the models that were or will be fitted on; without, targets that were not.

    Raises InputError when fewer than three subsets are left.
    """
    fresh, note = _unseen(study, index, fitted)
    notes = [missing_models(study, EVALUATION), note]
    y = study.read(output, fresh)
    y = y.reshape(fresh.size, int(np.prod(y.shape[1:], dtype=np.int64)))
    targets = y.shape[1]
    bad = ~np.isfinite(y)
    broken = np.flatnonzero(bad.sum(axis=0) > fresh.size / 2) if bad.any() else np.zeros(0, np.int64)
    broken = broken if broken.size < targets else broken[:0]
    known = np.array(without, np.int64)
    left_out = np.union1d(broken, known[(known >= 0) & (known < targets)])
    bad[:, left_out] = False
    lost = bad.any(axis=1)
    if lost.any():
        k, t = (int(v) for v in np.argwhere(bad)[0])
        notes.append(
            f"{np.count_nonzero(lost):,} of {fresh.size:,} held-out models have an output that is inf or NaN (the "
            f"first is {output} of model {fresh[k]} at target {t}) and are left out"
        )
    if left_out.size:
        notes.append(
            f"{left_out.size:,} of {targets:,} targets (the first is target {left_out[0]}) have no datamodel, or "
            "outputs that are inf or NaN in most models: no figure counts them"
        )
    known_notes = tuple(note for note in notes if note)
    try:
        rows, subsets, replicates = even_replicates(study, fresh[~lost])
    except InputError as error:
        raise InputError("; ".join((str(error), *known_notes))) from None
    read = np.searchsorted(fresh, rows)
    outputs = y[read].astype(np.float64).reshape(subsets, replicates, -1)
    return HeldOut(
        rows, subsets, replicates, np.nan_to_num(outputs) if left_out.size else outputs, left_out, known_notes
    )


def _unseen(study: StoredStudy, index: Rows, fitted: Rows) -> tuple[Rows, str]:
    """The models whose masks are not those of models that were fitted on, and a sentence that counts the others."""
    if not study.design.may_repeat:
        return index, ""  # Draws of a design have the same mask by chance only.
    seen = np.isin(study.design.subsets(index), study.design.subsets(fitted))
    if np.count_nonzero(seen) <= _by_chance(study, index.size, fitted.size):
        return index, ""
    first = int(index[seen][0])
    return index[~seen], (
        f"{np.count_nonzero(seen):,} of {index.size:,} held-out models have the same mask as one that was fitted on "
        f"(the first is model {first}) and are left out: the datamodels have seen them"
    )


def _by_chance(study: StoredStudy, heldout: int, fitted: int) -> float:
    """How many held-out masks may well be among the fitted ones where both are random subsets of a few units."""
    alpha, n = float(np.mean(study.design.alpha)), study.n
    same = max((alpha**2 + (1 - alpha) ** 2) ** n, 1 / comb(n, round(alpha * n)))
    expected = heldout * min(1.0, fitted * same)
    return float(expected + 3 * np.sqrt(expected))


def refuse_seen(dm: Datamodels, study: StoredStudy, index: NDArray[np.int64]) -> None:
    """InputError if one of these models was used to fit the datamodels or to choose λ."""
    if dm.meta.get("study_id") not in (None, study.identity):
        return
    for start, stop in dm.meta.get("models_used", []):
        seen = index[(index >= start) & (index < stop)]
        if seen.size:
            raise InputError(
                f"model {seen[0]} (and {seen.size - 1} more) was used to fit these datamodels or to choose λ; "
                "judge on held-out models only"
            )


def even_replicates(study: StoredStudy, index: NDArray[np.int64]) -> tuple[NDArray[np.int64], int, int]:
    """Rows ordered by subset, the number of subsets, and of replicates of each.

    Where subsets differ in how many replicates are there, those with the count that covers most models are kept.
    """
    subsets = study.design.subsets(index)
    _, inverse, counts = np.unique(subsets, return_inverse=True, return_counts=True)
    subsets_with = np.bincount(counts)
    subsets_with[subsets_with < 3] = 0
    if subsets_with.any():
        replicates = int(np.argmax(subsets_with * np.arange(subsets_with.size)))
        kept = counts == replicates
        rows = np.flatnonzero(kept[inverse])
        order = rows[np.argsort(inverse[rows], kind="stable")]
        return index[order], int(kept.sum()), replicates
    raise InputError(
        f"{counts.size} finished held-out subsets are too few to judge on: collect them, "
        "or extend the study by more (at least 3, better 100 or more)"
    )
