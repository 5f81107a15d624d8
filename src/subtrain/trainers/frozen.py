"""Frozen features, prepared once for many heads that are each fitted on a subset of their rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.trainers.kit.checks import check_labels
from subtrain.trainers.kit.feature_passes import FeatureMoments, Floats, Ints, moments

_SLICE = 8192
_LARGEST = 1e15
"""Beyond this, sums of products of many features leave float32."""


@dataclass(frozen=True, eq=False)
class Frozen:
    """x [n, D] and evaluate [E_s, D] float32, shifted by one vector; labels y [n] below `classes`."""

    x: Floats
    y: Ints
    classes: int
    evaluate: tuple[Floats, ...]

    @cached_property
    def whole(self) -> FeatureMoments:
        """Moments of all rows."""
        return moments(self.x, self.y, self.classes, np.arange(len(self.x)))

    @cached_property
    def reach(self) -> float:
        """The largest norm of a row that will be evaluated: how much a change of the weights can move a logit."""
        return float(max((np.einsum("ij,ij->i", e, e).max() for e in (*self.evaluate, self.x)), default=0.0) ** 0.5)


def frozen(x: Any, y: NDArray[np.integer], evaluate: Sequence[Any], classes: int) -> Frozen:
    """Prepare features x [n, D], labels y [n] below `classes`, and matrices [E_s, D] to predict; any real dtype.

    All are shifted by the mean row of x, which moves nothing but the bias and keeps float32 sums exact to more places.
    A matrix that is x itself is not copied twice. Raises InputError for arrays that do not fit one another and for
    features that are not finite.
    """
    if np.ndim(x) != 2 or 0 in np.shape(x):
        raise InputError(f"features must be a matrix of examples by features, got shape {list(np.shape(x))}")
    check_labels(y, len(x), classes)
    total = np.zeros(x.shape[1])
    for part in _slices("features", x):
        total += part.sum(axis=0)
    mean = total / len(x)
    shifted = _shifted("features", x, mean)
    others = (shifted if e is x else _shifted(f"evaluate[{s}]", e, mean) for s, e in enumerate(evaluate))
    return Frozen(shifted, y.astype(np.int64), classes, tuple(others))


def one_hot(y: Ints, classes: int) -> Floats:
    """float32 [n, C]."""
    return np.eye(classes, dtype=np.float32)[y]


def _slices(name: str, x: Any) -> Iterator[NDArray[np.float64]]:
    """The rows in float64, a few at a time: x may be a memory-mapped file larger than memory in that type."""
    for start in range(0, len(x), _SLICE):
        part = np.asarray(x[start : start + _SLICE], np.float64)
        fits = (np.abs(part) <= _LARGEST).all(axis=1)
        if not fits.all():
            row = start + int(fits.argmin())
            raise InputError(f"{name} must be finite numbers below {_LARGEST:.0g}, row {row} holds another")
        yield part


def _shifted(name: str, x: Any, mean: NDArray[np.float64]) -> Floats:
    if np.ndim(x) != 2 or x.shape[1] != mean.size:
        raise InputError(f"{name} must be a matrix with {mean.size} columns, got shape {list(np.shape(x))}")
    out = np.empty(x.shape, np.float32)
    for start, part in zip(range(0, len(x), _SLICE), _slices(name, x), strict=True):
        out[start : start + len(part)] = part - mean
    return out
