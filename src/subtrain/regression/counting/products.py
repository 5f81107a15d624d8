"""Products of packed masks: bits turned unit-major, the Gram by popcounts, X^T Y by tables of partial sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.regression.counting.vector_loops import (
    GROUP_BITS,
    GROUPS,
    PANEL,
    SIDE,
    TABLE_ROWS,
    add_doubles,
    count_tile,
)
from subtrain.system.kernel import kernel

# Units whose bits stay in a core's level-2 cache while a strip of the Gram passes over them.
STRIP = 64


@kernel
def turn_bits(
    rows: NDArray[np.uint64], first: int, last: int, by_unit: NDArray[np.uint64], by_word: NDArray[np.uint64]
) -> None:
    """Bit k of by_unit[j, w] and of by_word[w, j] is mask 64 w + k at unit j, for words first <= w < last.

    rows: uint64 [m, ceil(n / 64)], one mask a row. Either result may be empty [0, 0], and is then left out. Squares of
    64 x 64 bits, m n / 4096 of them: 1. gather 64 words; 2. transpose them by six rounds of swapped halves (Warren,
    Hacker's Delight, section 7-3), 192 swaps; 3. write 64 words.
    """
    m, columns = rows.shape
    n = max(by_unit.shape[0], by_word.shape[1])
    square = np.empty(64, np.uint64)
    for w in range(first, last):
        height = min(64, m - 64 * w)
        for c in range(columns):
            for i in range(height):
                square[i] = rows[64 * w + i, c]
            for i in range(height, 64):
                square[i] = 0
            step = 32
            low = np.uint64(0x00000000FFFFFFFF)
            while step:
                for k in range(0, 64, 2 * step):
                    for i in range(k, k + step):
                        swap = ((square[i] >> np.uint64(step)) ^ square[i + step]) & low
                        square[i] ^= swap << np.uint64(step)
                        square[i + step] ^= swap
                step >>= 1
                low ^= low << np.uint64(step)
            width = min(64, n - 64 * c)
            if by_word.size:
                for i in range(min(width, by_word.shape[1] - 64 * c)):
                    by_word[w, 64 * c + i] = square[i]
            if by_unit.size:
                for i in range(width):
                    by_unit[64 * c + i, w] = square[i]


@kernel
def add_gram(by_unit: NDArray[np.uint64], first: int, last: int, band: NDArray[np.int32]) -> None:
    """band[i - first, j] += models that hold both i and j, for first <= i < last and j <= i.

    by_unit: uint64 [n rounded up to 4, words rounded up to 8] on a cache line, zero beyond the masks; first is a
    multiple of 4. Tiles of 4 x 4 pairs: 1. and, popcount and add, a word of 64 models at a time; 2. add the 16 sums to
    the band. m n^2 / 128 words in all for a whole Gram.
    """
    counts = np.empty(SIDE * SIDE, np.int32)
    for strip in range(0, last, STRIP):
        for i in range(max(first, strip), last, SIDE):
            for j in range(strip, min(strip + STRIP, i + SIDE), SIDE):
                count_tile(by_unit, i, j, counts)
                if j < i and i + SIDE <= last:
                    for p in range(SIDE):
                        for q in range(SIDE):
                            band[i - first + p, j + q] += counts[SIDE * p + q]
                else:
                    for p in range(min(SIDE, last - i)):
                        for q in range(min(SIDE, i + p + 1 - j)):
                            band[i - first + p, j + q] += counts[SIDE * p + q]


@kernel
def mirror(gram: NDArray[np.signedinteger], first: int, last: int) -> None:
    """Copy the lower triangle over the upper one, for the rows first <= i < last of the upper one."""
    n = gram.shape[0]
    for block in range(first, n, 64):
        for i in range(first, last):
            for j in range(max(block, i + 1), min(block + 64, n)):
                gram[i, j] = gram[j, i]


@kernel
def add_products(
    by_word: NDArray[np.uint64],
    first: int,
    last: int,
    outputs: NDArray[np.float64],
    table: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> None:
    """sums[j - first] += outputs summed over the models that hold unit j, for first <= j < last.

    outputs: float64 [64 * words, PANEL], zero beyond the models; table: scratch [TABLE_ROWS, PANEL]. For each word of
    64 models (the method of four Russians, Arlazarov et al. 1970): 1. the sums of all subsets of each group of 5
    outputs, 13 tables of 32 rows; 2. for every unit, add the 13 rows that its bits select, in place of 64 products.
    """
    for w in range(by_word.shape[0]):
        for group in range(GROUPS):
            base = group << GROUP_BITS
            for k in range(min(GROUP_BITS, 64 - group * GROUP_BITS)):
                half = 1 << k
                for e in range(half):
                    for t in range(PANEL):
                        table[base + half + e, t] = table[base + e, t] + outputs[64 * w + group * GROUP_BITS + k, t]
        for j in range(first, last):
            add_doubles(sums, j - first, table, by_word[w, j])


def scratch(rows: int) -> NDArray[np.float64]:
    """Zeros float64 [rows, PANEL] that start on a cache line, as `add_products` needs."""
    return aligned(rows, PANEL, np.float64)


def table() -> NDArray[np.float64]:
    """The scratch table of `add_products`; row 0 of each group stays zero."""
    return scratch(TABLE_ROWS)


def aligned(rows: int, columns: int, dtype: type[np.generic]) -> NDArray[Any]:
    """Zeros [rows, columns] that start on a cache line, as the vector loops need."""
    size = rows * columns * np.dtype(dtype).itemsize
    flat = np.zeros(size + 64, np.uint8)
    start = -flat.ctypes.data % 64
    return flat[start : start + size].view(dtype).reshape(rows, columns)
