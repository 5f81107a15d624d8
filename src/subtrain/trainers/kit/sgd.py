"""The recipe of stochastic gradient descent, and its learning rate at every step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subtrain.designs.model_rows import whole
from subtrain.errors import InputError

Array = NDArray[np.float64]

BY_UNIT, BY_POSITION = "unit", "position"


@dataclass(frozen=True)
class Sgd:
    """Minibatch SGD as PyTorch defines it: the decay joins the gradient, the momentum buffer starts at zero.

    epochs: passes over the model's subset. batch: examples a step; the last, smaller minibatch of an epoch is used
    too, and gradients are means over the minibatch as it is.
    lr: peak learning rate; schedule: "constant", "linear" or "cosine" (from lr down to 0), or "triangular" (0 up to lr,
    which is reached after the fraction `peak` of the steps, and down to 0).
    weight_decay applies to weights and biases alike; nesterov without momentum is plain SGD.
    order: of the examples in an epoch. "unit": of two examples the same one comes first in every model of one seed,
    whichever others are in its subset; "position": the places in the subset are shuffled, as version 0.1.0 did. None:
    a task goes by unit, and by position in a study that was begun so; a trainer that is called by itself, by position.
    """

    epochs: int = 20
    batch: int = 32
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.01
    schedule: str = "cosine"
    peak: float = 0.2
    nesterov: bool = True
    order: str | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            whole(name, getattr(self, name), 1)
        ranges = {
            "lr": (0 < self.lr < np.inf, "above 0"),
            "momentum": (0 <= self.momentum < 1, "at least 0 and below 1"),
            "weight_decay": (0 <= self.weight_decay < np.inf, "0 or more"),
            "peak": (0 <= self.peak < 1, "at least 0 and below 1"),
        }
        for name, (fits, wanted) in ranges.items():
            if not fits:
                raise InputError(f"{name} must be {wanted}, got {getattr(self, name)}")
        if self.schedule not in SCHEDULES:
            raise InputError(f"unknown schedule {self.schedule!r}; choose from {', '.join(SCHEDULES)}")
        check_order(self.order)

    def rates(self, examples: int) -> NDArray[np.float32]:
        """Learning rate of every step, float32 [epochs * ceil(examples / batch)], for a subset of this size.

        The schedule is read in the middle of each step, so that no step has a rate of zero.
        """
        steps = self.epochs * -(-examples // self.batch)
        middle = (np.arange(steps) + 0.5) / steps
        return (self.lr * SCHEDULES[self.schedule](middle, self.peak)).astype(np.float32)

    def damping(self, examples: int) -> float:
        """What the finite time of training, and the weight decay, add to the curvature of the summed loss: training for
        a time t moves a direction of curvature h as far as solving with h + 1 / t would."""
        time = float(self.rates(examples).sum(dtype=np.float64)) / (1 - self.momentum)
        return examples * (self.weight_decay + 1 / time)


def check_order(order: str | None) -> None:
    """Raise InputError unless it is an order of minibatches."""
    if order not in (None, BY_UNIT, BY_POSITION):
        raise InputError(f"unknown order {order!r}; choose from {BY_UNIT}, {BY_POSITION}")


def _constant(t: Array, peak: float) -> Array:
    return np.ones_like(t)


def _linear(t: Array, peak: float) -> Array:
    return 1 - t


def _cosine(t: Array, peak: float) -> Array:
    return 0.5 + 0.5 * np.cos(np.pi * t)


def _triangular(t: Array, peak: float) -> Array:
    return np.where(t < peak, t / max(peak, 1e-300), (1 - t) / (1 - peak))


SCHEDULES: dict[str, Callable[[Array, float], Array]] = {
    "constant": _constant,
    "cosine": _cosine,
    "triangular": _triangular,
    "linear": _linear,
}
