"""What a linear datamodel needs of the models: exact co-occurrence counts of units and masked sums of outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.masks import Masks, pack
from subtrain.regression.threads import Progress

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Counts:
    """Sufficient statistics of m models over n units and T targets; `a + b` is that of both sets of models.

    gram: int32 or int64 [n, n], gram[i, j] = models whose mask holds i and j, exact. ones: int64 [n], its diagonal.
    xty: float64 [n, T], outputs summed over the models that hold the unit. y_sum, y_sq, y_min, y_max: float64 [T],
    the outputs' sum, sum of squares, least and greatest value. Float16 outputs give exact xty and y_sum whenever the
    absolute outputs of a target sum to less than 2^29. In general |xty error| <= (m / 64 + 64) 2^-53 sum |y|.
    """

    m: int
    n: int
    gram: NDArray[np.signedinteger[Any]]
    ones: NDArray[np.int64]
    xty: Floats
    y_sum: Floats
    y_sq: Floats
    y_min: Floats
    y_max: Floats

    @property
    def targets(self) -> int:
        """T."""
        return int(self.xty.shape[1])

    def __repr__(self) -> str:
        return f"Counts(models={self.m}, units={self.n}, targets={self.targets})"

    def __add__(self, other: Counts) -> Counts:
        if (self.n, self.targets) != (other.n, other.targets):
            raise InputError(f"counts over different units or targets cannot be added: {self} and {other}")
        m = self.m + other.m
        return Counts(
            m=m,
            n=self.n,
            gram=np.add(self.gram, other.gram, dtype=np.int32 if m < 2**31 else np.int64),
            ones=self.ones + other.ones,
            xty=self.xty + other.xty,
            y_sum=self.y_sum + other.y_sum,
            y_sq=self.y_sq + other.y_sq,
            y_min=np.minimum(self.y_min, other.y_min),
            y_max=np.maximum(self.y_max, other.y_max),
        )


def count(
    masks: ArrayLike | Masks, outputs: ArrayLike, threads: int | None = None, progress: Progress | None = None
) -> Counts:
    """Counts of m masks [m, n] and their outputs [m, T] or [m], of any float type.

    Raises InputError, before any work, for masks and outputs of different lengths and for an output that is inf or NaN.
    """
    from subtrain.regression.stream import count_blocks

    packed, y = pack(masks), as_outputs(outputs)
    if len(packed) != len(y):
        raise InputError(f"there are {len(packed)} masks but outputs of {len(y)} models")
    check_finite(y)
    return count_blocks([(packed, y)], models=len(packed), threads=threads, progress=progress)


def as_outputs(outputs: ArrayLike) -> NDArray[Any]:
    """float16, float32 or float64 [m, T]; integers and bool become float64. Raises InputError for anything else."""
    y = np.asarray(outputs)
    if y.dtype.kind in "biu":
        y = y.astype(np.float64)
    if y.dtype.kind != "f" or y.dtype.itemsize > 8:
        raise InputError(f"outputs must be float16, float32 or float64 numbers, got dtype {y.dtype}")
    if y.ndim not in (1, 2):
        raise InputError(f"outputs must be [models] or [models, targets], got shape {list(y.shape)}")
    return y[:, None] if y.ndim == 1 else y


def check_finite(outputs: NDArray[Any], first: int = 0) -> None:
    """Raise InputError that names the first model and target whose output is inf or NaN; row 0 is model `first`."""
    bad = ~np.isfinite(outputs)
    if bad.any():
        i, t = (int(k) for k in np.argwhere(bad)[0])
        models, targets = (int(np.count_nonzero(bad.any(axis=axis))) for axis in (1, 0))
        raise InputError(
            f"the output of target {t} is {outputs[i, t]} in the model at position {first + i} "
            f"({models} models and {targets} targets have such outputs); drop or repair them"
        )
