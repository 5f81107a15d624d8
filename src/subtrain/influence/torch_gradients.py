"""Gradients of a trained PyTorch module's outputs in its parameters, one example at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import functional_call, grad, vmap

from subtrain.errors import InputError
from subtrain.trainers.torch.answers import answer
from subtrain.trainers.torch.inputs import called, each, parts, pieces

# Two ways to compute numbers agree to this share of the largest; GPUs may round to ten bits on the way.
SAME = 1e-2
# Examples whose outputs are computed at a time.
AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class ModuleGradients:
    """A module in eval mode, in float32, around its trained parameters.

    model: the module. parameters: those that were trained, by name; all others, and buffers such as the running means
    of batch norm, are constants. scales: what the gradients in some are multiplied with. seen(rows): these of
    the `count` examples as the module sees them. flip: outputs are averaged with those of the image flipped.
    """

    model: Any
    parameters: dict[str, Any]
    scales: dict[str, float]
    seen: Callable[[Any], Any]
    count: int
    flip: bool = False

    @property
    def size(self) -> int:
        """Numbers in a gradient."""
        return sum(p.numel() for p in self.parameters.values())

    @property
    def matrices(self) -> list[tuple[int, int, int]]:
        """Of each parameter's gradient as a matrix: its first place in the gradient, rows and columns."""
        found, start = [], 0
        for p in self.parameters.values():
            rows = len(p) if p.ndim else 1
            found.append((start, rows, p.numel() // rows))
            start += p.numel()
        return found

    @cached_property
    def outputs(self) -> Any:
        """What the module returns for every example, [N, …]; InputError where that depends on the examples beside."""
        with torch.no_grad():
            starts = range(0, self.count, AT_ONCE)
            found = torch.cat([self._answers(self.parameters, self.seen(slice(s, s + AT_ONCE))) for s in starts])
            some = self.seen(slice(2))
            try:
                alone = torch.cat([self._answers(self.parameters, x) for x in pieces(some, 1)])
            except ValueError:  # of a batch norm without running means
                alone = torch.full_like(found[:2], torch.nan)
        if not torch.isfinite(found).all():
            raise InputError(
                "the model's logits are not finite: its training diverged, so that it has no influence table"
            )
        if not _close(alone, found[:2]):
            raise InputError(
                "the module's answer to an example depends on the other examples of its minibatch, also in eval mode, "
                "so that examples have no influence of their own: its batch norm must keep running means, and padding "
                "must not count"
            )
        return found

    @property
    def width(self) -> int:
        """Numbers that the module returns of an example."""
        return int(self.outputs[0].numel())

    @property
    def device(self) -> Any:
        """Where the module is."""
        return self.outputs.device

    def tensor(self, numbers: NDArray[Any]) -> Any:
        """As float32 there."""
        return torch.as_tensor(np.asarray(numbers, np.float32), device=self.device)

    def rows(self, owner: Any, weights: Any) -> Any:
        """Gradients [R, size] of the outputs of the examples `owner` [R], summed with these weights [R, k]."""
        return self._way(self.seen(owner), weights)

    @cached_property
    def _way(self) -> Callable[[Any, Any], Any]:
        """All rows at once, or one after the other where torch.vmap refuses the module, or is wrong about it."""
        x = self.seen(slice(2))
        weights = torch.ones((len(parts(x)[0]), self.width), device=self.device)
        try:
            found = self._at_once(x, weights)
        except Exception:
            return self._one_by_one
        return self._at_once if _close(found, self._one_by_one(x, weights)) else self._one_by_one

    def _at_once(self, x: Any, weights: Any) -> Any:
        found: Any = vmap(grad(self._weighted), in_dims=(None, 0, 0))(self.parameters, x, weights)
        return self._flat([found[name].flatten(1) for name in self.parameters])

    def _one_by_one(self, x: Any, weights: Any) -> Any:
        leaves = {name: p.detach().requires_grad_() for name, p in self.parameters.items()}
        found = torch.empty((len(weights), self.size), device=weights.device)
        for k, one in enumerate(pieces(x, 1)):
            value = self._weighted(leaves, each(lambda part: part[0], one), weights[k])
            slopes = torch.autograd.grad(value, list(leaves.values()), allow_unused=True, materialize_grads=True)
            found[k] = self._flat([slope.reshape(1, -1) for slope in slopes])[0]
        return found

    def _flat(self, slopes: list[Any]) -> Any:
        scaled = zip(self.parameters, slopes, strict=True)
        return torch.cat(
            [slope.float() * self.scales[name] if name in self.scales else slope.float() for name, slope in scaled], 1
        )

    def _weighted(self, parameters: Any, x: Any, weights: Any) -> Any:
        """The weighted sum of the outputs of one example."""
        return (self._answers(parameters, each(lambda part: part[None], x)).reshape(-1) * weights).sum()

    def _answers(self, parameters: Any, x: Any) -> Any:
        def module(*arguments: Any, **named: Any) -> Any:
            return functional_call(self.model, parameters, arguments, named)

        found = answer(called(module, x)).float()
        return (found + answer(module(x.flip(-1))).float()) / 2 if self.flip else found


def _close(one: Any, other: Any) -> bool:
    scale = float(other.abs().max()) if other.numel() else 0.0
    return bool(((one - other).abs() <= SAME * scale + 1e-6).all())
