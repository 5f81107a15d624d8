"""The recipe's optimizer."""

from __future__ import annotations

from typing import Any

import torch

from subtrain.trainers.torch.recipe import TorchRecipe


def make_optimizer(model: Any, recipe: TorchRecipe, device: Any) -> Any:
    """A torch optimizer of the module's parameters; for a captured step, a fused one with its rate on the device."""
    if callable(recipe.optimizer):
        return recipe.optimizer(model.parameters())
    graph, cuda = recipe.cuda_graph, device.type == "cuda"
    options: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "fused": cuda or graph}
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(
            _groups(model, recipe), momentum=recipe.momentum, nesterov=recipe.nesterov, **options
        )
        _start_momentum(optimizer)
    else:
        optimizer = torch.optim.AdamW(
            _groups(model, recipe), betas=(recipe.momentum, 0.999), capturable=graph and cuda, **options
        )
    if graph:
        for group in optimizer.param_groups:
            group["lr"] = torch.tensor(float(group["lr"]), device=device)
    return optimizer


def _start_momentum(optimizer: Any) -> None:
    """Zeros, as SGD means it: the fused one leaves them as found when a scaler skips its very first step."""
    for group in optimizer.param_groups:
        for parameter in group["params"] if group["momentum"] else ():
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def _groups(model: Any, recipe: TorchRecipe) -> list[dict[str, Any]]:
    if recipe.groups is not None:
        return recipe.groups(model)
    trained = [p for p in model.parameters() if p.requires_grad]
    if recipe.decay_vectors:
        return [{"params": trained}]
    vectors, rest = [p for p in trained if p.ndim < 2], [p for p in trained if p.ndim >= 2]
    groups: list[dict[str, Any]] = [{"params": rest}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
