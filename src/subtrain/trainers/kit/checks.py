"""What every trainer asks of labels, masks and settings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError


def subsets(masks: NDArray[np.bool_], n: int) -> Iterator[NDArray[np.int64]]:
    """Row numbers of each mask of [K, n]. Raises InputError for masks that do not fit and for an empty subset."""
    if masks.ndim != 2 or masks.shape[1] != n or masks.dtype != np.bool_:
        raise InputError(f"masks must be bool [models, {n}], got {masks.dtype} {list(masks.shape)}")
    empty = np.flatnonzero(~masks.any(axis=1))
    if empty.size:
        raise InputError(f"model {empty[0]} of these {len(masks)} has an empty subset: its mask includes no example")
    return map(np.flatnonzero, masks)


def check_labels(y: NDArray[np.integer], n: int, classes: int) -> None:
    """InputError unless y is n integers in 0..classes-1, and there are at least 2 classes."""
    if classes < 2:
        raise InputError(f"there must be at least 2 classes, got {classes}")
    if y.shape != (n,) or y.dtype.kind not in "iu":
        raise InputError(f"y must be {n} integers, got {y.dtype} {list(y.shape)}")
    if y.min() < 0 or y.max() >= classes:
        raise InputError(f"y must be in 0..{classes - 1}, found {y.min()}..{y.max()}")


def positive(name: str, value: float) -> float:
    """The value as a float; InputError unless it is finite and above 0."""
    if not isinstance(value, (int, float, np.number)) or not 0 < value < np.inf:
        raise InputError(f"{name} must be a number above 0, got {value!r}")
    return float(value)
