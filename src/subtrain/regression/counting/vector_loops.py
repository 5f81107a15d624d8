"""Inner loops that numba's loop vectorizer does not find, written as vector IR.

LLVM lowers the 512-bit vectors to whatever the CPU has, so they are correct everywhere and fast with AVX-512.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

# Popcounts: tiles of SIDE x SIDE unit pairs, WORDS words at a time.
SIDE = 4
WORDS = 8
# Masked sums: a word of 64 models is GROUPS groups of GROUP_BITS, each with a table of its partial sums.
GROUP_BITS = 5
GROUPS = -(-64 // GROUP_BITS)
TABLE_ROWS = GROUPS << GROUP_BITS
PANEL = 16
INTS = 32
LINE = 64

I64 = ir.IntType(64)
BYTES = ir.IntType(8).as_pointer()
LONG_LANES = ir.VectorType(I64, WORDS)
DOUBLE_LANES = ir.VectorType(ir.DoubleType(), 8)
INT_LANES = ir.VectorType(ir.IntType(32), 16)
HALF_INT_LANES = ir.VectorType(ir.IntType(32), 8)

# Which lanes of two vectors are added when 8 vectors of 8 lanes are folded into one vector of their 8 sums.
FOLDS = (
    ((0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)),
    ((0, 1, 4, 5, 8, 9, 12, 13), (2, 3, 6, 7, 10, 11, 14, 15)),
    ((0, 2, 4, 6, 8, 10, 12, 14), (1, 3, 5, 7, 9, 11, 13, 15)),
)


def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return context.make_array(kind)(context, builder, value).data


def _lane_sums(builder: Any, vectors: list[Any]) -> Any:
    """One vector of the sums over the lanes of 8 vectors."""
    for low, high in FOLDS:
        sides = [ir.Constant(ir.VectorType(ir.IntType(32), WORDS), list(lanes)) for lanes in (low, high)]
        vectors = [
            builder.add(*(builder.shuffle_vector(a, b, side) for side in sides))
            for a, b in zip(vectors[::2], vectors[1::2], strict=True)
        ]
    return vectors[0]


@intrinsic  # type: ignore[untyped-decorator]
def count_tile(typingctx: Any, bits: Any, row: Any, column: Any, counts: Any) -> Any:
    """counts[4 p + q] = popcount(bits[row + p] & bits[column + q]).

    bits: C-order uint64 [n, multiple of 8] that starts on a cache line; counts: int32 [16].
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        length = builder.extract_value(context.make_array(signature.args[0])(context, builder, args[0]).shape, 1)
        start = _data(context, builder, signature.args[0], args[0])

        def rows(first: Any) -> list[Any]:
            offsets = [builder.mul(builder.add(first, I64(k)), length) for k in range(SIDE)]
            return [builder.bitcast(builder.gep(start, [o]), LONG_LANES.as_pointer()) for o in offsets]

        left, right = rows(args[1]), rows(args[2])
        popcount = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(LONG_LANES, [LONG_LANES]), f"llvm.ctpop.v{WORDS}i64"
        )
        zero = ir.Constant(LONG_LANES, None)
        sums = [cgutils.alloca_once(builder, LONG_LANES) for _ in range(SIDE * SIDE)]
        for total in sums:
            builder.store(zero, total)
        with cgutils.for_range(builder, builder.udiv(length, I64(WORDS))) as loop:
            a = [builder.load(builder.gep(p, [loop.index]), align=LINE) for p in left]
            b = [builder.load(builder.gep(p, [loop.index]), align=LINE) for p in right]
            for k, total in enumerate(sums):
                both = builder.and_(a[k // SIDE], b[k % SIDE])
                builder.store(builder.add(builder.load(total), builder.call(popcount, [both])), total)
        out = builder.bitcast(_data(context, builder, signature.args[3], args[3]), HALF_INT_LANES.as_pointer())
        for half in range(2):
            lanes = _lane_sums(builder, [builder.load(total) for total in sums[WORDS * half : WORDS * (half + 1)]])
            builder.store(builder.trunc(lanes, HALF_INT_LANES), builder.gep(out, [I64(half)]), align=4)
        return context.get_dummy_value()

    return types.void(bits, row, column, counts), generate


def _table_sums(context: Any, builder: Any, signature: Any, args: Any, lanes: Any, width: int, add: Any) -> Any:
    """sums[row] += the table rows that the groups of bits of `word` select; rows are `width` vectors of `lanes`."""
    row_bytes = width * LINE
    scale = row_bytes.bit_length() - 1
    out = builder.bitcast(_data(context, builder, signature.args[0], args[0]), lanes.as_pointer())
    table = builder.bitcast(_data(context, builder, signature.args[2], args[2]), BYTES)
    places = [builder.gep(out, [builder.add(builder.mul(args[1], I64(width)), I64(k))]) for k in range(width)]
    totals: list[Any] = []
    for group in range(GROUPS):
        # The group's digit, moved to where it is an offset in bytes: one shift and one mask.
        move = group * GROUP_BITS - scale
        moved = builder.shl(args[3], I64(-move)) if move < 0 else builder.lshr(args[3], I64(move))
        offset = builder.and_(moved, I64(((1 << GROUP_BITS) - 1) << scale))
        base = (group << GROUP_BITS) * row_bytes
        found = [builder.gep(table, [builder.add(offset, I64(base + k * LINE))]) for k in range(width)]
        entries = [builder.load(builder.bitcast(at, lanes.as_pointer()), align=LINE) for at in found]
        totals = [add(t, e) for t, e in zip(totals, entries, strict=True)] if totals else entries
    # The word's own sum is formed first, which keeps the rounding of a long running sum to one step a word.
    for place, total in zip(places, totals, strict=True):
        builder.store(add(builder.load(place, align=LINE), total), place, align=LINE)
    return context.get_dummy_value()


@intrinsic  # type: ignore[untyped-decorator]
def add_doubles(typingctx: Any, sums: Any, row: Any, table: Any, word: Any) -> Any:
    """sums[row] += the table rows that `word` selects; float64 [n, PANEL] and [TABLE_ROWS, PANEL], aligned."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _table_sums(context, builder, signature, args, DOUBLE_LANES, PANEL // 8, builder.fadd)

    return types.void(sums, row, table, word), generate


@intrinsic  # type: ignore[untyped-decorator]
def add_ints(typingctx: Any, sums: Any, row: Any, table: Any, word: Any) -> Any:
    """sums[row] += the table rows that `word` selects; int32 [n, INTS] and [TABLE_ROWS, INTS], aligned."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _table_sums(context, builder, signature, args, INT_LANES, INTS // 16, builder.add)

    return types.void(sums, row, table, word), generate


@intrinsic  # type: ignore[untyped-decorator]
def move_ints(typingctx: Any, sums: Any, row: Any, wide: Any) -> Any:
    """wide[row] += sums[row]; sums[row] = 0. sums: int32 [n, INTS], wide: int64 [n, INTS], both aligned."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pieces = INTS // 8
        first = builder.mul(args[1], I64(pieces))
        narrow = builder.bitcast(_data(context, builder, signature.args[0], args[0]), HALF_INT_LANES.as_pointer())
        longs = builder.bitcast(_data(context, builder, signature.args[2], args[2]), LONG_LANES.as_pointer())
        for piece in range(pieces):
            at = builder.add(first, I64(piece))
            source, target = builder.gep(narrow, [at]), builder.gep(longs, [at])
            value = builder.sext(builder.load(source, align=LINE // 2), LONG_LANES)
            builder.store(builder.add(builder.load(target, align=LINE), value), target, align=LINE)
            builder.store(ir.Constant(HALF_INT_LANES, None), source, align=LINE // 2)
        return context.get_dummy_value()

    return types.void(sums, row, wide), generate
