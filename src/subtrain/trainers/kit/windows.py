"""Compiled copies of what a convolution's kernel sees at each pixel, for a matrix product to do the rest."""

from __future__ import annotations

from subtrain.system.kernel import contracting_kernel
from subtrain.trainers.kit.dense_layers import Floats
from subtrain.trainers.kit.network_shape import NetworkShape, Places


@contracting_kernel
def image_windows(images: Floats, chosen: Places, net: NetworkShape, windows: Floats) -> None:
    """Windows [taps, images * pixels] of the first block: each tap copies rows of pixels."""
    kernel, channels = net.kernel, images.shape[1]
    height, width = net.blocks[0, 4] * net.pool, net.blocks[0, 5] * net.pool
    for r in range(chosen.size):
        for tap in range(windows.shape[0]):
            i, j, plane = tap // channels // kernel, tap // channels % kernel, images[chosen[r], tap % channels]
            target = windows[tap]
            at = r * height * width
            for y in range(height):
                source, into = plane[y + i, j : j + width], target[at : at + width]
                for x in range(width):
                    into[x] = source[x]
                at += width


@contracting_kernel
def map_windows(maps: Floats, net: NetworkShape, b: int, windows: Floats) -> None:
    """Windows [images * pixels, taps] of a later block, from the framed maps [images, size] below it."""
    channels, row = net.blocks[b, 0], net.blocks[b, 0] * net.blocks[b, 3]
    length = net.kernel * channels
    at = 0
    for r in range(maps.shape[0]):
        image = maps[r]
        for y in range(net.blocks[b, 4] * net.pool):
            for x in range(net.blocks[b, 5] * net.pool):
                target = windows[at]
                for i in range(net.kernel):
                    first = (y + i) * row + x * channels
                    source, into = image[first : first + length], target[i * length : (i + 1) * length]
                    for t in range(length):
                        into[t] = source[t]
                at += 1
