"""Many small convolutional networks, each on its own subset."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.trainers.kit import convolution, rng
from subtrain.trainers.kit.many_models import Floats, check_examples, check_layers, check_models, train_each
from subtrain.trainers.kit.network_shape import NetworkShape
from subtrain.trainers.kit.sgd import Sgd


def train_cnn(
    x: Floats,
    y: NDArray[np.integer],
    masks: NDArray[np.bool_],
    seeds: NDArray[np.uint32],
    evaluate: Sequence[Floats],
    *,
    classes: int,
    channels: Sequence[int] = (16, 32),
    kernel: int = 3,
    pool: int = 2,
    widths: Sequence[int] = (),
    recipe: Sgd = Sgd(),
    init: str = "own",
    init_seed: int = 0,
) -> list[Floats]:
    """Train K convolutional ReLU networks on softmax cross-entropy; their logits [K, E_s, classes], float32.

    x float32 [N, H, W] or [N, H, W, C], y [N] integers below `classes`, masks bool [K, N], seeds [K], evaluate: images
    float32 [E_s, H, W(, C)]. A network is a block for each of `channels` (convolution with an odd `kernel` and zero
    padding, max-pool of pool x pixels a side, dropping what is left over, ReLU) and dense layers with hidden `widths`.

    Order of examples, initial weights, reproducibility and errors are those of `train_mlp`. Best where channels are
    multiples of 16, or at least of 8.
    """
    net = network(np.shape(x), channels, kernel, pool, widths, classes)
    check_models(x, y, masks, seeds, classes, init, init_seed)
    check_examples(x, evaluate)
    framed = [with_frame(images, kernel) for images in (x, *evaluate)]
    start = partial(initial_parameters, net)
    return train_each(
        convolution, net, start, (framed[0], y), masks, seeds, framed[1:], classes, recipe, init, init_seed
    )


def network(
    shape: Sequence[int], channels: Sequence[int], kernel: int, pool: int, widths: Sequence[int], classes: int
) -> NetworkShape:
    """The network for images of this shape [N, H, W(, C)]; InputError if there can be none."""
    check_layers(widths, classes)
    if len(shape) not in (3, 4) or 0 in shape:
        raise InputError(f"x must be images [examples, height, width(, channels)], got shape {list(shape)}")
    if not channels or any(not _whole(c) or c < 1 for c in channels):
        raise InputError(f"channels must be whole numbers, 1 or more, one for each block, got {list(channels)}")
    if not _whole(kernel) or kernel < 1 or kernel % 2 == 0:
        raise InputError(f"kernel must be an odd number, so that padding keeps an image's size, got {kernel!r}")
    if not _whole(pool) or pool < 1:
        raise InputError(f"pool must be a whole number, 1 (no pooling) or more, got {pool!r}")
    height, width = shape[1:3]
    inputs, edge, blocks = (*shape[1:], 1)[2], 2 * (kernel // 2), []
    for outputs in channels:
        blocks.append([inputs, outputs, height + edge, width + edge, height // pool, width // pool])
        inputs, height, width = outputs, height // pool, width // pool
    if 0 in (height, width):
        raise InputError(
            f"images of {shape[1]} x {shape[2]} pixels leave nothing after {len(channels)} times pool {pool}: "
            "give fewer channels or a smaller pool"
        )
    sizes = np.array([height * width * inputs, *widths, classes], np.int64)
    return NetworkShape(np.array(blocks, np.int64), int(kernel), int(pool), sizes)


def initial_parameters(net: NetworkShape, seed: int) -> Floats:
    """Weights and biases before training, one float32 vector laid out as `trainers.kit.convolution` says.

    Uniform on ±1/sqrt(inputs of one output), as torch.nn.Conv2d and torch.nn.Linear begin.
    """
    inputs = np.concatenate([net.kernel**2 * net.blocks[:, 0], net.sizes[:-1]])
    return rng.uniform_layers(inputs, np.concatenate([net.blocks[:, 1], net.sizes[1:]]), np.uint64(seed))


def _whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def with_frame(images: Floats, kernel: int) -> Floats:
    """[N, C, H, W] with the zeros that the first convolution needs around each image."""
    planes = images.reshape(*images.shape[:3], -1).transpose(0, 3, 1, 2)
    edge = (kernel // 2, kernel // 2)
    return np.ascontiguousarray(np.pad(planes, ((0, 0), (0, 0), edge, edge)))
