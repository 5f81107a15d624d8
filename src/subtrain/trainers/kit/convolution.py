"""Compiled loops of small convolutional networks: blocks of convolution, bias, max-pool, ReLU, then dense layers.

A block convolves with zero padding, so that a map keeps its size, and pools windows that do not overlap; rows and
columns left over at the lower and right edge are dropped. ReLU and pooling commute, so only winners are rectified.

Parameters are one float32 vector: block by block the weights [outputs, kernel, kernel, inputs] in row order, then the
biases; then the dense layers as `trainers.kit.dense_layers` says, over features in the order row, column, channel. The
maps of a minibatch are one vector as well, block by block [examples, rows, columns, channels], each with the frame of
zeros that the next convolution needs.

Forward, a block is a matrix product over its windows. Backward, pooling hands a gradient to one pixel of pool**2, and
ReLU to fewer still, so that visiting those alone beats the products.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from subtrain.system.kernel import contracting_kernel
from subtrain.trainers.kit import dense_layers
from subtrain.trainers.kit.dense_layers import Floats, Ints
from subtrain.trainers.kit.gradients import block_gradient, first_gradient
from subtrain.trainers.kit.network_shape import (
    CACHED,
    NetworkShape,
    Places,
    Space,
    chunk_of,
    map_size,
    pixels_of,
    space_for,
    taps_of,
)
from subtrain.trainers.kit.pooling import pool_maps
from subtrain.trainers.kit.windows import image_windows, map_windows

_CHUNK = 32
_ZERO = np.float32(0)


@contracting_kernel
def descend(
    images: Floats,
    y: Ints,
    order: Places,
    batch: int,
    net: NetworkShape,
    parameters: Floats,
    rates: Floats,
    momentum: Any,
    decay: Any,
    nesterov: bool,
) -> None:
    """Train one network in place on the framed images [N, C, H, W] of `order` [epochs, subset], in that order."""
    epochs, examples = order.shape
    batch = min(batch, examples)
    space = space_for(net, batch)
    labels = np.empty(batch, np.int64)
    gradient = np.empty(parameters.size, np.float32)
    velocity = np.zeros(parameters.size, np.float32)
    step = 0
    for epoch in range(epochs):
        for start in range(0, examples, batch):
            chosen = order[epoch, start : start + batch]
            for r in range(chosen.size):
                labels[r] = y[chosen[r]]
            forward(images, chosen, net, parameters, space)
            backward(images, chosen, labels, net, parameters, space, gradient)
            dense_layers.update(parameters, gradient, velocity, rates[step], momentum, decay, nesterov)
            step += 1


@contracting_kernel
def predict(images: Floats, parameters: Floats, net: NetworkShape, logits: Floats) -> None:
    """Write the logits [N, classes] of framed images [N, C, H, W]."""
    space = space_for(net, _CHUNK)
    everything = np.arange(images.shape[0]).astype(np.int32)
    for start in range(0, images.shape[0], _CHUNK):
        z = forward(images, everything[start : start + _CHUNK], net, parameters, space)
        for r in range(z.shape[0]):
            for j in range(z.shape[1]):
                logits[start + r, j] = z[r, j]


@contracting_kernel
def forward(images: Floats, chosen: Places, net: NetworkShape, parameters: Floats, space: Space) -> Floats:
    """Fill the maps and activations; returns the logits [rows, classes]."""
    rows = chosen.size
    below = filled = at = 0
    for b in range(net.blocks.shape[0]):
        outputs, taps, pixels = net.blocks[b, 1], taps_of(net, b), pixels_of(net, b)
        weight = dense_layers.matrix(parameters, at, outputs, taps)
        at += outputs * (taps + 1)
        size, chunk = map_size(net, b), chunk_of(net, b)
        for start in range(0, rows, chunk):
            some = min(chunk, rows - start)
            z = dense_layers.matrix(space.z, 0, some * pixels, outputs)
            if b == 0:
                windows = dense_layers.matrix(space.windows, 0, taps, some * pixels)
                image_windows(images, chosen[start : start + some], net, windows)
                np.dot(windows.T, weight.T, z)
            else:
                windows = dense_layers.matrix(space.windows, 0, some * pixels, taps)
                under = map_size(net, b - 1)
                map_windows(dense_layers.matrix(space.maps, below + start * under, some, under), net, b, windows)
                np.dot(windows, weight.T, z)
            first = filled + start * size
            winners = space.winners[first : first + some * size].reshape(some, size)
            maps = dense_layers.matrix(space.maps, first, some, size)
            pool_maps(z.reshape(some, pixels * outputs), parameters[at - outputs : at], net, b, maps, winners)
        below = filled
        filled += space.rows * size
    features = dense_layers.matrix(space.maps, below, rows, net.sizes[0])
    return dense_layers.forward(features, parameters[at:], net.sizes, space.activations)


@contracting_kernel
def backward(
    images: Floats, chosen: Places, labels: Ints, net: NetworkShape, parameters: Floats, space: Space, gradient: Floats
) -> None:
    """Write the gradient of the mean loss."""
    rows, last = chosen.size, net.blocks.shape[0] - 1
    filled = 0
    for b in range(last):
        filled += space.rows * map_size(net, b)
    at = parameters.size - dense_layers.parameter_count(net.sizes)
    features, delta = (
        dense_layers.matrix(space.maps, filled, rows, net.sizes[0]),
        dense_layers.matrix(space.deltas, 0, rows, net.sizes[1]),
    )
    dense_layers.backward(features, labels, parameters[at:], net.sizes, space.activations, space.deltas, gradient[at:])
    weight = dense_layers.matrix(parameters, at, net.sizes[0], net.sizes[1])
    np.dot(delta, weight.T, dense_layers.matrix(space.slopes, filled, rows, net.sizes[0]))
    for p in range(at):
        gradient[p] = _ZERO
    for b in range(last, 0, -1):
        size, under = map_size(net, b), map_size(net, b - 1)
        count = net.blocks[b, 1] * (taps_of(net, b) + 1)
        at -= count
        below = filled - space.rows * under
        for p in range(below, filled):
            space.slopes[p] = _ZERO
        dense_layers.rectify(
            dense_layers.matrix(space.slopes, filled, rows, size), dense_layers.matrix(space.maps, filled, rows, size)
        )
        chunk = max(1, CACHED // under)
        for start in range(0, rows, chunk):
            some = min(chunk, rows - start)
            lower, upper = below + start * under, filled + start * size
            block_gradient(
                net,
                b,
                dense_layers.matrix(space.maps, lower, some, under),
                dense_layers.matrix(space.slopes, lower, some, under),
                dense_layers.matrix(space.slopes, upper, some, size),
                space.winners[upper : upper + some * size].reshape(some, size),
                parameters[at : at + count],
                gradient[at : at + count],
            )
        filled = below
    first_gradient(images, chosen, net, space, gradient)
