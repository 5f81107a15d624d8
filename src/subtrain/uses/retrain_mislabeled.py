"""Retraining with some units mislabeled, each job with its own units and labels, all in one study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.collection.keyword_checks import hands_on
from subtrain.collection.workers import task_message
from subtrain.designs.drawn import numbers_below, whole_numbers
from subtrain.errors import InputError
from subtrain.studies.trust import Making
from subtrain.study import Study
from subtrain.tasks.base import Task
from subtrain.tasks.relabel import relabelled, relabelled_source
from subtrain.uses.retrain import Retrained, retrain, task_of


@dataclass(frozen=True)
class Mislabeling:
    """These units get these labels instead of their own, in training only."""

    units: Sequence[int]
    labels: Sequence[int]


@hands_on("retrain", taken=("source",))
def retrain_mislabeled(
    study: Study, jobs: Sequence[Mislabeling], runs: int = 1, *, task: Task | None = None, **options: Any
) -> Retrained:
    """Train `runs` models on the whole training set with each job's units under its labels; a job without units is the
    control.

    All jobs share one task: the study's with a twin behind its examples for every pair of unit and label that occurs;
    a job's mask holds the original of every other unit and the twins of its own. options: as for `retrain`. Raises
    InputError when units are groups, a unit is mislabeled twice in a job, or the task cannot relabel.
    """
    base = task or task_of(study)
    if study.groups is not None:
        raise InputError("only single examples can be relabeled; the units of this study are groups of them")
    pairs = [_pairs(job, study.n) for job in jobs]
    if not any(part.size for part in pairs):
        raise InputError("no job mislabels anything: give at least one unit and its new label")
    twins = np.unique(np.concatenate(pairs), axis=0)
    masks = np.zeros((len(jobs), study.n + len(twins)), bool)
    masks[:, : study.n] = True
    number = {(int(unit), int(label)): study.n + k for k, (unit, label) in enumerate(twins)}
    for mask, part in zip(masks, pairs, strict=True):
        mask[part[:, 0]] = False
        mask[[number[int(unit), int(label)] for unit, label in part]] = True
    units, labels = twins.T.tolist()
    making = task_message.making_of(study) if task is None else None
    source = relabelled_source(getattr(base, "source", None) if making is None else making.source, units, labels)
    again = None if source is None else Making(source, own=making is None or making.own)
    return retrain(study, masks, runs, task=relabelled(base, units, labels), source=again, **options)


def _pairs(job: Mislabeling, n: int) -> NDArray[np.int64]:
    """int64 [q, 2] of units and labels."""
    units, labels = numbers_below("units", job.units, n), whole_numbers("labels", job.labels)
    if units.size != labels.size or np.unique(units).size != units.size:
        raise InputError("a job names each of its units once, with one label for each")
    return np.stack([units, labels], axis=1)
