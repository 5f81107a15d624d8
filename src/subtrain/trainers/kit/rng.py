"""Random numbers inside compiled loops, a function of one integer seed and nothing else.

xoshiro256++ (Blackman & Vigna 2021, "Scrambled linear pseudorandom number generators"), its state filled by
splitmix64 as its authors advise. NumPy's streams may change between releases; these cannot.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.system.kernel import contracting_kernel

State = NDArray[np.uint64]

INITIALIZATION, ORDER = np.uint64(0), np.uint64(1)
"""Streams of one seed: numbers drawn from one never move those of the other."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_LOW = np.uint64(0xFFFFFFFF)


@contracting_kernel
def mixed(z: Any) -> Any:
    """The output function of splitmix64."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@contracting_kernel
def generator(seed: Any, stream: Any) -> State:
    """State of a new generator, uint64 [4]."""
    state = np.empty(4, np.uint64)
    z = mixed(seed + _GOLDEN) ^ stream
    for i in range(4):
        z += _GOLDEN
        state[i] = mixed(z)
    return state


@contracting_kernel
def bits(s: State) -> Any:
    """The next 64 random bits."""
    t = s[0] + s[3]
    result = ((t << np.uint64(23)) | (t >> np.uint64(41))) + s[0]
    t = s[1] << np.uint64(17)
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= t
    s[3] = (s[3] << np.uint64(45)) | (s[3] >> np.uint64(19))
    return result


@contracting_kernel
def below(s: State, n: Any) -> Any:
    """A whole number uniform on 0..n-1, without bias, for n < 2**32 (Lemire 2019)."""
    n = np.uint64(n)
    product = (bits(s) >> np.uint64(32)) * n
    if product & _LOW < n:
        least = ((_LOW + np.uint64(1)) - n) % n
        while product & _LOW < least:
            product = (bits(s) >> np.uint64(32)) * n
    return np.int64(product >> np.uint64(32))


@contracting_kernel
def shuffled(items: NDArray[np.int32], times: int, seed: Any) -> NDArray[np.int32]:
    """`times` random orders of the items [n], int32 [times, n], each a Fisher-Yates shuffle of the one before."""
    s = generator(seed, ORDER)
    out = np.empty((times, items.size), np.int32)
    row = items.copy()
    for t in range(times):
        for i in range(items.size - 1, 0, -1):
            j = below(s, i + 1)
            row[i], row[j] = row[j], row[i]
        for i in range(items.size):
            out[t, i] = row[i]
    return out


@contracting_kernel
def keyed(items: NDArray[np.int32], times: int, seed: Any) -> NDArray[np.int32]:
    """`times` random orders of the different items [n], int32 [times, n]; the order of two items never depends on which
    others are there.

    Each time, an item's key is the output of splitmix64 with the item's number, from a state drawn for that time: keys
    are all different. They are sorted by buckets, a bucket for each item in the mean.
    """
    s, n = generator(seed, ORDER), np.uint64(items.size)
    out = np.empty((times, items.size), np.int32)
    drawn, keys = np.empty(items.size, np.uint64), np.empty(items.size, np.uint64)
    place = np.empty(items.size + 1, np.int64)
    for t in range(times):
        state, row = bits(s), out[t]
        place[:] = 0
        for i in range(items.size):
            drawn[i] = mixed(state + np.uint64(items[i]) * _GOLDEN)
            place[((drawn[i] >> np.uint64(32)) * n >> np.uint64(32)) + np.uint64(1)] += 1
        for i in range(items.size):
            place[i + 1] += place[i]
        for i in range(items.size):
            b = (drawn[i] >> np.uint64(32)) * n >> np.uint64(32)
            keys[place[b]], row[place[b]] = drawn[i], items[i]
            place[b] += 1
        for i in range(1, items.size):
            key, item, j = keys[i], row[i], i
            while j > 0 and keys[j - 1] > key:
                keys[j], row[j] = keys[j - 1], row[j - 1]
                j -= 1
            keys[j], row[j] = key, item
    return out


@contracting_kernel
def uniform_layers(inputs: NDArray[np.int64], outputs: NDArray[np.int64], seed: Any) -> NDArray[np.float32]:
    """Weights and biases of all layers, float32, uniform on [-b, b) with b = 1/sqrt(inputs of one output)."""
    s = generator(seed, INITIALIZATION)
    total = 0
    for layer in range(inputs.size):
        total += (inputs[layer] + 1) * outputs[layer]
    out = np.empty(total, np.float32)
    at = 0
    for layer in range(inputs.size):
        bound = np.float32(1 / math.sqrt(inputs[layer]))
        for _ in range((inputs[layer] + 1) * outputs[layer]):
            unit = np.float32(np.int64(bits(s) >> np.uint64(40))) * np.float32(2.0**-23)
            out[at] = (unit - np.float32(1)) * bound
            at += 1
    return out
