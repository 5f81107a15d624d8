"""Relabeled twins: training examples once more under another label, for masks to choose between."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.designs.model_rows import whole_numbers
from subtrain.errors import InputError
from subtrain.fingerprint import fingerprint
from subtrain.tasks.base import Source, Task
from subtrain.tasks.loading.task_factory import marked
from subtrain.tasks.watching.watched import Watched


@dataclasses.dataclass(frozen=True, eq=False)
class Twins:
    """q examples that follow the n original ones: number n + k is example units[k] with label labels[k]; int64 [q]."""

    units: NDArray[np.int64]
    labels: NDArray[np.int64]

    @staticmethod
    def of(units: ArrayLike, labels: ArrayLike, n: int, classes: int) -> Twins:
        """InputError unless there is a label below `classes` for each unit, and units are below n."""
        found = Twins(whole_numbers("units", units), whole_numbers("labels", labels))
        if found.units.size != found.labels.size or not found.units.size:
            raise InputError(f"every relabeled unit needs a label: {found.units.size} and {found.labels.size} given")
        for name, values, end in (("units", found.units, n), ("labels", found.labels, classes)):
            if values.min() < 0 or values.max() >= end:
                raise InputError(f"{name} to relabel must be in 0..{end - 1}, found {values.min()}..{values.max()}")
        return found

    def added(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Examples and labels [n + q] of examples x [n, …] and labels y [n]."""
        return np.concatenate([x, x[self.units]]), np.concatenate([y, self.labels.astype(y.dtype)])

    def watched(self, before: Watched | None) -> Watched | None:
        """What a study watches of a task with these twins."""
        if before is None:
            return None
        units, labels, old = self.units, self.labels, before.old
        return before.and_(
            {"relabelled units": units, "new labels": labels},
            (lambda: fingerprint(old(), units, labels)) if old else None,
        )


def relabelled(task: Task, units: Sequence[int], labels: Sequence[int]) -> Task:
    """The task with q twins behind its n examples: number n + k is example units[k] with label labels[k].

    What it measures stays as it is. Raises InputError for a task that has no labels of its own to change.
    """
    make = getattr(task, "relabelled", None)
    if make is None:
        raise InputError(
            f"this task ({type(task).__name__}) cannot relabel its examples: give it a method "
            "relabelled(units, labels) that returns a task with those twins behind its own examples"
        )
    found: Task = make(units, labels)
    return found


def relabelled_source(source: Source | None, units: Sequence[int], labels: Sequence[int]) -> Source | None:
    """What makes a relabeled task again, if something makes the original again."""
    if source is None:
        return None
    params = {"name": source.place, "params": dict(source.params)}
    twins = {"units": [int(u) for u in units], "labels": [int(v) for v in labels]}
    return Source("subtrain.tasks.relabel:from_source", {**params, **twins})


@marked
def from_source(name: str, params: dict[str, Any], units: list[int], labels: list[int]) -> Task:
    """The relabeled task of the task with this name and these parameters."""
    from subtrain.tasks.loading.load import load_task

    return relabelled(load_task(name, params)[0], units, labels)
