"""What the loss of a PyTorch recipe is in terms of the module's outputs: residuals, and its curvature's factors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.func import grad, jacrev, vmap

from subtrain.errors import InputError
from subtrain.influence.losses import Array, curvature, softmax
from subtrain.trainers.torch.answers import loss_of
from subtrain.trainers.torch.recipe import TorchRecipe

TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class OutputLoss:
    """A loss of one example, around the outputs z [N, …] of a module for the labels y [N].

    residuals(z, y): minus its slope in the outputs, [N, k]. factors(z, y): vectors [N, f, k] whose outer products sum
    to its curvature there.
    """

    residuals: Callable[[Any, Any], Array]
    factors: Callable[[Any, Any], Array]


def output_loss(recipe: TorchRecipe, classes: int | None) -> OutputLoss:
    """That of a recipe; classes: None for numbers to predict."""
    if recipe.loss is not None:
        loss = partial(_of_one, loss_of(recipe, classes))
        return OutputLoss(partial(_own_residuals, loss), partial(_own_factors, loss))
    if classes is None:
        return OutputLoss(_error, _error_factors)
    return OutputLoss(partial(_classification, recipe.label_smoothing), _classification_factors)


def check_own_loss(recipe: TorchRecipe, z: Any, y: Any) -> None:
    """InputError unless an own loss takes outputs as a tensor, and is the mean of those of the examples."""
    if recipe.loss is None or len(y) < 2:
        return
    loss = loss_of(recipe, None)
    try:
        both, *each = (float(loss(z[some], y[some])) for some in (slice(2), slice(1), slice(1, 2)))
    except Exception as error:
        raise InputError(
            "influence needs a loss of logits and labels, loss(logits, y), that is one number; yours raised "
            f"{type(error).__name__}: {error}"
        ) from error
    if not abs(both - sum(each) / 2) <= TOLERANCE * max(1.0, *map(abs, each)):
        raise InputError(
            "influence needs a loss that is the mean over the examples of a minibatch; yours couples them, or is a "
            f"sum: {both:.4g} for two examples, {each[0]:.4g} and {each[1]:.4g} for each alone"
        )


def two_logits(z: Any) -> Array:
    """Logits [N, C] of outputs; of one logit, those of two classes: 0 and the logit."""
    found = _numbers(z)
    return np.concatenate([np.zeros_like(found), found], axis=1) if found.shape[1] == 1 else found


def _numbers(z: Any) -> Array:
    return np.asarray(z.reshape(len(z), -1).cpu().numpy(), np.float64)


def _error(z: Any, y: Any) -> Array:
    return 2 * (_numbers(y) - _numbers(z))


def _error_factors(z: Any, y: Any) -> Array:
    return np.full((len(z), 1, 1), np.sqrt(2))


def _classification(smoothing: float, z: Any, y: Any) -> Array:
    logits = two_logits(z)
    wanted = (1 - smoothing) * np.eye(logits.shape[1])[y.cpu().numpy()] + smoothing / logits.shape[1]
    return np.asarray((wanted - softmax(logits))[:, -z[0].numel() :])


def _classification_factors(z: Any, y: Any) -> Array:
    if z[0].numel() == 1:
        return np.asarray(np.sqrt(softmax(two_logits(z)).prod(axis=1))[:, None, None])
    return curvature(_numbers(z))


def _of_one(loss: Callable[[Any, Any], Any], z: Any, y: Any) -> Any:
    return loss(z[None], y[None])


def _own_residuals(loss: Callable[[Any, Any], Any], z: Any, y: Any) -> Array:
    return -_numbers(_for_each(grad(loss), z, y))


def _own_factors(loss: Callable[[Any, Any], Any], z: Any, y: Any) -> Array:
    """Of a loss that is not convex, only what curves up."""
    k = z[0].numel()
    sizes, axes = np.linalg.eigh(_numbers(_for_each(jacrev(grad(loss)), z, y)).reshape(len(z), k, k))
    return np.asarray(np.sqrt(np.maximum(sizes, 0))[:, :, None] * axes.transpose(0, 2, 1))


def _for_each(function: Callable[[Any, Any], Any], z: Any, y: Any) -> Any:
    try:
        return vmap(function)(z, y)
    except Exception:  # vmap refuses what looks into its numbers
        return torch.stack([function(*one) for one in zip(z, y, strict=True)])
