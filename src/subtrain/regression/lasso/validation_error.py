"""Validation error from the validation models' own masks: no second Gram, which would not fit where n is large."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.masks import Masks
from subtrain.regression.counting.counts import Counts, as_outputs, check_finite
from subtrain.regression.counting.threads import Progress
from subtrain.system.kernel import kernel
from subtrain.system.types import Floats

LANES = 16
# Models whose running sums stay in registers while all units pass: 16 vectors of 16.
TILE = 256
WORDS = TILE // 64


@dataclass(frozen=True, eq=False)
class ValidationModels:
    """Models that choose lambda: masks of m models and their outputs [m, T], taken in place of their counts.

    The error of one lambda costs m times the non-zero weights, in float32; counts would cost a second n x n Gram.
    """

    masks: Masks
    outputs: NDArray[Any]

    @property
    def m(self) -> int:
        """Models."""
        return len(self.masks)

    @property
    def n(self) -> int:
        """Units."""
        return self.masks.n

    @property
    def targets(self) -> int:
        """T."""
        return int(self.outputs.shape[1])

    @cached_property
    def bits(self) -> NDArray[np.uint64]:
        """The masks turned, as `by_unit` gives them."""
        return by_unit(self.masks)

    def of(self, targets: slice | NDArray[np.int64]) -> ValidationModels:
        """The same models with some of their targets; their masks are turned once for all."""
        some = ValidationModels(self.masks, self.outputs[:, targets])
        some.__dict__["bits"] = self.bits
        return some

    def added_to(self, counts: Counts, threads: int | None = None, progress: Progress | None = None) -> Counts:
        """Counts of both, in the arrays of `counts`, which is used up: a second Gram might not fit."""
        from subtrain.regression.counting.count_stream import count_blocks

        total = count_blocks([(self.masks, self.outputs)], threads=threads, start=counts, in_place=True)
        if progress:
            progress("join counts", total.m, total.m)
        return total


def validation_models(masks: Masks, outputs: ArrayLike) -> ValidationModels:
    """`ValidationModels` of packed masks and outputs [m, T] or [m]; InputError for lengths that differ, inf and NaN."""
    y = as_outputs(outputs)
    if len(masks) != len(y):
        raise InputError(f"there are {len(masks)} masks but outputs of {len(y)} models")
    check_finite(y)
    return ValidationModels(masks, y)


def by_unit(masks: Masks) -> NDArray[np.uint64]:
    """uint64 [n, words], bit k of row j says whether mask k holds unit j; zero beyond the masks."""
    m = len(masks)
    # An odd number of tiles a row keeps the rows out of each other's cache sets.
    words = WORDS * (-(-m // TILE) | 1)
    turned = np.zeros((masks.n, 8 * words), np.uint8)
    for first in range(0, masks.n, 512):
        bits = np.unpackbits(masks.data[:, first // 8 : first // 8 + 64], axis=1, bitorder="little")
        wide = np.packbits(bits[:, : masks.n - first], axis=0, bitorder="little")
        turned[first : first + wide.shape[1], : wide.shape[0]] = wide.T
    return turned.view("<u8")


@intrinsic  # type: ignore[untyped-decorator]
def subtract_where(typingctx: Any, bits: Any, rows: Any, values: Any, word: Any, sums: Any) -> Any:
    """sums[64 word + k] -= values[i] for every i and k < TILE with bit 64 word + k of bits[rows[i]] set.

    bits: C-order uint64 [n, words]; rows: int64 [s]; values, sums: float32. The sums stay in registers.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def array(k: int) -> Any:
            return context.make_array(signature.args[k])(context, builder, args[k])

        i64 = ir.IntType(64)
        vector = ir.VectorType(ir.FloatType(), LANES)
        held = ir.VectorType(ir.IntType(1), LANES)
        width = builder.extract_value(array(0).shape, 1)
        half_words = builder.bitcast(array(0).data, ir.IntType(16).as_pointer())
        start = builder.gep(array(4).data, [builder.mul(args[3], i64(64))])
        out = builder.bitcast(start, vector.as_pointer())
        totals = [cgutils.alloca_once(builder, vector) for _ in range(TILE // LANES)]
        for k, total in enumerate(totals):
            builder.store(builder.load(builder.gep(out, [i64(k)]), align=4), total)
        zero = ir.Constant(vector, None)
        size = builder.extract_value(array(1).shape, 0)
        with cgutils.for_range(builder, size) as loop:
            row = builder.load(builder.gep(array(1).data, [loop.index]))
            value = builder.load(builder.gep(array(2).data, [loop.index]))
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.IntType(32)(0))
            lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
            values = builder.shuffle_vector(one, one, lanes)
            first = builder.mul(builder.add(builder.mul(row, width), args[3]), i64(4))
            for k, total in enumerate(totals):
                piece = builder.load(builder.gep(half_words, [builder.add(first, i64(k))]), align=2)
                chosen = builder.select(builder.bitcast(piece, held), values, zero)
                builder.store(builder.fsub(builder.load(total), chosen), total)
        for k, total in enumerate(totals):
            builder.store(builder.load(total), builder.gep(out, [i64(k)]), align=4)
        return context.get_dummy_value()

    return types.void(bits, rows, values, word, sums), generate


@kernel
def leave(
    bits: NDArray[np.uint64],
    rows: NDArray[np.int64],
    raw: NDArray[np.float32],
    center: float,
    outputs: Floats,
    left: NDArray[np.float32],
) -> float:
    """left[i] = outputs[i] + center - sum of raw over the rows whose unit mask i holds; returns its mean square.

    left: float32 [64 words]. 1. Start from outputs + center, O(m). 2. Of each tile of 256 models, subtract the rows
    that their bits select, O(u) vectors of bits. 3. The mean square in float64, O(m).
    """
    m = outputs.size
    left[:] = np.float32(0.0)
    for i in range(m):
        left[i] = outputs[i] + center
    for word in range(0, (m + 63) // 64, WORDS):
        subtract_where(bits, rows, raw, word, left)
    total = 0.0
    for i in range(m):
        total += np.float64(left[i]) * np.float64(left[i])
    return total / m
