"""A network for fast CIFAR-10 training, of the class of airbench94 (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds").

Its ideas: a first layer of 2 x 2 filters fixed to whiten the patches of the data, identity-like initial convolutions,
GELU, batch normalization with a fast running mean and no learned scale, and large rates for the normalization's biases.
Left out of the original: lookahead, freezing of the first bias, and translated copies at test time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from subtrain.trainers.torch.models.resnet9 import Scaled

PATCH = 2
BIAS_RATE = 64.0


def airbench(classes: int = 10, width: int = 64, channels: int = 3) -> Any:
    """Images [N, channels, 32, 32] to logits [N, classes]; width 64 is airbench94's network."""
    whitening = nn.Conv2d(channels, 2 * channels * PATCH**2, PATCH)
    whitening.weight.requires_grad_(False)
    return nn.Sequential(
        whitening,
        nn.GELU(),
        _group(whitening.out_channels, width),
        _group(width, 4 * width),
        _group(4 * width, 4 * width),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, classes, bias=False),
        Scaled(1 / 9),
    )


def _group(inputs: int, outputs: int) -> Any:
    """Two convolutions, halving the image between them."""
    return nn.Sequential(
        _identity_like(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)),
        nn.MaxPool2d(2),
        _shift_only(nn.BatchNorm2d(outputs, eps=1e-12, momentum=0.4)),
        nn.GELU(),
        _identity_like(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)),
        _shift_only(nn.BatchNorm2d(outputs, eps=1e-12, momentum=0.4)),
        nn.GELU(),
    )


def _identity_like(conv: Any) -> Any:
    """The first filters pass their input channel on; the others stay random."""
    passed = min(conv.out_channels, conv.in_channels)
    nn.init.dirac_(conv.weight.data[:passed])
    return conv


def _shift_only(norm: Any) -> Any:
    norm.weight.requires_grad_(False)
    return norm


def whiten(model: Any, images: torch.Tensor, eps: float = 5e-4) -> None:
    """Set the first layer to whitening filters of the images' 2 x 2 patches, and their negatives.

    They are the eigenvectors of the patches' second moments, each divided by the root of its eigenvalue + eps.
    images: normalized float32 [k, C, H, W].
    """
    patches = images.unfold(2, PATCH, 1).unfold(3, PATCH, 1).permute(0, 2, 3, 1, 4, 5)
    flat = patches.reshape(-1, images.shape[1] * PATCH**2)
    variances, vectors = torch.linalg.eigh(flat.T @ flat / len(flat))
    filters = (vectors / torch.sqrt(variances + eps)).T.flip(0).reshape(-1, images.shape[1], PATCH, PATCH)
    model[0].weight.copy_(torch.cat([filters, -filters]))


def parameter_groups(model: Any, lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Biases of the normalization learn at 64 times the rate, and decay as much a step as everything else."""
    biases: list[Any] = []
    rest: list[Any] = []
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.requires_grad:
                (biases if isinstance(module, nn.BatchNorm2d) else rest).append(parameter)
    return [
        {"params": rest, "lr": lr, "weight_decay": weight_decay},
        {"params": biases, "lr": lr * BIAS_RATE, "weight_decay": weight_decay / BIAS_RATE},
    ]
