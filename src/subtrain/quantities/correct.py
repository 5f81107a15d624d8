"""Correctness: whether the correct class has the largest logit."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from subtrain.quantities.margin import margins
from subtrain.quantities.quantity import HIGHER, Float, Quantity


def correctness(logits: ArrayLike, labels: ArrayLike) -> Float:
    """1 where the correct class has the strictly largest logit, else 0; [..., N]."""
    return (margins(logits, labels) > 0).astype(np.float32)


CORRECTNESS = Quantity(
    "correctness",
    "correctness",
    "1 if the model is right about the target, else 0",
    HIGHER,
    0.5,
    correctness,
    from_classes=True,
)
