"""Where a model is trained, and how numbers are laid out there."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.system.machine import NoDeviceError
from subtrain.trainers.torch.recipe import TorchRecipe

VARIABLE = "SUBTRAIN_DEVICE"


def chosen_device(asked: str | None) -> Any:
    """SUBTRAIN_DEVICE if set (the executor sets it for each worker), else what was asked for, else cuda, else cpu."""
    name = os.environ.get(VARIABLE) or asked or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"unknown device {name!r}; use cpu, cuda or cuda:0") from None
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise NoDeviceError(f"there is no device {name}: torch {torch.__version__} sees {count} CUDA devices here")
        torch.cuda.set_device(device)
    return device


def autocast(recipe: TorchRecipe, device: Any) -> AbstractContextManager[Any]:
    """The recipe's mixed precision; float32 needs none."""
    mixed: AbstractContextManager[Any] = nullcontext()
    if recipe.dtype != "float32":
        mixed = torch.autocast(device.type, getattr(torch, recipe.dtype))
    return mixed


def sent(array: NDArray[Any] | Any, device: Any) -> Any:
    """A tensor of the array on the device. Pinned memory lets the host go on before the copy is done."""
    tensor = torch.as_tensor(np.require(array, requirements=["C", "W"]) if isinstance(array, np.ndarray) else array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
