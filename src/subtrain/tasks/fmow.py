"""Data of the shape of FMoW (satellite images, 224 x 224, 62 kinds of places): ResNet-18."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from subtrain.tasks.base import FunctionTask
from subtrain.tasks.kit.pixels import image_data, image_task
from subtrain.tasks.loading.task_factory import task_factory
from subtrain.trainers.torch.recipe import Augment, TorchRecipe

RESNET18 = TorchRecipe(
    epochs=15,
    batch=512,
    lr=0.4,
    momentum=0.9,
    weight_decay=5e-4,
    schedule="triangular",
    peak=1 / 3,
    drop_last=True,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    augment=Augment(flip=True),
    dtype="float16",
    channels_last=True,
    cuda_graph=True,
)
"""Epochs, minibatch and peak rate are the paper's; the rest is not published with it and our choice."""


@task_factory
def resnet18(
    data: str | Sequence[Any],
    n: int | None = None,
    targets: int | None = None,
    width: int = 64,
    outputs: Sequence[str] = ("test_margins",),
    margin: str = "max",
    output_dtype: str | None = None,
    **changes: Any,
) -> FunctionTask:
    """ResNet-18 on the first n training images of `data`, images of any one size.

    data: as `pixels.image_data` reads it. changes: fields of RESNET18, the TorchRecipe, to set otherwise (epochs=1);
    its dtype is the precision of training. output_dtype: of the outputs, by default float16.
    """
    from subtrain.trainers.torch.models.resnet18 import resnet18 as network

    return image_task(
        network, image_data(data, n, targets), replace(RESNET18, **changes), width, outputs, margin, output_dtype
    )
