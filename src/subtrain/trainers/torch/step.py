"""One step of training: eager, compiled, or captured once as a CUDA graph and replayed for every model after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from subtrain.errors import InputError
from subtrain.trainers.torch.answers import loss_of
from subtrain.trainers.torch.capture import captured
from subtrain.trainers.torch.devices import autocast
from subtrain.trainers.torch.inputs import called, each, parts
from subtrain.trainers.torch.optimizers import make_optimizer
from subtrain.trainers.torch.recipe import TorchRecipe
from subtrain.trainers.torch.reinit import renewed, zeroed


class Step:
    """A module with its optimizer and what one step costs to prepare; `begin` makes both as new for the next model."""

    def __init__(self, model: Any, recipe: TorchRecipe, device: Any, classes: int | None) -> None:
        self.recipe, self.device = recipe, device
        self.model = model.to(device).train()
        if recipe.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.forward = _compiled(self.model, recipe.compile)
        self.loss = loss_of(recipe, classes)
        self.scaler = torch.amp.GradScaler(device.type) if recipe.dtype == "float16" else None
        self._first_scale = self.scaler.state_dict() if self.scaler else None
        self._replay: Callable[[], None] | None = None
        self._remake_optimizer()

    def prepare(self, x: Any, y: Any) -> None:
        """Compile and capture on a full minibatch. It moves the weights: `begin` afterwards."""
        if self.recipe.cuda_graph:
            self._x, self._y = each(torch.clone, x), y.clone()
            self._replay = captured(lambda: self._run(self._x, self._y), self.device)
        else:
            self._run(x, y)

    def begin(self, fresh: Any) -> bool:
        """As new, with the weights of `fresh`; False where that is another kind of module."""
        if fresh is self.model:
            raise InputError("make_model must return a new module each time, it returned the one it made before")
        if not renewed(self.model, fresh):
            return False
        if callable(self.recipe.optimizer):
            self._remake_optimizer()
        else:
            zeroed(self.optimizer)
        if self.scaler:
            self.scaler.load_state_dict(self._first_scale)
        self.model.zero_grad(set_to_none=True)  # a training function of the user's may leave gradients behind
        self.model.train()
        return True

    def __call__(self, x: Any, y: Any, factor: float) -> None:
        """Descend once on a minibatch, every rate multiplied with `factor`."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate * factor)
            else:
                group["lr"] = rate * factor
        if self._replay is None or y.shape != self._y.shape:
            self._run(x, y)
        else:
            for kept, new in zip(parts(self._x), parts(x), strict=True):
                kept.copy_(new)
            self._y.copy_(y)
            self._replay()

    def _run(self, x: Any, y: Any) -> None:
        with autocast(self.recipe, self.device):
            output = called(self.forward, x)
        if isinstance(output, torch.Tensor) and output.dtype in (torch.float16, torch.bfloat16):
            output = output.float()
        loss = self.loss(output, y)
        if self.scaler is None:
            loss.backward()
            self.optimizer.step()
        else:
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        # Behind the step, not before it: a capture must begin without gradients, so that it makes its own.
        self.optimizer.zero_grad(set_to_none=True)

    def _remake_optimizer(self) -> None:
        self.optimizer = make_optimizer(self.model, self.recipe, self.device)
        self.rates = [float(group["lr"]) for group in self.optimizer.param_groups]


def _compiled(model: Any, how: bool | str) -> Any:
    if not how:
        return model
    return torch.compile(model, dynamic=False, backend="inductor" if how is True else how)
