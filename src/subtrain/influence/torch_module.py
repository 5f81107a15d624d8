"""Influence tables of PyTorch modules: trained again from mask and seed, then linearized.

What the model is taken for: it is in eval mode, so batch norm's running means are constants and dropout is off; its
training examples are those of the data set, without augmentation; numbers are float32, without autocast.

The damping is |S| (weight_decay + (1 - momentum) / Σ learning rates), by parameter, for SGD of every kind. AdamW, other
optimizers and own training functions have no such formula: it is a tenth of the mean curvature of a parameter there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.influence.gauss_newton import Precision
from subtrain.influence.jacobians import Floats
from subtrain.influence.losses import output_slopes
from subtrain.influence.torch_gradients import ModuleGradients
from subtrain.influence.torch_losses import check_own_loss, output_loss, two_logits
from subtrain.influence.torch_table import Around, share_of_memory, streamed_table
from subtrain.quantities import parse_name
from subtrain.trainers.torch.loop import Trainer

# Directions that curvature is written out in.
LEAST, MOST = 1024, 4096


def module_table(
    trainer: Trainer,
    labels: Mapping[str, NDArray[Any]],
    margin: str,
    mask: NDArray[np.bool_],
    seed: int,
    output: str,
    precision: Precision | None = None,
    samples: int | None = None,
) -> Floats:
    """The table [n, targets] of one model.

    Args:
        trainer: Of the task's module.
        labels: Of each split.
        margin: Which margin the output records.
        mask: The model's subset, bool [n].
        seed: Its training seed.
        output: Name of the recorded output, as test_margins.
        precision: How close to exact. Default None, as memory and the rows of the curvature allow.
        samples: Rows of the curvature for each example. Default None, in proportion to the length of training.

    Raises:
        InputError: for a module whose answers couple examples, a loss that does, and a training that diverged.
    """
    trainer.train(np.flatnonzero(mask), seed, [])
    split = parse_name(output)[0]
    dampings = parameter_dampings(trainer, int(mask.sum()))
    train = _gradients(trainer, "train", dampings, False)
    targets = _gradients(trainer, split, dampings, trainer.recipe.flip_test)
    y = trainer.data["train"][1]
    other = int((y != y[0]).byte().argmax()) or 1  # of another label: a loss may weigh labels
    check_own_loss(trainer.recipe, train.outputs[[0, other]], y[[0, other]])
    around = Around(train, output_loss(trainer.recipe, trainer.classes), y, np.flatnonzero(mask), seed)
    samples = samples or chosen_samples(around, trainer.recipe.epochs)
    precision = precision or chosen_precision(around, samples)
    z = targets.outputs
    logits = np.asarray(z.reshape(len(z), -1).cpu().numpy(), np.float64) if trainer.classes is None else two_logits(z)
    slopes = output_slopes(output, logits, labels[split], margin)[:, :, -z[0].numel() :]
    return streamed_table(around, targets, slopes, min(dampings.values()) if dampings else None, precision, samples)


def parameter_dampings(trainer: Trainer, examples: int) -> dict[str, float] | None:
    """The damping of each trained parameter; None where there is no formula for it."""
    step, recipe = trainer.step, trainer.recipe
    assert step is not None
    if recipe.train is not None or not isinstance(step.optimizer, torch.optim.SGD):
        return None
    time, of = sum(recipe.factors(examples)), {}
    for group, rate in zip(step.optimizer.param_groups, step.rates, strict=True):
        if rate * time > 0:
            added = float(group["weight_decay"]) + (1 - float(group["momentum"])) / (rate * time)
            of.update({id(p): examples * added for p in group["params"]})
    return {name: of[id(p)] for name, p in step.model.named_parameters() if id(p) in of and p.requires_grad}


def _gradients(trainer: Trainer, split: str, dampings: dict[str, float] | None, flip: bool) -> ModuleGradients:
    """Scaled so that all parameters have the least of the dampings."""
    assert trainer.step is not None
    model = trainer.step.model.eval()
    trained = {
        name: p.detach() for name, p in model.named_parameters() if (name in dampings if dampings else p.requires_grad)
    }
    if not trained:
        raise InputError("no parameter of the module was trained, so that training on an example moves nothing")
    least = min(dampings.values()) if dampings else 1.0
    scales = {name: float(np.sqrt(least / own)) for name, own in (dampings or {}).items() if own > least}
    count = len(trainer.data[split][1])
    return ModuleGradients(model, trained, scales, lambda rows: trainer.seen(split, rows), count, flip)


def chosen_samples(around: Around, epochs: int) -> int:
    """Rows of the curvature for each example: a fifth of the epochs of training, so that a table costs about as much as
    it; at most one for each output."""
    return int(np.clip(epochs // 5, 1, around.train.width))


def chosen_precision(around: Around, samples: int) -> Precision:
    """No more directions than rows of the curvature, unless these are few, and as memory allows."""
    memory = np.sqrt(share_of_memory(around.train.device) / 16)
    return Precision(0.01, int(min(MOST, memory, max(LEAST, samples * around.subset.size))))
