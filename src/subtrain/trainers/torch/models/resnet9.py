"""ResNet-9 as the paper trained it on CIFAR-10: KakaoBrain's torchskeleton variant, known from ffcv's CIFAR example."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Residual(nn.Module):  # type: ignore[misc]
    """x + body(x)."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> Any:
        return x + self.body(x)


class Scaled(nn.Module):  # type: ignore[misc]
    """factor * x."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> Any:
        return x * self.factor


def resnet9(classes: int = 10, width: int = 64, channels: int = 3) -> Any:
    """Images [N, channels, 32, 32] to logits [N, classes]; width 64 is the paper's network.

    Two 3 x 3 residual blocks at 128 and 256 channels, ReLU and batch normalization behind every convolution, a global
    maximum, and a linear layer without bias whose logits are scaled by 0.2.
    """

    def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, padding: int = 1) -> Any:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
        )

    def block(size: int) -> Any:
        return Residual(nn.Sequential(conv(size, size), conv(size, size)))

    w = width
    return nn.Sequential(
        conv(channels, w),
        conv(w, 2 * w, kernel=5, stride=2, padding=2),
        block(2 * w),
        conv(2 * w, 4 * w),
        nn.MaxPool2d(2),
        block(4 * w),
        conv(4 * w, 2 * w, padding=0),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * w, classes, bias=False),
        Scaled(0.2),
    )
