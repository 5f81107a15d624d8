"""A convolutional ReLU network around its trained parameters."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from subtrain.influence.dense_network import dense_layers, with_one
from subtrain.influence.jacobians import ConvolutionLayer, Floats, Ints, Layer, Linearized
from subtrain.trainers.kit.network_shape import NetworkShape

# Images whose slopes are handed down through a convolution at a time.
IMAGES = 32


def linearized(framed: Floats, net: NetworkShape, parameters: Floats) -> Linearized:
    """Of framed images [N, C, H, W]; net and parameters as `trainers.kit.convolution` lays them out."""
    maps = np.ascontiguousarray(framed.transpose(0, 2, 3, 1))
    passed, at = [], 0
    for b, (inputs, outputs) in enumerate(net.blocks[:, :2].tolist()):
        weight = parameters[at : at + outputs * net.kernel**2 * inputs].reshape(outputs, -1)
        bias = parameters[at + weight.size : at + weight.size + outputs]
        at += weight.size + outputs
        windows = _windows(maps, net.kernel)
        z = (windows @ weight.T + bias).reshape(len(maps), *_inner(maps, net.kernel), outputs)
        pooled, winners = _pooled(z, net.pool)
        passed.append((with_one(windows), weight, pooled, winners))
        edge = net.kernel // 2 if b < len(net.blocks) - 1 else 0
        maps = np.pad(np.maximum(pooled, 0), ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    features = maps.reshape(len(maps), -1)
    logits, dense, slopes = dense_layers(features, net.sizes, parameters[at:])
    layers: list[Layer] = list(dense)
    for b in range(len(passed) - 1, -1, -1):
        windows, weight, pooled, winners = passed[b]
        won = np.ascontiguousarray(np.broadcast_to(slopes, (len(features), *slopes.shape[1:])))
        won = won.reshape(*won.shape[:2], -1) * (pooled > 0).reshape(len(pooled), 1, -1)
        layers.insert(0, ConvolutionLayer(windows, won, winners, len(weight)))
        if b:
            place = passed[b - 1][2].shape[1:3]
            slopes = _below(won, winners, weight, place, net.kernel)
    return Linearized(logits.astype(np.float64), tuple(layers))


def _inner(maps: Floats, kernel: int) -> tuple[int, int]:
    """Height and width of a framed map without its frame."""
    return maps.shape[1] - kernel + 1, maps.shape[2] - kernel + 1


def _windows(maps: Floats, kernel: int) -> Floats:
    """[N, places, kernel kernel channels], what the kernel sees at each place of framed maps [N, H, W, channels]."""
    seen = sliding_window_view(maps, (kernel, kernel), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    return np.ascontiguousarray(seen).reshape(len(maps), seen.shape[1] * seen.shape[2], -1)


def _pooled(z: Floats, pool: int) -> tuple[Floats, Ints]:
    """Largest of each window of pool x pool, [N, h, w, k], and its flat place in [H, W, k], [N, h w k]."""
    n, height, width, k = z.shape
    h, w = height // pool, width // pool
    parts = z[:, : h * pool, : w * pool].reshape(n, h, pool, w, pool, k).transpose(0, 1, 3, 5, 2, 4)
    parts = np.ascontiguousarray(parts).reshape(n, h, w, k, pool * pool)
    best = parts.argmax(axis=4)
    rows = np.arange(h)[:, None, None] * pool + best // pool
    columns = np.arange(w)[None, :, None] * pool + best % pool
    places = (rows * width + columns) * k + np.arange(k)
    return np.take_along_axis(parts, best[..., None], axis=4)[..., 0], places.reshape(n, -1)


def _below(won: Floats, winners: Ints, weight: Floats, place: tuple[int, int], kernel: int) -> Floats:
    """Slopes of the logits in a convolution's inputs, [N, C, h, w, channels], of those in the outputs that won."""
    n, classes, k = len(won), won.shape[1], len(weight)
    # The inputs at a place are seen by the outputs around it, through the kernel turned by half a circle.
    turned = weight.reshape(k, kernel, kernel, -1)[:, ::-1, ::-1].transpose(1, 2, 0, 3).reshape(kernel * kernel * k, -1)
    edge = kernel // 2
    found = np.empty((n, classes, place[0] * place[1], turned.shape[1]), np.float32)
    for start in range(0, n, IMAGES):
        some = won[start : start + IMAGES]
        slopes = np.zeros((len(some) * classes, place[0] * place[1] * k), np.float32)
        np.put_along_axis(
            slopes, np.repeat(winners[start : start + IMAGES], classes, axis=0), some.reshape(len(slopes), -1), 1
        )
        maps = np.pad(slopes.reshape(-1, *place, k), ((0, 0), (edge, edge), (edge, edge), (0, 0)))
        found[start : start + IMAGES] = (_windows(maps, kernel) @ turned).reshape(
            len(some), classes, -1, turned.shape[1]
        )
    return found.reshape(n, classes, -1)
