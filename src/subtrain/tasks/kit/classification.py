"""Features with their labels as tasks are given them, and the task of what is fitted to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import methodcaller
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.arrays import is_frame, matrix
from subtrain.errors import InputError
from subtrain.fingerprint import fingerprint
from subtrain.outputs import asked, declare, from_logits
from subtrain.quantities import parse_name
from subtrain.tasks.base import BatchTask, Influence, View, checked_n
from subtrain.tasks.kit import convert
from subtrain.tasks.relabel import Twins
from subtrain.tasks.watching.walk import Walk
from subtrain.tasks.watching.watched import Known, Watched

Labeled = tuple[NDArray[Any], NDArray[np.int64]]
Logits = list[NDArray[np.float32]]
Fit = Callable[[NDArray[np.bool_], NDArray[np.uint32]], Logits]

OUTPUTS = ("test_margins", "train_margins")


def labeled(
    x: Any, y: Any, x_test: Any, y_test: Any, name: str = "x", classes: int | None = None
) -> tuple[dict[str, Labeled], int]:
    """Both splits as matrices [N, D], not copied, with class numbers int64 [N]; and the number of classes.

    Integer labels from 0 on are class numbers; others are numbered in sorted order, as scikit-learn does. InputError
    names the argument, or the column of a frame, that does not fit; `name` is that of the features. classes: as in
    `numbered`.
    """
    names = {"train": (name, "y"), "test": (f"{name}_test", "y_test")}
    if is_frame(x) and is_frame(x_test):
        x_test = convert.matching(x, x_test)
    features = {"train": matrix(name, x), "test": matrix(f"{name}_test", x_test)}
    for split, part in features.items():
        if part.ndim == 0 or len(part) == 0:
            raise InputError(f"there are no examples in {names[split][0]}: give at least one row of features")
    found = numbered(y, y_test, [len(part) for part in features.values()], name, classes)
    flat = {split: part.reshape(len(part), -1) for split, part in features.items()}
    return {"train": (flat["train"], found.train), "test": (flat["test"], found.test)}, found.count


def numbered(
    y: Any, y_test: Any, examples: Sequence[int], name: str = "x", classes: int | None = None
) -> convert.ClassNumbers:
    """Labels of both splits as class numbers; InputError unless there is one for each example, and each test label is
    one of the training labels or below `classes`."""
    train = convert.column("y", y, examples[0], name)
    test = convert.column("y_test", y_test, examples[1], f"{name}_test")
    return convert.class_numbers(train, test, classes=classes)


@dataclass(frozen=True, eq=False)
class Classification:
    """Both splits of a classification problem, checked against one another, and the outputs asked for."""

    parts: dict[str, Labeled]
    classes: int
    names: list[str]
    margin: str
    dtype: str | None = None
    twins: Twins | None = None

    @classmethod
    def of(
        cls,
        train: tuple[Any, Any],
        test: tuple[Any, Any],
        names: Sequence[str],
        margin: str,
        dtype: str | None = None,
        name: str = "x",
        declared: int | None = None,
    ) -> Classification:
        parts, classes = labeled(*train, *test, name, declared)
        columns, others = (x.shape[1] for x, _ in parts.values())
        if columns != others or columns == 0:
            raise InputError(f"both splits must have the same features, got {columns} to train and {others} to test")
        for split, (x, _) in parts.items():
            _check_numbers(split, x)
        return cls(parts, classes, asked(names), margin, dtype)

    @property
    def asked(self) -> list[str]:
        """The splits that the outputs are about."""
        return sorted({parse_name(name)[0] for name in self.names})

    @property
    def trained(self) -> Labeled:
        """What models are trained on: the training split, and its relabeled twins."""
        return self.twins.added(*self.parts["train"]) if self.twins else self.parts["train"]

    def frozen(self) -> Any:
        """A trainers.frozen.Frozen that evaluates the splits asked for."""
        from subtrain.trainers.frozen import frozen

        return frozen(*self.trained, [self.parts[s][0] for s in self.asked], self.classes)

    def mapped(self, function: Callable[[NDArray[Any]], NDArray[Any]]) -> Classification:
        """The same with other features."""
        return replace(self, parts={split: (function(x), y) for split, (x, y) in self.parts.items()})

    @property
    def arrays(self) -> list[NDArray[Any]]:
        """Everything that a fingerprint is of."""
        more = [self.twins.units, self.twins.labels] if self.twins else []
        return [array for part in self.parts.values() for array in part] + more

    def recorded(self, logits: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
        """The outputs of one model whose logits on each split asked for are [N, C]."""
        labels = {split: self.parts[split][1] for split in logits}
        return from_logits(self.names, logits, labels, self.margin)

    def task(
        self,
        kind: str,
        settings: Mapping[str, Any],
        make: Callable[[Classification], Fit],
        view: View | None,
        influence: Callable[[Classification], Influence] | None = None,
        version: int | None = None,
    ) -> BatchTask:
        """The task whose logits are make(self)(masks, seeds): [k, N, C] for each split asked for.

        A study notices that `make` has changed, and all that it names, as with `st.tasks.function`: but for code inside
        subtrain and in installed packages, which must not orphan studies with every release. There `version` stands for
        the code.

        Args:
            kind: Name of the learning algorithm.
            settings: What else it depends on, by name.
            make: Takes the data and returns the function that trains.
            view: How a person sees the examples.
            influence: Makes the task's own of the data.
            version: Of code that is not watched. Raise it when models come out otherwise than before: studies made
                with the one before are then refused. Default None, the first.
        """
        about = fingerprint(kind, dict(settings), self.names, self.margin, self.classes, *self.arrays)
        told = [kind, dict(settings), self.classes]
        again = methodcaller("task", kind, settings, make, view, version=version)
        own = influence(self) if influence else None
        fit = make(self)
        return self.task_of(fit, about, told, "features", again, view, influence=own, code=make, version=version)

    def task_of(
        self,
        fit: Fit,
        about: str,
        settings: Sequence[Any],
        name: str,
        again: Callable[[Classification], BatchTask],
        view: View | None,
        batch: int = 16,
        influence: Influence | None = None,
        code: Any = None,
        version: int | None = None,
    ) -> BatchTask:
        """The task of this fingerprint whose logits are fit(masks, seeds): [k, N, C] for each split asked for.

        settings, and the features under their `name`: parts that are watched; again: makes it of data with twins; code:
        what trains, by default `fit` with all that it holds; version: as for `task`.
        """
        sizes = {s: len(y) for s, (_, y) in self.parts.items()}
        schema = declare(self.names, sizes, self.classes, self.margin, self.dtype)
        what: dict[str, Any] = {"settings": settings, "outputs": [self.names, self.margin]}
        if version is not None:
            about, what = fingerprint(about, version), {**what, "version": version}
        watched = _watched(code or fit, about, {**what, **split_parts(self.parts, name, self.twins)})
        labels = {split: self.parts[split][1] for split in self.asked}
        train = partial(_train, fit, self.names, labels, self.margin)
        relabel = None if self.twins else partial(_with_twins, self, again)
        y = self.trained[1]
        more: dict[str, Any] = {"labels": y, "relabel": relabel, "watched": watched}
        if not self.twins:
            more["influence"] = influence
        return BatchTask(train, checked_n(len(y)), schema, "", batch=batch, view=view, **more)


def _watched(code: Any, about: str, what: Mapping[str, Any]) -> Watched:
    """The code and what else makes a task, where the code or something it holds is neither subtrain's nor installed."""
    walk = Walk()
    walk.add("train", code)
    if walk.parts:
        return Watched({"train": code, **what}, lambda: about)
    return Known(about, what, walk.packages)


def split_parts(data: Mapping[str, tuple[Any, Any]], name: str, twins: Twins | None) -> dict[str, Any]:
    """The arrays of both splits, and the relabeled twins if there are any, by the names of the arguments."""
    (x, y), (x_test, y_test) = data["train"], data["test"]
    more = {"relabelled units": twins.units, "new labels": twins.labels} if twins else {}
    return {name: x, "y": y, f"{name}_test": x_test, "y_test": y_test, **more}


def _with_twins(
    data: Classification, again: Callable[[Classification], BatchTask], units: ArrayLike, labels: ArrayLike
) -> BatchTask:
    return again(replace(data, twins=Twins.of(units, labels, len(data.parts["train"][1]), data.classes)))


def _check_numbers(split: str, x: NDArray[Any]) -> None:
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
