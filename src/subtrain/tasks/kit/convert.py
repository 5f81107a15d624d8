"""What people have for data, made into what trainers take, when a task is made: one refusal names the argument.

`table` is for scikit-learn, which knows frames and sparse matrices (`arrays.matrix` is for trainers of plain numbers);
`column`, `class_numbers` and `amounts` are for labels and numbers to predict.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.arrays import NUMBERS, NoArrayError, as_array, is_frame, is_sparse, missing
from subtrain.errors import InputError

IGNORED = -100  # torch's cross-entropy leaves out examples with this label


def count(x: Any) -> int:
    """Rows of an array, a frame or a sparse matrix, which has no len()."""
    return int(x.shape[0])


def rows(x: Any, index: NDArray[np.int64]) -> Any:
    """Rows by position, whatever the index of a frame is."""
    return x.iloc[index] if hasattr(x, "iloc") else x[index]


def table(name: str, x: Any) -> Any:
    """x for scikit-learn: frames stay frames, sparse matrices become csr, all else arrays; one number a row a column.

    InputError for what has no rows.
    """
    if hasattr(x, "collect") and hasattr(x, "columns"):
        x = x.collect()  # a lazy frame of polars
    if is_frame(x):
        found = x
        twice = [c for k, c in enumerate(x.columns) if c in list(x.columns)[:k]]
        if twice:
            raise InputError(f"{name} has two columns named {twice[0]!r}: give each a name of its own")
    elif is_sparse(x):
        found = x.tocsr()
    elif hasattr(x, "iloc") and x.dtype.kind not in NUMBERS:
        found = x  # a Series of texts, as vectorizers take them
    else:
        found = _array(name, x)
        if found.ndim == 1 and found.dtype.kind in NUMBERS:
            found = found[:, None]
    if len(found.shape) == 0 or count(found) == 0:
        raise InputError(f"{name} holds no examples: give at least one row")
    return found


def matching(x: Any, x_test: Any) -> Any:
    """x_test with its columns in the order of x; InputError unless both have the same."""
    if is_frame(x) != is_frame(x_test):
        kinds = f"{type(x).__name__} and {type(x_test).__name__}"
        raise InputError(f"x and x_test must be of one kind, both frames or neither, got {kinds}")
    if not is_frame(x):
        if x.shape[1:] != x_test.shape[1:]:
            raise InputError(
                f"x and x_test must have the same columns, got {list(x.shape[1:])} and {list(x_test.shape[1:])}"
            )
        return x_test
    ours, theirs = list(x.columns), list(x_test.columns)
    for name, lacking in (("x_test", set(ours) - set(theirs)), ("x", set(theirs) - set(ours))):
        if lacking:
            raise InputError(f"{name} has no column {sorted(map(str, lacking))[0]!r}, which the other has")
    return x_test if ours == theirs else x_test[ours]


def _array(name: str, x: Any) -> NDArray[Any]:
    """x as an array, of objects if it must be: scikit-learn's encoders take those."""
    try:
        return as_array(x)
    except NoArrayError as error:
        if isinstance(x, (list, tuple, np.ndarray)) and not np.ma.isMaskedArray(x):
            with suppress(ValueError):
                return np.asarray(x)
        raise InputError(f"{name} must be an array with a row for each example, got {error}") from None


def column(name: str, y: Any, examples: int, of: str = "x") -> NDArray[Any]:
    """y as one value an example [N], of any dtype; a column [N, 1] counts as that. InputError for gaps and more."""
    if is_sparse(y):
        y = y.toarray()
    if is_frame(y):
        y = y.iloc[:, 0] if y.shape[1] == 1 and hasattr(y, "iloc") else y.to_numpy()
    gaps = missing(y)
    if gaps.any():
        raise InputError(
            f"{name} lacks {gaps.sum()} of its {len(gaps)} values, the first in row {int(gaps.argmax())}: leave these "
            "examples out"
        )
    if isinstance(y, (list, tuple)):
        _check_texts(name, y)
    found = np.asarray(y) if hasattr(y, "dtype") and not hasattr(y, "detach") else _array(name, y)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1:
        raise InputError(
            f"{name} must hold one value an example, its shape is {list(found.shape)}: of one-hot rows take "
            "y.argmax(axis=1); for several values an example (multi-label) write the training as tasks.function"
        )
    if len(found) != examples:
        raise InputError(f"{of} and {name} differ in length: {examples} and {len(found)} examples")
    if found.dtype.kind in "cV":
        raise InputError(f"{name} must be labels or real numbers, got dtype {found.dtype}")
    if found.dtype.hasobject:
        _check_texts(name, found.tolist())
        found = np.array(found.tolist())
    return found


def _check_texts(name: str, values: Sequence[Any]) -> None:
    texts = sum(isinstance(value, str) for value in values)
    if 0 < texts < len(values):
        raise InputError(f"{name} must hold texts or numbers, it holds {texts} texts among {len(values)} values")


@dataclass(frozen=True, eq=False)
class ClassNumbers:
    """Labels of both splits as numbers of classes, int64; values: the label of each class, in the order of numbers."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    values: NDArray[Any]

    @property
    def count(self) -> int:
        return len(self.values)


def sorted_classes(y: NDArray[Any], y_test: NDArray[Any]) -> ClassNumbers:
    """Classes as scikit-learn has them: the sorted labels of the training examples."""
    for name, labels in (("y", y), ("y_test", y_test)):
        _check_labels(name, labels)
    values = np.unique(y)
    if len(values) < 2:
        raise InputError(f"y holds only the label {values[0].item()!r}: there must be at least 2 classes")
    check_known(values, y_test)
    return ClassNumbers(np.searchsorted(values, y), np.searchsorted(values, y_test), values)


def check_known(y: NDArray[Any], y_test: NDArray[Any], instead: str = "") -> None:
    """InputError for a test label that no training example has: a model cannot learn it, however it is trained."""
    unknown = ~np.isin(y_test, y)
    if unknown.any():
        label, row = y_test[unknown][0].item(), int(unknown.argmax())
        label = int(label) if isinstance(label, float) else label
        raise InputError(
            f"test label {label!r} never occurs in the training labels (row {row} of y_test, {unknown.sum()} in all): "
            f"leave these examples out{instead}"
        )


def class_numbers(
    y: NDArray[Any], y_test: NDArray[Any], of_module: bool = False, classes: int | None = None
) -> ClassNumbers:
    """Integers from 0 on are numbers of classes as they are; any other labels are numbered in sorted order.

    of_module: the numbers are those of a module's outputs, so integers that begin at 1 are refused, not moved. classes:
    how many there are, if that is declared; only then may a test label be one that no training example has.
    """
    for name, labels in (("y", y), ("y_test", y_test)):
        _check_labels(name, labels)
    if classes is not None:
        return _declared_classes(y, y_test, classes)
    if y.dtype.kind not in "iuf" or y_test.dtype.kind not in "iuf":
        return sorted_classes(y, y_test)
    least, most = int(min(y.min(), y_test.min())), int(max(y.max(), y_test.max()))
    if least < 0 or (least > 0 and not of_module):
        return sorted_classes(y, y_test)
    if least > 0:
        raise InputError(
            f"labels must be integers 0, 1, 2, … as a module's outputs are numbered, these are {least} to {most}: "
            f"give y - {least}, for y and y_test alike"
        )
    if most == 0:
        raise InputError("all labels are 0: there must be at least 2 classes")
    check_known(y, y_test, f", or say classes={most + 1} if models shall not know it")
    return ClassNumbers(y.astype(np.int64), y_test.astype(np.int64), np.arange(most + 1))


def _declared_classes(y: NDArray[Any], y_test: NDArray[Any], classes: int) -> ClassNumbers:
    if int(classes) != classes or classes < 2:
        raise InputError(f"classes must be a whole number of at least 2, got {classes}")
    for name, labels in (("y", y), ("y_test", y_test)):
        if labels.dtype.kind not in "iuf":
            raise InputError(f"classes={classes} needs labels 0 to {classes - 1}, {name} holds {labels[0].item()!r}")
        wrong = (labels < 0) | (labels >= classes)
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(
                f"{name} holds the label {int(labels[row])} (row {row}), but classes={classes} are numbered 0 to "
                f"{classes - 1}"
            )
    return ClassNumbers(y.astype(np.int64), y_test.astype(np.int64), np.arange(classes))


def _check_labels(name: str, labels: NDArray[Any]) -> None:
    if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        raise InputError(
            f"{name} must hold classes, but has numbers such as {labels[labels != np.floor(labels)][0]:g}: use a "
            "regressor (scikit-learn) or outputs=['test_predictions'] (PyTorch), or make classes of them"
        )
    ignored = int((labels == IGNORED).sum()) if labels.dtype.kind in "if" else 0
    if ignored:
        raise InputError(f'{name} holds the label {IGNORED}, "ignore", {ignored} times: leave these examples out')


def amounts(name: str, y: NDArray[Any]) -> NDArray[Any]:
    """Numbers to predict, or weights; InputError unless they are finite real numbers."""
    if y.dtype.kind not in NUMBERS:
        raise InputError(f"{name} must be numbers, got dtype {y.dtype}")
    infinite = ~np.isfinite(y)
    if infinite.any():
        raise InputError(f"{name} must be finite, row {int(infinite.argmax())} is {y[infinite][0]}")
    return y.astype(np.float64) if y.dtype.kind == "b" else y
