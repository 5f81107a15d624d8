"""Images out of resident memory: gathered, flipped, moved, normalized and cut, a whole chunk of examples at once.

All random numbers come from a generator on the CPU, so that an example is changed alike on every device.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from subtrain.errors import InputError
from subtrain.trainers.torch.devices import sent
from subtrain.trainers.torch.recipe import Augment, TorchRecipe


@dataclass(frozen=True)
class Draws:
    """What happens to each of k images: flip bool [k]; move and cut, int64 [k, 2], first rows, then columns."""

    flip: Any
    move: Any
    cut: Any

    def part(self, where: Any) -> Draws:
        return Draws(self.flip[where], self.move[where], self.cut[where])

    def to(self, device: Any) -> Draws:
        return Draws(sent(self.flip, device), sent(self.move, device), sent(self.cut, device))


def draw(augment: Augment, flips: Any, size: tuple[int, int], generator: Any) -> Draws:
    """Draws for one epoch of images of `size` (height, width); `flips` as `first_flips` gives them, in their order."""
    count, reach = len(flips), augment.translate
    move = torch.randint(-reach, reach + 1, (count, 2), generator=generator)
    flip = flips if augment.alternate else first_flips(augment, count, generator)
    free = [side - augment.cutout + 1 for side in size]
    if min(free) < 1 or reach >= min(size):
        raise InputError(f"images of {size[0]} x {size[1]} are too small for {augment}")
    cut = torch.stack([torch.randint(0, room, (count,), generator=generator) for room in free], dim=1)
    return Draws(flip, move, cut)


def first_flips(augment: Augment, count: int, generator: Any) -> Any:
    """Which examples the first epoch flips, bool [count]."""
    if not augment.flip:
        return torch.zeros(count, dtype=torch.bool)
    return torch.randint(0, 2, (count,), generator=generator) == 1


def augmented(images: Any, rows: Any, draws: Draws, recipe: TorchRecipe) -> Any:
    """images[rows] flipped, then moved, normalized, and cut: float [k, C, H, W]."""
    _, channels, height, width = images.shape
    device = images.device
    y, inside_y = _source(height, draws.move[:, 0], recipe.augment, device)
    x, inside_x = _source(width, draws.move[:, 1], recipe.augment, device)
    x = torch.where(draws.flip[:, None], width - 1 - x, x)
    channel = torch.arange(channels, device=device)
    taken = images[rows[:, None, None, None], channel[:, None, None], y[:, None, :, None], x[:, None, None, :]]
    shown = inside_y[:, :, None] & inside_x[:, None, :]
    if recipe.augment.cutout:
        cut_y, cut_x = (_within(side, draws.cut[:, i], recipe.augment, device) for i, side in ((0, height), (1, width)))
        shown &= ~(cut_y[:, :, None] & cut_x[:, None, :])
    return laid_out(normalized(taken, recipe).masked_fill(~shown[:, None], 0), recipe)


def _source(side: int, move: Any, augment: Augment, device: Any) -> tuple[Any, Any]:
    """Where each pixel along an axis comes from, int64 [k, side], and whether that is inside the picture."""
    at = torch.arange(side, device=device) + move[:, None]
    if augment.pad == "reflect":
        return side - 1 - (side - 1 - at.abs()).abs(), torch.ones_like(at, dtype=torch.bool)
    return at.clamp(0, side - 1), (at >= 0) & (at < side)


def _within(side: int, start: Any, augment: Augment, device: Any) -> Any:
    at = torch.arange(side, device=device)
    return (at >= start[:, None]) & (at < start[:, None] + augment.cutout)


def normalized(x: Any, recipe: TorchRecipe) -> Any:
    """uint8 images as numbers: (x / 255 - mean) / std a channel, in the recipe's dtype. Other inputs as they are."""
    if x.dtype != torch.uint8 or x.ndim != 4:
        return x
    x = x.float().div_(255)
    if recipe.mean is not None:
        x.sub_(_per_channel(tuple(recipe.mean), x.device))
    if recipe.std is not None:
        x.div_(_per_channel(tuple(recipe.std), x.device))
    return x.to(getattr(torch, recipe.dtype))


@cache
def _per_channel(numbers: tuple[float, ...], device: Any) -> Any:
    return torch.tensor(numbers, dtype=torch.float32, device=device).view(-1, 1, 1)


def laid_out(x: Any, recipe: TorchRecipe) -> Any:
    """4-D tensors in the recipe's memory layout."""
    return x.contiguous(memory_format=torch.channels_last) if recipe.channels_last and x.ndim == 4 else x
