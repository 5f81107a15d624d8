"""Inner loops over channels as vector IR: numba's own loops must first rule out, each time, that arrays overlap.

Each comes for several numbers of lanes; LLVM lowers the vectors to whatever the CPU has. Arrays are contiguous, float32
or int32, and nothing checks that lanes lie within them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

I32 = ir.IntType(32)
FUSED = ("contract",)


def _floats(lanes: int) -> Any:
    return ir.VectorType(ir.FloatType(), lanes)


def _ints(lanes: int) -> Any:
    return ir.VectorType(I32, lanes)


def _data(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    return context.make_array(kind)(context, builder, array).data


def _load(builder: Any, data: Any, index: Any, vector: Any) -> Any:
    return builder.load(builder.bitcast(builder.gep(data, [index]), vector.as_pointer()), align=4)


def _store(builder: Any, value: Any, data: Any, index: Any) -> None:
    builder.store(value, builder.bitcast(builder.gep(data, [index]), value.type.as_pointer()), align=4)


def _everywhere(builder: Any, value: Any, lanes: int) -> Any:
    first = builder.insert_element(ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), value, I32(0))
    return builder.shuffle_vector(first, first, ir.Constant(_ints(lanes), [0] * lanes))


def weighted_sum(lanes: int) -> Any:
    """target[at + t] += sum over i in begin..end of factors[i] * source[places[i] + shift + t], for each lane t."""
    width = min(lanes, 16)

    @intrinsic  # type: ignore[untyped-decorator]
    def add(
        typingctx: Any, target: Any, at: Any, source: Any, shift: Any, places: Any, factors: Any, begin: Any, end: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            into, values, where, weights = (_data(context, builder, signature.args[k], args[k]) for k in (0, 2, 4, 5))
            _, at, _, shift, _, _, begin, end = args
            slots = [builder.add(at, at.type(v)) for v in range(0, lanes, width)]
            sums = [cgutils.alloca_once_value(builder, _load(builder, into, s, _floats(width))) for s in slots]
            with cgutils.for_range(builder, builder.sub(end, begin)) as loop:
                i = builder.add(begin, loop.index)
                place = builder.add(builder.load(builder.gep(where, [i])), shift)
                factor = _everywhere(builder, builder.load(builder.gep(weights, [i])), width)
                for v, total in enumerate(sums):
                    value = _load(builder, values, builder.add(place, at.type(v * width)), _floats(width))
                    product = builder.fmul(factor, value, flags=FUSED)
                    builder.store(builder.fadd(builder.load(total), product, flags=FUSED), total)
            for slot, total in zip(slots, sums, strict=True):
                _store(builder, builder.load(total), into, slot)
            return context.get_dummy_value()

        n = types.intp
        return types.none(target, n, source, n, places, factors, n, n), generate

    return add


def pool_lanes(lanes: int) -> Any:
    """best[at] = max(0, largest of z[first + i * line + j * step] + bias[channel]) over i, j < pool.

    winner[at] = i * pool + j of the first that is largest. NaN is larger than anything.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def pooled(
        typingctx: Any,
        z: Any,
        first: Any,
        step: Any,
        line: Any,
        pool: Any,
        bias: Any,
        channel: Any,
        best: Any,
        winner: Any,
        at: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            values, biases, into, winners = (_data(context, builder, signature.args[k], args[k]) for k in (0, 5, 7, 8))
            _, first, step, line, pool, _, channel, _, _, at = args
            zero = ir.Constant(_floats(lanes), None)
            top = cgutils.alloca_once_value(builder, _load(builder, values, first, _floats(lanes)))
            won = cgutils.alloca_once_value(builder, ir.Constant(_ints(lanes), None))
            with cgutils.for_range(builder, pool) as row, cgutils.for_range(builder, pool) as column:
                place = builder.add(builder.mul(row.index, line), builder.mul(column.index, step))
                value, leader = _load(builder, values, builder.add(first, place), _floats(lanes)), builder.load(top)
                ahead = builder.and_(
                    builder.fcmp_unordered(">", value, leader), builder.fcmp_ordered("ord", leader, zero)
                )
                number = builder.trunc(builder.add(builder.mul(row.index, pool), column.index), I32)
                builder.store(builder.select(ahead, value, leader), top)
                builder.store(builder.select(ahead, _everywhere(builder, number, lanes), builder.load(won)), won)
            raised = builder.fadd(builder.load(top), _load(builder, biases, channel, _floats(lanes)))
            _store(builder, builder.select(builder.fcmp_ordered("<", raised, zero), zero, raised), into, at)
            _store(builder, builder.load(won), winners, at)
            return context.get_dummy_value()

        n = types.intp
        return types.none(z, n, n, n, n, bias, n, best, winner, n), generate

    return pooled


def unpool_lanes(lanes: int) -> Any:
    """z[first + i * line + j * step] = slopes[at] where winner[at] = i * pool + j, else 0, for all i, j < pool."""

    @intrinsic  # type: ignore[untyped-decorator]
    def unpooled(
        typingctx: Any, slopes: Any, winner: Any, at: Any, z: Any, first: Any, step: Any, line: Any, pool: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            values, winners, into = (_data(context, builder, signature.args[k], args[k]) for k in (0, 1, 3))
            _, _, at, _, first, step, line, pool = args
            slope = _load(builder, values, at, _floats(lanes))
            won = _load(builder, winners, at, _ints(lanes))
            with cgutils.for_range(builder, pool) as row, cgutils.for_range(builder, pool) as column:
                place = builder.add(builder.mul(row.index, line), builder.mul(column.index, step))
                number = builder.trunc(builder.add(builder.mul(row.index, pool), column.index), I32)
                mine = builder.icmp_signed("==", won, _everywhere(builder, number, lanes))
                value = builder.select(mine, slope, ir.Constant(_floats(lanes), None))
                _store(builder, value, into, builder.add(first, place))
            return context.get_dummy_value()

        n = types.intp
        return types.none(slopes, winner, n, z, n, n, n, n), generate

    return unpooled
