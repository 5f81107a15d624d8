"""Shape and memory of a small convolutional network, as compiled loops read them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from subtrain.system.kernel import contracting_kernel
from subtrain.trainers.kit import dense_layers
from subtrain.trainers.kit.dense_layers import Floats, Ints

Places = NDArray[np.int32]

CACHED = 1 << 16
"""Numbers that stay in a core's cache while they are worked on."""


class NetworkShape(NamedTuple):
    """A network's shape.

    blocks int64 [blocks, 6]: channels in and out, rows and columns of the framed input, rows and columns after pooling.
    sizes int64: widths of the dense layers, from the features to the classes.
    """

    blocks: Ints
    kernel: int
    pool: int
    sizes: Ints


class Space(NamedTuple):
    """Memory of a minibatch of at most `rows`.

    maps of all blocks, each in its own place so that their frames stay zero; their gradients; who won each pool;
    windows of a chunk of images and their products; activations of the dense layers and their gradients.
    """

    rows: int
    maps: Floats
    slopes: Floats
    winners: Places
    windows: Floats
    z: Floats
    activations: Floats
    deltas: Floats


@contracting_kernel
def frame(net: NetworkShape, b: int) -> Any:
    """Width of the frame of zeros around the map of block b."""
    return net.kernel // 2 if b < net.blocks.shape[0] - 1 else 0


@contracting_kernel
def map_size(net: NetworkShape, b: int) -> Any:
    """Numbers in the framed map of one image after block b."""
    edge = 2 * frame(net, b)
    return (net.blocks[b, 4] + edge) * (net.blocks[b, 5] + edge) * net.blocks[b, 1]


@contracting_kernel
def taps_of(net: NetworkShape, b: int) -> Any:
    """Inputs of one convolution: what its kernel sees."""
    return net.kernel * net.kernel * net.blocks[b, 0]


@contracting_kernel
def pixels_of(net: NetworkShape, b: int) -> Any:
    """Pixels of one image that are pooled."""
    return net.blocks[b, 4] * net.blocks[b, 5] * net.pool * net.pool


@contracting_kernel
def chunk_of(net: NetworkShape, b: int) -> Any:
    """Images whose windows fit the cache together."""
    return max(1, CACHED // (pixels_of(net, b) * max(taps_of(net, b), net.blocks[b, 1])))


@contracting_kernel
def space_for(net: NetworkShape, rows: int) -> Space:
    """Memory for minibatches of this many images."""
    maps = windows = z = 0
    for b in range(net.blocks.shape[0]):
        maps += rows * map_size(net, b)
        pixels = min(rows, chunk_of(net, b)) * pixels_of(net, b)
        windows = max(windows, pixels * taps_of(net, b))
        z = max(z, pixels * net.blocks[b, 1])
    width = rows * dense_layers.width(net.sizes)
    return Space(
        rows,
        np.zeros(maps, np.float32),
        np.empty(maps, np.float32),
        np.zeros(maps, np.int32),
        np.empty(windows, np.float32),
        np.empty(z, np.float32),
        np.empty(width, np.float32),
        np.empty(width, np.float32),
    )
