"""What units and training examples are called in tables: number, label, and how many examples a group has."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.quantities import split_of
from subtrain.studies.stored_study import StoredStudy

Columns = dict[str, NDArray[Any]]


def unit_columns(study: StoredStudy) -> Columns:
    """Columns of n rows: "unit"; "label" where the study stores labels (of a group: its examples' if they agree, else
    ""); "examples", how many a group has, where units are groups.
    """
    groups = unit_of_example(study)
    labels = example_labels(study, groups.size)
    if np.array_equal(groups, np.arange(study.n)):
        return {"unit": groups} | ({} if labels is None else {"label": labels})
    columns: Columns = {"unit": np.arange(study.n)}
    if labels is not None:
        columns["label"] = np.array([_common(labels[groups == unit]) for unit in range(study.n)])
    return columns | {"examples": np.bincount(groups, minlength=study.n)}


def unit_of_example(study: StoredStudy) -> NDArray[np.int64]:
    """The unit of every training example, int64 [N]: itself, or its group."""
    return np.arange(study.n, dtype=np.int64) if study.groups is None else np.asarray(study.groups, np.int64)


def example_labels(study: StoredStudy, examples: int) -> NDArray[Any] | None:
    """The training examples' labels as text [N], None where the study stores none."""
    return _labels(study, "train", examples)


def target_labels(study: StoredStudy, output: str) -> NDArray[Any] | None:
    """The labels of an output's targets as text [T], None where the study stores none."""
    return _labels(study, split_of(output), int(np.prod(study.outputs[output].shape, dtype=np.int64)))


def labels_of(study: StoredStudy, of: str, output: str) -> NDArray[Any] | None:
    """Labels as text of "units" [n], else of an output's targets [T]; None where they are not told."""
    return unit_columns(study).get("label") if of == "units" else target_labels(study, output)


def _labels(study: StoredStudy, split: str, count: int) -> NDArray[Any] | None:
    view = study.view
    labels = None if view is None else view.labels.get(split)
    return np.asarray([str(v) for v in labels]) if labels is not None and len(labels) == count else None


def own_unit(study: StoredStudy, output: str) -> NDArray[np.int64]:
    """The unit that each target of a train-set output is about, int64 [T]; InputError for other outputs."""
    units = unit_of_example(study)
    if not output.startswith("train_") or study.outputs[output].shape != units.shape:
        raise InputError(
            f"{output} is not one number a training example: give an output like train_margins, [{units.size}]"
        )
    return units


def flags(known: ArrayLike, count: int) -> NDArray[np.bool_]:
    """bool [count] of what is known to be at fault, given like that or by number; InputError for none or all of it."""
    given = np.asarray(known)
    flags = np.zeros(count, np.bool_)
    if given.dtype == np.bool_ and given.shape == (count,):
        flags = given
    elif given.dtype.kind in "iu" and given.size and given.min() >= 0 and given.max() < count:
        flags[given] = True
    if not flags.any() or flags.all():
        raise InputError(f"known must name by number some but not all of 0 to {count - 1}, or be bool [{count}]")
    return flags


def _common(labels: NDArray[Any]) -> str:
    found = np.unique(labels)
    return str(found[0]) if found.size == 1 else ""
