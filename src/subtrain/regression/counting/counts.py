"""What a linear datamodel needs of the models: exact co-occurrence counts of units and masked sums of outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.system.types import Floats

# The fields of `Counts` that hold one number a target.
OF_OUTPUTS = ("y_sum", "y_sq", "y_min", "y_max", "y_dev")
# Rows of outputs checked at a time, so that the check of a memory map takes no memory to speak of.
CHECKED = 1024


@dataclass(frozen=True, eq=False)
class Counts:
    """All that a linear datamodel needs of models over n units with T targets; `count` makes it.

    The sum of two is that of both sets of models. Float16 outputs give exact xty and y_sum whenever the absolute
    outputs of a target sum to less than 2^28. In general |xty error| <= (m / 64 + 64) 2^-53 sum |y|.

    Example:
        >>> from subtrain.regression import count
        >>> part = count([[1, 1, 0], [1, 0, 1]], [2.0, 3.0])
        >>> part + part
        Counts(models=4, units=3, targets=1)
        >>> part.gram[0].tolist(), part.xty[:, 0].tolist()
        ([2, 1, 1], [5.0, 2.0, 3.0])
    """

    m: int
    """Models."""
    n: int
    """Units."""
    gram: Any
    """int32 or int64 [n, n], or a `CompactGram`: how many masks hold both units, exact; [0, 0] where left out."""
    ones: NDArray[np.int64]
    """int64 [n], how many masks hold the unit: the Gram's diagonal."""
    xty: Floats
    """float64 [n, T], the outputs summed over the models that hold the unit."""
    y_sum: Floats
    """float64 [T], the outputs' sum."""
    y_sq: Floats
    """float64 [T], the sum of their squares."""
    y_min: Floats
    """float64 [T], the least output."""
    y_max: Floats
    """float64 [T], the greatest output."""
    y_dev: Floats = field(default_factory=lambda: np.zeros(0))
    """float64 [T], their squared deviations from their mean, summed: y_sq loses these where outputs lie far from zero.
    By default what y_sq and y_sum give."""

    def __post_init__(self) -> None:
        if not self.y_dev.size:
            spread = self.y_sq - self.y_sum**2 / max(self.m, 1)
            object.__setattr__(self, "y_dev", np.where(self.y_min < self.y_max, np.maximum(spread, 0.0), 0.0))

    @property
    def targets(self) -> int:
        """T."""
        return int(self.xty.shape[1])

    @property
    def constant_units(self) -> NDArray[np.int64]:
        """The units that are in every mask or in none, int64."""
        return np.flatnonzero((self.ones == 0) | (self.ones == self.m))

    @property
    def sums(self) -> Sums:
        """What `joint_deviation` takes."""
        return Sums(self.m, self.y_sum, self.y_dev)

    def add_outputs(self, at: slice, before: int, some: Sums, square: Floats, least: Floats, most: Floats) -> None:
        """Add, in place, sums over other models to those of the targets `at`, which are of `before` models."""
        self.y_dev[at] = joint_deviation(Sums(before, self.y_sum[at], self.y_dev[at]), some)
        self.y_sum[at] += some.y_sum
        self.y_sq[at] += square
        np.minimum(self.y_min[at], least, out=self.y_min[at])
        np.maximum(self.y_max[at], most, out=self.y_max[at])

    def __repr__(self) -> str:
        return f"Counts(models={self.m}, units={self.n}, targets={self.targets})"

    def __add__(self, other: Counts) -> Counts:
        if (self.n, self.targets) != (other.n, other.targets):
            raise InputError(f"counts over different units or targets cannot be added: {self} and {other}")
        m = self.m + other.m
        return Counts(
            m=m,
            n=self.n,
            gram=self._gram_with(other),
            ones=self.ones + other.ones,
            xty=self.xty + other.xty,
            y_sum=self.y_sum + other.y_sum,
            y_sq=self.y_sq + other.y_sq,
            y_min=np.minimum(self.y_min, other.y_min),
            y_max=np.maximum(self.y_max, other.y_max),
            y_dev=joint_deviation(self.sums, other.sums),
        )

    def _gram_with(self, other: Counts) -> Any:
        if len(self.gram) != len(other.gram):
            raise InputError(f"counts with and without a Gram cannot be added: {self} and {other}")
        if isinstance(self.gram, np.ndarray) or isinstance(other.gram, np.ndarray):
            return np.add(self.gram, other.gram, dtype=np.int32 if self.m + other.m < 2**31 else np.int64)
        return self.gram + other.gram


class Sums(NamedTuple):
    """Of the outputs of m models, as in `Counts`: [T]."""

    m: int
    y_sum: Floats
    y_dev: Floats


def joint_deviation(a: Sums, b: Sums) -> Floats:
    """y_dev [T] of the models of both (Chan, Golub & LeVeque 1983): nothing cancels, however far from zero they lie."""
    apart = a.y_sum / max(a.m, 1) - b.y_sum / max(b.m, 1)
    return np.asarray(a.y_dev + b.y_dev + apart**2 * (a.m * b.m / max(a.m + b.m, 1)))


def gram_kind(n: int) -> str:
    """The kind of Gram that suits n units: "dense", or "compact" where a dense one takes more than 256 MB."""
    return "dense" if 4 * n * n <= 2**28 else "compact"


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
    parts = [outputs[start : start + CHECKED] for start in range(0, len(outputs), CHECKED)]
    if all(_finite(part) for part in parts):
        return
    places = [np.argwhere(~np.isfinite(part)) + np.array([CHECKED * k, 0]) for k, part in enumerate(parts)]
    bad = np.concatenate(places)
    i, t = (int(k) for k in bad[0])
    models, targets = (np.unique(bad[:, axis]).size for axis in (0, 1))
    raise InputError(
        f"the output of target {t} is {outputs[i, t]} in the model at position {first + i} "
        f"({models} models and {targets} targets have such outputs); repair them, or leave such models out "
        "(drop_nonfinite, finite_models)"
    )


def _finite(outputs: NDArray[Any]) -> bool:
    if outputs.dtype == np.float16 and outputs.dtype.isnative:
        # Several times faster than isfinite, which widens float16: only inf and NaN have every bit of the exponent.
        bits = outputs.view(np.uint16) & np.uint16(0x7C00)
        return bool(bits.max(initial=0) < 0x7C00)
    return bool(np.isfinite(outputs).all())
