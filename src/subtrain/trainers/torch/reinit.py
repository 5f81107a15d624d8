"""The same module made new: fresh weights copied into the storages that compiled and captured code knows."""

from __future__ import annotations

from typing import Any

import torch


def renewed(model: Any, fresh: Any) -> bool:
    """Copy all parameters and buffers of `fresh` into `model`; False, and nothing done, where they are not alike.

    Everything else a module carries (plain attributes that training changes) is not seen here.
    """
    ours, theirs = _tensors(model), _tensors(fresh)
    if ours.keys() != theirs.keys() or any(_kind(ours[name]) != _kind(theirs[name]) for name in ours):
        return False
    with torch.no_grad():
        for name, tensor in ours.items():
            tensor.copy_(theirs[name])
    return True


def is_lazy(model: Any) -> bool:
    """Whether some parameters wait for a first input to know their shape."""
    return any(isinstance(p, torch.nn.parameter.UninitializedParameter) for p in model.parameters())


def zeroed(optimizer: Any) -> None:
    """The state of an SGD or AdamW optimizer as before its first step, in place."""
    for state in optimizer.state.values():
        for value in state.values():
            if isinstance(value, torch.Tensor):
                value.zero_()


def _tensors(model: Any) -> dict[str, Any]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _kind(tensor: Any) -> Any:
    return tensor.shape, tensor.dtype, tensor.requires_grad
