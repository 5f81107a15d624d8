"""What a module returns, whatever its form, and the loss that suits it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from subtrain.outputs import SchemaError
from subtrain.trainers.torch.recipe import TorchRecipe


def answer(output: Any) -> Any:
    """The logits: the tensor itself, `.logits` or "logits" of what holds several things, the first of a tuple."""
    found = output
    if getattr(output, "logits", None) is not None:
        found = output.logits
    elif isinstance(output, Mapping) and "logits" in output:
        found = output["logits"]
    elif isinstance(output, (tuple, list)) and output:
        found = output[0]
    if not isinstance(found, torch.Tensor):
        held = f" with {', '.join(map(str, output))}" if isinstance(output, Mapping) else ""
        kind = type(output).__name__
        raise SchemaError(f"the module must return a tensor, or something that holds logits, it returned {kind}{held}")
    return found


def loss_of(recipe: TorchRecipe, classes: int | None) -> Callable[[Any, Any], Any]:
    """loss(what the module returns, y); classes: None for numbers to predict."""
    own = recipe.loss
    if own is None:
        return partial(_default, classes, recipe.label_smoothing)
    torchs = isinstance(own, torch.nn.modules.loss._Loss) or getattr(own, "__module__", "") == functional.__name__
    return partial(_fitted, own) if torchs else own


def _default(classes: int | None, smoothing: float, output: Any, y: Any) -> Any:
    """Cross-entropy; of one logit, the binary one; for numbers, the mean squared error."""
    z = answer(output).float()
    if classes is None:
        if z.numel() != y.numel():
            raise SchemaError(
                f"the module of a regression gives {list(z.shape[1:])} numbers an example, declared is one"
            )
        return functional.mse_loss(z.reshape(y.shape), y)
    if z.ndim == 1 or z.shape[-1] == 1:
        check_logits(1, classes)
        share = y.float() * (1 - smoothing) + smoothing / 2
        return functional.binary_cross_entropy_with_logits(z.reshape(y.shape), share)
    check_logits(z.shape[-1], classes)
    return functional.cross_entropy(z, y, label_smoothing=smoothing)


def check_logits(given: int, classes: int) -> None:
    """SchemaError unless the logits are enough for the classes; one is enough for two."""
    if given < classes and (given, classes) != (1, 2):
        logits = "1 logit" if given == 1 else f"{given} logits"
        raise SchemaError(
            f"the module gives {logits} an example, but the labels are of {classes} classes: give {classes}"
        )


def _fitted(loss: Callable[[Any, Any], Any], output: Any, y: Any) -> Any:
    """One of torch's losses: of outputs [B, 1] the only column, and targets as numbers where the shapes agree."""
    z = answer(output)
    if z.ndim == y.ndim + 1 and z.shape[-1] == 1:
        z = z[..., 0]
    return loss(z, y.to(z.dtype) if z.shape == y.shape else y)
