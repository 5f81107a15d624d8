"""Features with their labels as tasks are given them, and the task of what is fitted to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.outputs import declare, from_logits, parse_name
from subtrain.tasks.base import BatchTask, View, checked_n
from subtrain.tasks.fingerprint import fingerprint
from subtrain.tasks.relabel import Twins

Labelled = tuple[NDArray[Any], NDArray[np.int64]]
Logits = list[NDArray[np.float32]]
Fit = Callable[[NDArray[np.bool_], NDArray[np.uint32]], Logits]

OUTPUTS = ("test_margins", "train_margins")


def labelled(x: ArrayLike, y: ArrayLike) -> Labelled:
    """x as a matrix [N, D], not copied, and y as int64 [N]; InputError unless they fit and labels are 0, 1, 2, …"""
    features = np.asarray(x)
    if features.ndim == 0 or len(features) == 0:
        raise InputError("there are no examples: give at least one row of features in each split")
    return features.reshape(len(features), -1), checked_labels(features, y)


def checked_labels(examples: NDArray[Any], labels: ArrayLike) -> NDArray[np.int64]:
    """The labels as integers 0, 1, 2, …, one for each example; InputError if they are not."""
    found = np.asarray(labels)
    if found.shape != (len(examples),):
        raise InputError(f"{len(examples)} examples do not fit labels of shape {list(found.shape)}")
    if found.dtype.kind not in "iu" or found.min() < 0:
        raise InputError("labels must be integers 0, 1, 2, …")
    return found.astype(np.int64)


def class_count(data: Mapping[str, Labelled]) -> int:
    """One more than the largest label of any split."""
    return int(max(part[1].max() for part in data.values())) + 1


@dataclass(frozen=True, eq=False)
class Classification:
    """Both splits of a classification problem, checked against one another, and the outputs asked for."""

    parts: dict[str, Labelled]
    classes: int
    names: list[str]
    margin: str
    twins: Twins | None = None

    @classmethod
    def of(
        cls,
        train: tuple[ArrayLike, ArrayLike],
        test: tuple[ArrayLike, ArrayLike],
        names: Sequence[str],
        margin: str,
    ) -> Classification:
        parts = {"train": labelled(*train), "test": labelled(*test)}
        columns, others = (x.shape[1] for x, _ in parts.values())
        if columns != others or columns == 0:
            raise InputError(f"both splits must have the same features, got {columns} to train and {others} to test")
        for split, (x, _) in parts.items():
            _check_numbers(split, x)
        classes = class_count(parts)
        if classes < 2:
            raise InputError("all labels are 0: there must be at least 2 classes")
        return cls(parts, classes, list(names), margin)

    @property
    def asked(self) -> list[str]:
        """The splits that the outputs are about."""
        return sorted({parse_name(name)[0] for name in self.names})

    @property
    def trained(self) -> Labelled:
        """What models are trained on: the training split, and its relabelled twins."""
        return self.twins.added(*self.parts["train"]) if self.twins else self.parts["train"]

    def frozen(self) -> Any:
        """A trainers.frozen.Frozen that evaluates the splits asked for."""
        from subtrain.trainers.frozen import frozen

        return frozen(*self.trained, [self.parts[s][0] for s in self.asked], self.classes)

    def mapped(self, function: Callable[[NDArray[Any]], NDArray[Any]]) -> Classification:
        """The same with other features."""
        return replace(self, parts={split: (function(x), y) for split, (x, y) in self.parts.items()})

    def task(
        self, kind: str, settings: Mapping[str, Any], make: Callable[[Classification], Fit], view: View | None
    ) -> BatchTask:
        """The task whose logits are make(self)(masks, seeds): [k, N, C] for each split asked for."""
        schema = declare(self.names, {s: len(y) for s, (_, y) in self.parts.items()}, self.classes, self.margin)
        arrays = [array for part in self.parts.values() for array in part]
        arrays += [self.twins.units, self.twins.labels] if self.twins else []
        about = fingerprint(kind, dict(settings), self.names, self.margin, self.classes, *arrays)
        labels = {split: self.parts[split][1] for split in self.asked}
        train = partial(_train, make(self), self.names, labels, self.margin)
        relabel = None if self.twins else partial(_with_twins, self, kind, settings, make, view)
        return BatchTask(train, checked_n(len(self.trained[1])), schema, about, view=view, relabel=relabel)


def _with_twins(
    data: Classification,
    kind: str,
    settings: Mapping[str, Any],
    make: Callable[[Classification], Fit],
    view: View | None,
    units: ArrayLike,
    labels: ArrayLike,
) -> BatchTask:
    twins = Twins.of(units, labels, len(data.parts["train"][1]), data.classes)
    return replace(data, twins=twins).task(kind, settings, make, view)


def _check_numbers(split: str, x: NDArray[Any]) -> None:
    if x.dtype.kind not in "fiub":
        raise InputError(f"the features of the {split} split must be real numbers, got dtype {x.dtype}")
    finite = np.isfinite(x).all(axis=1)
    if not finite.all():
        row = int(finite.argmin())
        raise InputError(f"the features of the {split} split must be finite, example {row} holds a NaN or infinity")


def _train(
    fit: Fit,
    names: Sequence[str],
    labels: dict[str, NDArray[np.int64]],
    margin: str,
    masks: NDArray[np.bool_],
    seeds: NDArray[np.uint32],
) -> dict[str, Any]:
    return from_logits(names, dict(zip(labels, fit(masks, seeds), strict=True)), labels, margin)
