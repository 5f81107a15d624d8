"""What a loss and a recorded output are in terms of logits: residuals, curvature, and slopes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.quantities import QUANTITIES, parse_name

Array = NDArray[np.float64]
STEP = 1e-4


def softmax(logits: Array) -> Array:
    """Probabilities [N, C]."""
    found = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def residuals(logits: Array, y: NDArray[np.int64]) -> Array:
    """Minus the slope of cross-entropy in the logits, [N, C]: one-hot labels less probabilities."""
    return np.asarray(np.eye(logits.shape[1])[y] - softmax(logits))


def curvature(logits: Array) -> Array:
    """Vectors [N, C, C] whose outer products sum to cross-entropy's curvature diag p - p pᵀ: √p_c (e_c - p)."""
    p = softmax(logits)
    return np.asarray(np.sqrt(p)[:, :, None] * (np.eye(p.shape[1]) - p[:, None, :]))


def sampled(factors: Array, samples: int, draws: Array) -> Array:
    """`samples` of the factors [N, f, k], scaled so that their outer products sum to the same in expectation.

    Drawn in proportion to their squared lengths, evenly spaced from one draw in 0..1 for each example, `draws` [N]:
    a factor that holds more than 1 / samples of the curvature is always among them.
    """
    sizes = np.square(factors).sum(axis=2)
    total = sizes.sum(axis=1, keepdims=True)
    ends = sizes.cumsum(axis=1) / np.maximum(total, np.finfo(float).tiny)
    at = (draws[:, None] + np.arange(samples)) / samples
    chosen = np.minimum((at[:, :, None] > ends[:, None, :]).sum(axis=2), factors.shape[1] - 1)
    scale = np.sqrt(total / samples / np.maximum(np.take_along_axis(sizes, chosen, 1), np.finfo(float).tiny))
    return np.asarray(np.take_along_axis(factors, chosen[:, :, None], 1) * scale[:, :, None])


def output_slopes(output: str, logits: Array, y: NDArray[np.int64], margin: str) -> Array:
    """The slope in the logits [N, C] of each number that an output records of an example, [N, k, C].

    Found by central differences of the output's own formula, so that it holds for every quantity. InputError for an
    output that has no formula, or no slope, as a count of right answers.
    """
    quantity = QUANTITIES[parse_name(output)[1]]
    if quantity.of is None:
        raise InputError(f"{output} has no formula in the logits, so that its influence cannot be computed")
    z = logits.astype(np.float64)
    found = []
    for c in range(z.shape[1]):
        moved = np.zeros(z.shape[1])
        moved[c] = STEP
        near = [z + sign * moved for sign in (1, -1)]
        seen = [one[:, 0] if quantity.regression and z.shape[1] == 1 else one for one in near]
        up, down = (np.asarray(quantity(one, y, margin), np.float64) for one in seen)
        found.append(((up - down) / (2 * STEP)).reshape(len(z), -1))
    slopes = np.stack(found, axis=2)
    if not slopes.any():
        raise InputError(f"{output} does not change with small changes of a model: choose another output, as margins")
    return slopes
