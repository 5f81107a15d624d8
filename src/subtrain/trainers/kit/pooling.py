"""Compiled max-pooling and ReLU in one: the largest of each square plus bias, or zero. All channels at a time."""

from __future__ import annotations

from subtrain.system.kernel import contracting_kernel
from subtrain.trainers.kit import vector_loops
from subtrain.trainers.kit.dense_layers import Floats
from subtrain.trainers.kit.network_shape import NetworkShape, Places, frame

_pool_16, _pool_8, _pool_1 = (vector_loops.pool_lanes(n) for n in (16, 8, 1))
_unpool_16, _unpool_8, _unpool_1 = (vector_loops.unpool_lanes(n) for n in (16, 8, 1))


@contracting_kernel
def pool_maps(z: Floats, bias: Floats, net: NetworkShape, b: int, maps: Floats, winners: Places) -> None:
    """From z [images, pixels * outputs] to framed maps [images, size], and who won there."""
    height, width, pool, edge = net.blocks[b, 4], net.blocks[b, 5], net.pool, frame(net, b)
    line = width * pool * bias.size
    for r in range(maps.shape[0]):
        image, best, winner = z[r], maps[r], winners[r]
        for y in range(height):
            for x in range(width):
                at = ((y + edge) * (width + 2 * edge) + x + edge) * bias.size
                _pool_pixel(image, y * pool * line + x * pool * bias.size, line, pool, bias, best, winner, at)


@contracting_kernel
def unpool_maps(slopes: Floats, winners: Places, net: NetworkShape, b: int, z: Floats) -> None:
    """The gradient of z [images, pixels * outputs] from that of the framed maps [images, size]."""
    outputs, height, width, pool, edge = net.blocks[b, 1], net.blocks[b, 4], net.blocks[b, 5], net.pool, frame(net, b)
    line = width * pool * outputs
    for r in range(slopes.shape[0]):
        slope, winner, image = slopes[r], winners[r], z[r]
        for y in range(height):
            for x in range(width):
                at = ((y + edge) * (width + 2 * edge) + x + edge) * outputs
                first = y * pool * line + x * pool * outputs
                _unpool_pixel(slope, winner, at, outputs, image, first, line, pool)


@contracting_kernel
def _pool_pixel(
    z: Floats, first: int, line: int, pool: int, bias: Floats, best: Floats, winner: Places, at: int
) -> None:
    """Pool the square of pixels of z, each bias.size channels, that begins at `first`; its lines are `line` apart.

    best[at:] becomes the largest of each channel plus bias, or zero; winner[at:] the number of the pixel it came from,
    the first if there are many. NaN wins, so that a diverged model does not look like a finite one.
    """
    channels = bias.size
    c = 0
    while c + 16 <= channels:
        _pool_16(z, first + c, channels, line, pool, bias, c, best, winner, at + c)
        c += 16
    if c + 8 <= channels:
        _pool_8(z, first + c, channels, line, pool, bias, c, best, winner, at + c)
        c += 8
    while c < channels:
        _pool_1(z, first + c, channels, line, pool, bias, c, best, winner, at + c)
        c += 1


@contracting_kernel
def _unpool_pixel(
    slopes: Floats, winner: Places, at: int, channels: int, z: Floats, first: int, line: int, pool: int
) -> None:
    """Write the slopes of a pooled pixel to those that won, and zero to the others of the square."""
    c = 0
    while c + 16 <= channels:
        _unpool_16(slopes, winner, at + c, z, first + c, channels, line, pool)
        c += 16
    if c + 8 <= channels:
        _unpool_8(slopes, winner, at + c, z, first + c, channels, line, pool)
        c += 8
    while c < channels:
        _unpool_1(slopes, winner, at + c, z, first + c, channels, line, pool)
        c += 1
