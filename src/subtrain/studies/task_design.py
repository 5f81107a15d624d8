"""A design bound to a task: over its examples, with its labels as strata where these are asked for."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from subtrain.designs.design_protocol import AnyDesign
from subtrain.designs.samplers import Label, checked_strata
from subtrain.errors import InputError
from subtrain.tasks.base import Task

D = TypeVar("D", bound=AnyDesign)


def bound(design: D, task: Task) -> D:
    """The design over the task's examples, or over its own groups of them; InputError where the two do not fit."""
    if design.wants_strata:
        design = design.with_strata(_labels(task, design.groups))
    return design if design.groups is not None else design.for_units(task.n)


def _labels(task: Task, groups: tuple[int, ...] | None) -> tuple[Label, ...]:
    """The label of each unit: of an example its own, of a group that of all its examples."""
    labels = getattr(task, "labels", None)
    if labels is None:
        labels = getattr(getattr(task, "view", None), "labels", {}).get("train")
    if labels is None:
        raise InputError(
            "this task tells no labels to stratify by: give the class of each unit (strata=…, or --strata FILE.npy)"
        )
    found = np.asarray(checked_strata(labels))
    if groups is None:
        return tuple(found.tolist())
    units = np.asarray(groups)
    if found.size != units.size:
        raise InputError(f"groups name the unit of {units.size} examples, but the task has labels of {found.size}")
    first = np.unique(units, return_index=True)[1]
    mixed = np.flatnonzero(found != found[first][units])
    if mixed.size:
        raise InputError(
            f"unit {units[mixed[0]]} is a group of examples of several classes: give the class of each unit "
            "(strata=…, or --strata FILE.npy)"
        )
    return tuple(found[first].tolist())
