"""CIFAR-10 and data of its shape: the paper's ResNet-9, and a faster network of another kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from subtrain.tasks.base import FunctionTask
from subtrain.tasks.kit.pixels import image_data, image_task
from subtrain.tasks.loading.task_factory import task_factory
from subtrain.trainers.torch.recipe import Augment, TorchRecipe

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2023, 0.1994, 0.2010)

RESNET9 = TorchRecipe(
    epochs=24,
    batch=512,
    lr=0.5,
    momentum=0.9,
    weight_decay=5e-4,
    schedule="triangular",
    peak=5 / 24,
    label_smoothing=0.1,
    drop_last=True,
    mean=MEAN,
    std=STD,
    augment=Augment(flip=True, translate=2, cutout=4),
    flip_test=True,
    dtype="float16",
    channels_last=True,
    cuda_graph=True,
)
"""The paper's recipe. As in its data loader, an epoch leaves out what does not fill a minibatch."""

AIRBENCH = replace(
    RESNET9,
    epochs=10,
    batch=1000,
    lr=1.5,
    momentum=0.85,
    nesterov=True,
    weight_decay=1.33e-3,
    peak=0.23,
    label_smoothing=0.2,
    augment=Augment(flip=True, alternate=True, translate=2, pad="reflect"),
)
"""airbench94's settings for a mean loss: its rate of 11.5 a thousand summed examples is 1.5 a minibatch."""


@task_factory
def resnet9(
    data: str | Sequence[Any],
    n: int | None = None,
    targets: int | None = None,
    width: int = 64,
    outputs: Sequence[str] = ("test_margins",),
    margin: str = "max",
    output_dtype: str | None = None,
    **changes: Any,
) -> FunctionTask:
    """ResNet-9 with the paper's recipe (24 epochs, minibatches of 512) on the first n training images of `data`.

    data: as `pixels.image_data` reads it. changes: fields of RESNET9, the TorchRecipe, to set otherwise (epochs=1);
    its dtype is the precision of training. output_dtype: of the outputs, by default float16.
    """
    from subtrain.trainers.torch.models.resnet9 import resnet9 as network

    return image_task(
        network, image_data(data, n, targets), replace(RESNET9, **changes), width, outputs, margin, output_dtype
    )


@task_factory
def airbench(
    data: str | Sequence[Any],
    n: int | None = None,
    targets: int | None = None,
    width: int = 64,
    outputs: Sequence[str] = ("test_margins",),
    margin: str = "max",
    output_dtype: str | None = None,
    **changes: Any,
) -> FunctionTask:
    """An airbench-class network, several times cheaper than ResNet-9 and another model class: its datamodels differ.

    Arguments as for `resnet9`, changes to AIRBENCH. The whitening layer is computed from each model's own subset.
    """
    from subtrain.trainers.torch.models.airbench import airbench as network
    from subtrain.trainers.torch.models.airbench import parameter_groups, whiten

    recipe = replace(AIRBENCH, **changes)
    groups = partial(parameter_groups, lr=recipe.lr, weight_decay=recipe.weight_decay)
    recipe = replace(recipe, groups=groups, start=whiten)
    return image_task(network, image_data(data, n, targets), recipe, width, outputs, margin, output_dtype)
