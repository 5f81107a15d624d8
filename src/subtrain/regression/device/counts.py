"""Counts on a device: integer products of masks, and of masks and the digits of outputs, all of them exact.

Masks are unpacked from bits on the device. X^T X is a product of 0/1 bytes, accumulated in int32. For X^T Y an output
is an integer times a power of two; its digits in base 256 are bytes, whose products with masks are exact in int32 too.
Where a device has no int8 products, float32 ones take their place: 0/1 times a byte is exact in float32 and in TF32,
and so are the sums of up to 2^17 of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.masks import row_bytes
from subtrain.regression.counting.counts import Counts, check_finite
from subtrain.regression.counting.model_stream import Block, checked, passes
from subtrain.regression.counting.threads import Progress
from subtrain.regression.device.memory import UNPROVEN, CountPlan, free_bytes, open_device, plan_counts
from subtrain.system.experimental import experimental

Piece = tuple[NDArray[np.uint8], NDArray[Any]]
# Digits of outputs that are not float16: 54 bits below the target's largest output.
DIGITS = 7
BITS = 54


@dataclass(frozen=True)
class DeviceSums:
    """Running sums over padded units and targets. gram: int32 [n, n], its lower triangle of tiles; xty: float64
    [n, T]; rest: float64 [5, T], the outputs' sum, sum of squares, least and greatest value, and squared
    deviations."""

    gram: Any
    xty: Any
    rest: Any


@experimental(UNPROVEN)
def device_counts(
    blocks: Iterable[tuple[Any, ArrayLike]],
    device: str = "cuda",
    models: int | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
) -> Counts:
    """What `count_blocks` gives, counted on a CUDA device (or with torch on "cpu"); each block is read once.

    memory: bytes of the device to use, by default what is free. gram is exact; so are xty and y_sum of float16 outputs
    whose absolute values sum to less than 2^29 a target. Of other outputs, |xty error| <= m 2^-55 max |y| before the
    rounding of float64 sums of a few terms a piece. Raises InputError as `count_blocks` does, and when the Gram of
    n units does not fit.
    """
    where = open_device(device)
    stream = ((masks, y) for _, masks, y in checked(blocks))
    first = next(stream, None)
    if first is None:
        raise InputError("there are no models to count")
    n, y = first[0].n, first[1]
    targets = y.shape[1]
    width = 8 * row_bytes(n)
    plan = plan_counts(width, targets, y.itemsize, free_bytes(where, memory))
    sums = _nothing(width, targets, plan, where)
    m = 0
    for bits, outputs in _staged(_pieces(chain([first], stream), plan.models), where):
        if not bool(outputs.isfinite().all()):
            check_finite(outputs.cpu().numpy(), first=m)
        _add(sums, bits, outputs, plan, m)
        m += len(outputs)
        if progress:
            progress("counts", m, max(models or 0, m))
    return _result(sums, m, n, plan)


def product(left: Any, right: Any) -> Any:
    """left @ right^T as int32, exact, of int8 [a, k] and [b, k]; a, b and k are multiples of 16, k at most 2^17."""
    import torch

    if _has_int8(str(left.device)):
        return torch._int_mm(left, right.t())
    return (left.float() @ right.float().t()).to(torch.int32)


def digits(y: Any) -> Iterator[tuple[Any, Any]]:
    """Digits int8 [T, k] of outputs float [k, T], highest first, each with its float64 place value [T] or scalar."""
    import torch

    top = y.abs().amax(dim=0).double().cpu().numpy() if len(y) else np.zeros(y.shape[1])
    if y.dtype == torch.float16:
        places = 1
        while 127 * (256**places - 1) // 255 < top.max(initial=0.0) * 2.0**24:
            places += 1
        unit = np.full(top.shape, 2.0**-24)
    else:
        places = DIGITS
        unit = np.ldexp(1.0, np.maximum(np.frexp(top)[1], -900) - BITS)
    value = torch.from_numpy(unit).to(y.device)
    rest = torch.round(y.t().double() / value[:, None]).to(torch.int64)
    found = []
    for _ in range(places):
        low = ((rest + 128) & 255) - 128
        found.append(low.to(torch.int8))
        rest = (rest - low) >> 8
    for place in reversed(range(places)):
        yield found[place], value * 256.0**place


def _has_int8(device: str) -> bool:
    import torch

    if device not in _INT8:
        try:
            probe = torch.ones((32, 32), dtype=torch.int8, device=device)
            _INT8[device] = bool((torch._int_mm(probe, probe.t()) == 32).all())
        except (RuntimeError, AttributeError):
            _INT8[device] = False
    return _INT8[device]


_INT8: dict[str, bool] = {}


def _pieces(blocks: Iterable[Block], rows: int) -> Iterator[Piece]:
    """Blocks, cut and joined to at most `rows` models: each piece passes over the whole Gram."""
    for masks, y in passes((block for block in blocks if len(block[1])), lambda *_: rows):
        yield masks.data, y.astype(y.dtype.newbyteorder("="), copy=False)


def _staged(pieces: Iterator[Piece], device: Any) -> Iterator[tuple[Any, Any]]:
    """Pieces on the device; a thread reads and sends the next one while the present one is counted."""
    import torch

    copies = torch.cuda.Stream(device) if device.type == "cuda" else None
    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(_send, pieces, device, copies)
        while (found := ahead.result()) is not None:
            ahead = reader.submit(_send, pieces, device, copies)
            yield _arrived(*found)


def _send(pieces: Iterator[Piece], device: Any, copies: Any) -> tuple[list[Any], Any] | None:
    """The next piece on its way to the device, from pinned memory, and the event of its arrival; None at the end."""
    import torch

    piece = next(pieces, None)
    if piece is None:
        return None
    parts = [torch.from_numpy(part) for part in piece]
    if copies is None:
        return parts, None
    with torch.cuda.stream(copies):
        sent = [part.pin_memory().to(device, non_blocking=True) for part in parts]
        return sent, copies.record_event()


def _arrived(sent: list[Any], arrival: Any) -> tuple[Any, Any]:
    import torch

    if arrival is None:
        return sent[0], sent[1]
    present = torch.cuda.current_stream(sent[0].device)
    present.wait_event(arrival)
    for part in sent:
        part.record_stream(present)
    return sent[0], sent[1]


def _nothing(width: int, targets: int, plan: CountPlan, device: Any) -> DeviceSums:
    import torch

    gram = torch.zeros((width, width), dtype=torch.int32, device=device)
    place = device if plan.resident else "cpu"
    xty = torch.zeros((width, targets), dtype=torch.float64, device=place)
    rest = torch.zeros((5, targets), dtype=torch.float64, device=device)
    rest[2], rest[3] = float("inf"), -float("inf")
    return DeviceSums(gram, xty, rest)


def _unpacked(bits: Any) -> Any:
    """int8 [n, k rounded up to 16] of packed masks uint8 [k, n / 8]."""
    import torch

    turned = torch.nn.functional.pad(bits.t(), (0, -len(bits) % 16))
    shifts = torch.arange(8, dtype=torch.uint8, device=bits.device)
    return ((turned[:, None, :] >> shifts[None, :, None]) & 1).view(torch.int8).reshape(-1, turned.shape[1])


def _add(sums: DeviceSums, bits: Any, outputs: Any, plan: CountPlan, before: int) -> None:
    """Add models to the sums of `before` models."""
    import torch

    masks = _unpacked(bits)
    for first in range(0, len(masks), plan.tile):
        last = min(first + plan.tile, len(masks))
        sums.gram[first:last, :last] += product(masks[first:last], masks[:last])
    for first in range(0, outputs.shape[1], plan.panel):
        columns = slice(first, first + plan.panel)
        y = outputs[:, columns]
        part: Any = 0.0
        for digit, place in digits(y):
            padded = torch.nn.functional.pad(digit, (0, masks.shape[1] - len(y), 0, -len(digit) % 16))
            part = part + product(masks, padded)[:, : len(digit)].double() * place
        sums.xty[:, columns] += part.to(sums.xty.device)
        wide, rest = y.double(), sums.rest[:, columns]
        mean, share = wide.mean(dim=0), before * len(y) / (before + len(y))
        # As `joint_deviation` has it.
        rest[4] += (wide - mean).square().sum(dim=0) + (rest[0] / max(before, 1) - mean).square() * share
        rest[0] += wide.sum(dim=0)
        rest[1] += wide.square().sum(dim=0)
        rest[2] = torch.minimum(rest[2], wide.amin(dim=0))
        rest[3] = torch.maximum(rest[3], wide.amax(dim=0))


def _result(sums: DeviceSums, m: int, n: int, plan: CountPlan) -> Counts:
    import torch

    gram = np.empty((n, n), np.int32)
    for first in range(0, n, plan.tile):
        last = min(first + plan.tile, n)
        sums.gram[first:last, last:] = sums.gram[last:, first:last].t()
        torch.from_numpy(gram[first:last]).copy_(sums.gram[first:last, :n])
    rest = sums.rest.cpu().numpy()
    return Counts(
        m=m,
        n=n,
        gram=gram,
        ones=gram.diagonal().astype(np.int64),
        xty=sums.xty[:n].cpu().numpy(),
        y_sum=rest[0],
        y_sq=rest[1],
        y_min=rest[2],
        y_max=rest[3],
        y_dev=rest[4],
    )
