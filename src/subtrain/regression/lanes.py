"""Two inner loops that numba's loop vectoriser does not find, written as vector IR.

LLVM lowers the 512-bit vectors to whatever the CPU has, so they are correct everywhere and fast with AVX-512.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

SIDE = 4
WORDS = 8
GROUP_BITS = 5
GROUPS = -(-64 // GROUP_BITS)
TABLE_ROWS = GROUPS << GROUP_BITS
PANEL = 16

I64 = ir.IntType(64)
LONGS = ir.VectorType(I64, WORDS)
DOUBLES = ir.VectorType(ir.DoubleType(), 8)


def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return context.make_array(kind)(context, builder, value).data


@intrinsic  # type: ignore[untyped-decorator]
def count_tile(typingctx: Any, bits: Any, row: Any, column: Any, counts: Any) -> Any:
    """counts[4 p + q] = popcount(bits[row + p] & bits[column + q]); bits: C-order uint64 [n, multiple of 8]."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        length = builder.extract_value(context.make_array(signature.args[0])(context, builder, args[0]).shape, 1)
        start = _data(context, builder, signature.args[0], args[0])

        def rows(first: Any) -> list[Any]:
            offsets = [builder.mul(builder.add(first, I64(k)), length) for k in range(SIDE)]
            return [builder.bitcast(builder.gep(start, [o]), LONGS.as_pointer()) for o in offsets]

        left, right = rows(args[1]), rows(args[2])
        popcount = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(LONGS, [LONGS]), f"llvm.ctpop.v{WORDS}i64"
        )
        zero = ir.Constant(LONGS, None)
        sums = [cgutils.alloca_once(builder, LONGS) for _ in range(SIDE * SIDE)]
        for total in sums:
            builder.store(zero, total)
        with cgutils.for_range(builder, builder.udiv(length, I64(WORDS))) as loop:
            a = [builder.load(builder.gep(p, [loop.index]), align=8) for p in left]
            b = [builder.load(builder.gep(p, [loop.index]), align=8) for p in right]
            for k, total in enumerate(sums):
                both = builder.and_(a[k // SIDE], b[k % SIDE])
                builder.store(builder.add(builder.load(total), builder.call(popcount, [both])), total)
        out = _data(context, builder, signature.args[3], args[3])
        for k, total in enumerate(sums):
            lanes = builder.load(total)
            value = builder.extract_element(lanes, I64(0))
            for lane in range(1, WORDS):
                value = builder.add(value, builder.extract_element(lanes, I64(lane)))
            builder.store(value, builder.gep(out, [I64(k)]))
        return context.get_dummy_value()

    return types.void(bits, row, column, counts), generate


@intrinsic  # type: ignore[untyped-decorator]
def add_word(typingctx: Any, sums: Any, row: Any, table: Any, word: Any) -> Any:
    """sums[row] += the table rows that the 13 groups of 5 bits of `word` select.

    sums: float64 [n, PANEL], table: float64 [TABLE_ROWS, PANEL], both C-order and 64-byte aligned.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pieces = PANEL // 8
        out = builder.bitcast(_data(context, builder, signature.args[0], args[0]), DOUBLES.as_pointer())
        rows = builder.bitcast(_data(context, builder, signature.args[2], args[2]), DOUBLES.as_pointer())

        def entry(group: int, piece: int) -> Any:
            digit = builder.and_(builder.lshr(args[3], I64(group * GROUP_BITS)), I64((1 << GROUP_BITS) - 1))
            at = builder.add(builder.mul(digit, I64(pieces)), I64((group << GROUP_BITS) * pieces + piece))
            return builder.load(builder.gep(rows, [at]), align=64)

        for piece in range(pieces):
            # Two chains: a single one would wait for each addition's latency.
            even, odd = entry(0, piece), entry(1, piece)
            for group in range(2, GROUPS, 2):
                even = builder.fadd(even, entry(group, piece))
            for group in range(3, GROUPS, 2):
                odd = builder.fadd(odd, entry(group, piece))
            at = builder.gep(out, [builder.add(builder.mul(args[1], I64(pieces)), I64(piece))])
            total = builder.fadd(builder.load(at, align=64), builder.fadd(even, odd))
            builder.store(total, at, align=64)
        return context.get_dummy_value()

    return types.void(sums, row, table, word), generate
