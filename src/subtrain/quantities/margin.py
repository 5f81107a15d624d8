"""Correct-class margins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.arrays import NoArrayError, as_array
from subtrain.errors import InputError
from subtrain.quantities.quantity import HIGHER, Float, Quantity

MARGINS = {"max": "largest other logit", "logsumexp": "logsumexp of the other logits"}


def margins(logits: ArrayLike, labels: ArrayLike, kind: str = "max") -> Float:
    """Correct-class margin: the logit of the correct class minus the other classes' (paper, section 2).

    logits [..., N, C], labels integer [N]; returns [..., N] in the logits' dtype.
    kind: "max" subtracts the largest other logit (the paper's), "logsumexp" the logsumexp of the others (TRAK's).
    """
    z, correct = _split_correct(logits, labels)
    if kind == "max":
        return np.asarray(correct - z.max(axis=-1))
    if kind == "logsumexp":
        top = z.max(axis=-1, keepdims=True)
        return np.asarray(correct - (top[..., 0] + np.log(np.exp(z - top).sum(axis=-1))))
    raise InputError(f"unknown margin {kind!r}; choose from {', '.join(MARGINS)}")


def _split_correct(logits: ArrayLike, labels: ArrayLike) -> tuple[Float, Float]:
    """A copy of the logits with the correct class at -inf, and the correct class's logits."""
    z, y = np.array(_given("logits", logits)), _given("labels", labels)
    if z.ndim < 2 or z.shape[-2] != y.shape[0]:
        raise InputError(f"logits must be [..., {y.shape[0]}, classes] for {y.shape[0]} labels, got {list(z.shape)}")
    if z.shape[-1] < 2:
        raise InputError("a margin needs logits of at least two classes")
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise InputError(f"labels must be integers [N], got {y.dtype} {list(y.shape)}")
    if y.size and (y.min() < 0 or y.max() >= z.shape[-1]):
        raise InputError(f"labels must be in 0..{z.shape[-1] - 1}, found {y.min()}..{y.max()}")
    if z.dtype.kind != "f":
        z = z.astype(np.float64)
    index = np.arange(y.shape[0])
    correct = z[..., index, y].copy()
    z[..., index, y] = -np.inf
    return z, correct


def _given(name: str, values: Any) -> NDArray[Any]:
    """Logits or labels as they come, tensors that require gradients too, as an array."""
    try:
        return as_array(values)
    except NoArrayError as error:
        raise InputError(f"{name} must be an array of numbers, got {error}") from None


MARGIN = Quantity(
    "correct-class margin",
    "margin",
    "above zero, the model is right about the target",
    HIGHER,
    0.0,
    margins,
    of_logits=True,
    variants=MARGINS,
    recorded="correct-class logit minus {variant}",
)
