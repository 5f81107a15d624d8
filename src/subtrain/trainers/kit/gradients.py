"""Compiled gradients of one block of convolution, max-pooling and ReLU."""

from __future__ import annotations

import numpy as np

from subtrain.system.kernel import contracting_kernel
from subtrain.trainers.kit import dense_layers, vector_loops
from subtrain.trainers.kit.dense_layers import Floats, Ints
from subtrain.trainers.kit.network_shape import (
    NetworkShape,
    Places,
    Space,
    chunk_of,
    frame,
    map_size,
    pixels_of,
    taps_of,
)
from subtrain.trainers.kit.pooling import unpool_maps
from subtrain.trainers.kit.windows import image_windows

_ZERO = np.float32(0)

_add_64, _add_48, _add_32, _add_16, _add_8, _add_1 = (vector_loops.weighted_sum(n) for n in (64, 48, 32, 16, 8, 1))


@contracting_kernel
def first_gradient(images: Floats, chosen: Places, net: NetworkShape, space: Space, gradient: Floats) -> None:
    """Add the gradient of the first block's parameters."""
    rows, outputs, taps, pixels, size = (
        chosen.size,
        net.blocks[0, 1],
        taps_of(net, 0),
        pixels_of(net, 0),
        map_size(net, 0),
    )
    chunk = chunk_of(net, 0)
    part = np.empty((outputs, taps), np.float32)
    slope = dense_layers.matrix(gradient, 0, outputs, taps)
    dense_layers.rectify(
        dense_layers.matrix(space.slopes, 0, rows, size), dense_layers.matrix(space.maps, 0, rows, size)
    )
    pooled = dense_layers.matrix(space.slopes, 0, rows * (size // outputs), outputs)
    dense_layers.column_sums(pooled, gradient[outputs * taps : outputs * (taps + 1)])
    for start in range(0, rows, chunk):
        some = min(chunk, rows - start)
        z = dense_layers.matrix(space.z, 0, some * pixels, outputs)
        first = start * size
        winners = space.winners[first : first + some * size].reshape(some, size)
        unpool_maps(
            dense_layers.matrix(space.slopes, first, some, size), winners, net, 0, z.reshape(some, pixels * outputs)
        )
        windows = dense_layers.matrix(space.windows, 0, taps, some * pixels)
        image_windows(images, chosen[start : start + some], net, windows)
        np.dot(z.T, windows.T, part)
        for c in range(outputs):
            for t in range(taps):
                slope[c, t] += part[c, t]


@contracting_kernel
def block_gradient(
    net: NetworkShape,
    b: int,
    below: Floats,
    below_slopes: Floats,
    slopes: Floats,
    winners: Places,
    parameters: Floats,
    gradient: Floats,
) -> None:
    """Add what the slopes [images, size] of block b's maps mean for its parameters and for the maps below."""
    channels, outputs, height, width = net.blocks[b, 0], net.blocks[b, 1], net.blocks[b, 4], net.blocks[b, 5]
    row, length, taps = channels * net.blocks[b, 3], net.kernel * channels, taps_of(net, b)
    images, under = below.shape
    edge, squares = frame(net, b), net.pool * net.pool
    # Of each channel: the windows that won, and their slopes. Of each pixel of a square: the channels that it won.
    most = images * height * width
    windows, window_slopes = np.empty(outputs * most, np.int64), np.empty(outputs * most, np.float32)
    weights, weight_slopes = np.empty(squares * outputs, np.int64), np.empty(squares * outputs, np.float32)
    won, wins = np.arange(outputs) * most, np.empty(squares, np.int64)
    places = np.array([i * row + j * channels for i in range(net.pool) for j in range(net.pool)])
    flat, flat_slopes = below.reshape(images * under), below_slopes.reshape(images * under)
    for r in range(images):
        slope, winner = slopes[r], winners[r]
        for y in range(height):
            for x in range(width):
                corner = r * under + (y * row + x * channels) * net.pool
                at = ((y + edge) * (width + 2 * edge) + x + edge) * outputs
                for q in range(squares):
                    wins[q] = q * outputs
                for c in range(outputs):
                    d = slope[at + c]
                    if d != _ZERO:
                        q = winner[at + c]
                        windows[won[c]] = corner + places[q]
                        window_slopes[won[c]] = d
                        won[c] += 1
                        weights[wins[q]] = c * taps
                        weight_slopes[wins[q]] = d
                        wins[q] += 1
                for q in range(squares):
                    if wins[q] > q * outputs:
                        for i in range(net.kernel):
                            _add_weighted(
                                flat_slopes,
                                corner + places[q] + i * row,
                                parameters,
                                i * length,
                                weights,
                                weight_slopes,
                                q * outputs,
                                wins[q],
                                length,
                            )
    for c in range(outputs):
        for i in range(net.kernel):
            _add_weighted(
                gradient, c * taps + i * length, flat, i * row, windows, window_slopes, c * most, won[c], length
            )
        for k in range(c * most, won[c]):
            gradient[outputs * taps + c] += window_slopes[k]


@contracting_kernel
def _add_weighted(
    target: Floats,
    at: int,
    source: Floats,
    shift: int,
    places: Ints,
    factors: Floats,
    begin: int,
    end: int,
    length: int,
) -> None:
    """target[at : at + length] += sum over begin <= i < end of factors[i] * source[places[i] + shift : … + length]."""
    t = 0
    while t + 64 <= length:
        _add_64(target, at + t, source, shift + t, places, factors, begin, end)
        t += 64
    if t + 48 <= length:
        _add_48(target, at + t, source, shift + t, places, factors, begin, end)
        t += 48
    elif t + 32 <= length:
        _add_32(target, at + t, source, shift + t, places, factors, begin, end)
        t += 32
    elif t + 16 <= length:
        _add_16(target, at + t, source, shift + t, places, factors, begin, end)
        t += 16
    if t + 8 <= length:
        _add_8(target, at + t, source, shift + t, places, factors, begin, end)
        t += 8
    while t < length:
        _add_1(target, at + t, source, shift + t, places, factors, begin, end)
        t += 1
