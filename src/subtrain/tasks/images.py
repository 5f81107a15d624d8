"""Tasks of many small convolutional networks at once, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.arrays import channels_last, matrix
from subtrain.errors import InputError
from subtrain.outputs import asked
from subtrain.tasks.base import BatchTask, View
from subtrain.tasks.kit.classification import Classification, numbered
from subtrain.tasks.networks import network_tasks
from subtrain.trainers.kit.sgd import Sgd

SLOW_BATCH = 4
"""Models a call: a convolutional network takes seconds, and progress should not wait for many."""


def cnn(
    images: ArrayLike,
    y: ArrayLike,
    images_test: ArrayLike,
    y_test: ArrayLike,
    channels: Sequence[int] = (16, 32),
    kernel: int = 3,
    pool: int = 2,
    widths: Sequence[int] = (),
    recipe: Sgd | None = None,
    init: str = "own",
    outputs: Sequence[str] = ("test_margins", "train_margins"),
    margin: str = "max",
    standardize: bool = True,
    view: View | None = None,
    dtype: str | None = None,
    classes: int | None = None,
) -> BatchTask:
    """A task of convolutional ReLU networks trained by SGD: a block for each of `channels`, then hidden `widths`.

    A block convolves with an odd `kernel` and zero padding and takes the maximum of squares of `pool` pixels a side.
    images [n, H, W] or [n, H, W, C] and images_test [N, H, W(, C)]; square ones [n, C, H, W] of 1, 3 or 4 channels too.
    Labels are class numbers 0..classes-1 or anything else, numbered in sorted order; dtype: of the outputs, float16 by
    default; classes: how many, which must be said if some test label never occurs among the training labels.

    uint8 images are divided by 255 and, with `standardize`, each channel is shifted and scaled to mean 0 and standard
    deviation 1 over all n training images (the same numbers for every model); the report shows them unless a `view` is
    given. Images of any other type are used as they are, as float32. init="shared", and the recipe's order of
    minibatches, as for `mlp`.
    """
    parts = {"train": matrix("images", images), "test": matrix("images_test", images_test)}
    parts = {split: channels_last(part) for split, part in parts.items()}
    _check_images(parts)
    found = numbered(y, y_test, [len(part) for part in parts.values()], "images", classes)
    labels = {"train": found.train, "test": found.test}
    if view is None and all(part.dtype == np.uint8 for part in parts.values()):
        view = View(images=parts, labels={s: [str(found.values[v]) for v in numbers] for s, numbers in labels.items()})
    pixels = _pixels(parts, standardize)
    parts_of = {s: (pixels[s], labels[s]) for s in parts}
    data = Classification(parts_of, found.count, asked(outputs), margin, dtype)
    layers = {"channels": tuple(channels), "kernel": kernel, "pool": pool, "widths": tuple(widths)}
    _check_layers(pixels["train"].shape, layers)
    return network_tasks(data, "cnn", {**layers, "init": init}, recipe, layers, view, SLOW_BATCH)


def _check_images(parts: dict[str, NDArray[Any]]) -> None:
    train, test = (part.shape for part in parts.values())
    if len(train) not in (3, 4) or train[1:] != test[1:] or not train[0] or not test[0]:
        raise InputError(
            "images must be [n, height, width] or [n, height, width, channels], training and test images of one size; "
            f"got {list(train)} and {list(test)}"
        )


def _check_layers(shape: Sequence[int], layers: dict[str, Any]) -> None:
    """Now rather than in every worker."""
    from subtrain.trainers.cnn import network

    network(shape, **layers, classes=2)


def _pixels(parts: dict[str, NDArray[Any]], standardize: bool) -> dict[str, NDArray[np.float32]]:
    if any(part.dtype != np.uint8 for part in parts.values()):
        return {s: np.ascontiguousarray(part, np.float32) for s, part in parts.items()}
    shift, scale = 0.0, 255.0
    if standardize:
        axes = (0, 1, 2)
        shift, scale = parts["train"].mean(axis=axes), np.maximum(parts["train"].std(axis=axes), 1.0)
    return {s: np.subtract(part, shift, dtype=np.float32) / np.float32(scale) for s, part in parts.items()}
