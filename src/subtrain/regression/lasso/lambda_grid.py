"""The lambdas of a path, and whether they leave a choice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from subtrain.errors import InputError
from subtrain.system.types import Floats


def is_choice(lambdas: int | ArrayLike) -> bool:
    """Whether these are several lambdas: a number of them, or more than one value a target."""
    return bool(np.ndim(lambdas) == 0 or np.shape(lambdas)[-1] != 1)


def check_choice(lambdas: int | ArrayLike, validation: Any) -> None:
    """Refuse to choose among several lambdas without models to choose them by."""
    if validation is None and is_choice(lambdas):
        raise InputError("choosing among lambdas needs validation models; without them give one value: lambdas=[0.01]")


def lambda_grid(lambdas: int | ArrayLike, largest: Floats, eps: float) -> Floats:
    """Every target's lambdas.

    Args:
        lambdas: How many, at least 2, or their values, [k] for all targets or [T, k].
        largest: float64 [T], the first lambda of each target where only their number is given; 0 for a target without
            a path.
        eps: The last lambda over the first, between 0 and 1.

    Returns:
        float64 [T, k], decreasing; geometric where only their number is given.

    Raises:
        InputError: for values of another shape, and for values that are not positive where a target has a path.
    """
    targets = largest.size
    if np.ndim(lambdas) == 0:
        k = int(lambdas)  # type: ignore[arg-type]
        if k < 2 or not 0.0 < eps < 1.0:
            raise InputError(f"a lambda grid needs at least 2 values and 0 < eps < 1, got {k} values and eps = {eps}")
        return np.outer(largest, eps ** (np.arange(k) / (k - 1)))
    values = np.asarray(lambdas, np.float64)
    if values.ndim > 2 or values.shape[-1] == 0 or (values.ndim == 2 and len(values) != targets):
        raise InputError(f"lambdas must be a count, [k] or [{targets}, k], got shape {list(values.shape)}")
    return check_positive(-np.sort(-np.broadcast_to(values, (targets, values.shape[-1])), axis=1), largest)


def check_positive(lambdas: Floats, largest: Floats) -> Floats:
    """The same lambdas [T, k] in C order; InputError unless they are finite, and positive where largest [T] is."""
    if not np.all(np.isfinite(lambdas)) or not np.all(lambdas[largest > 0] > 0):
        raise InputError("lambdas must be positive and finite")
    return np.array(lambdas, np.float64, order="C")
