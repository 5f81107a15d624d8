"""Masks and outputs however they come: arrays of any layout, .npy files, or lists of such parts, one below the other.

A part of masks is `Masks`, an array [k, n] of bool or 0/1, or the path of a .npy file; a part of outputs is an array
[k, T] or [k] of float16, float32 or float64 in any byte order, or such a path. Bool masks and outputs, memory maps
too, stay where they are until some of their rows are read. Either may be `Distant`: its rows are read once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.masks import Masks, join, pack
from subtrain.regression.counting.counts import as_outputs, check_finite
from subtrain.store.npy_files import opened

# Models packed at a time.
PACKED = 8192
# Bytes of distant masks that are held unpacked.
UNPACKED = 64 << 20


class Distant(Protocol):
    """An array that lies elsewhere, each reading of which takes time or money."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def ndim(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice) -> NDArray[Any]: ...

    def expect_all(self, among: Sequence[Distant]) -> None:
        """Called on one of the arrays that are about to be read, once each and whole; InputError forbids it."""
        ...


def is_distant(array: object) -> TypeGuard[Distant]:
    """Whether an array is read elsewhere, at a price."""
    return hasattr(array, "expect_all") and getattr(array, "ndim", 0) == 2


def expect_all(*arrays: object) -> None:
    """Tell the distant ones among these arrays, and lists of them, that all of them are about to be read."""
    parts = (part for array in arrays for part in (array if isinstance(array, (list, tuple)) else [array]))
    distant = [part for part in parts if is_distant(part)]
    if distant:
        distant[0].expect_all(distant)


@dataclass(frozen=True, eq=False)
class Stack:
    """Parts of masks over n units, and parts of outputs [k, T]; of as many models, but maybe cut elsewhere."""

    masks: tuple[Any, ...]
    outputs: tuple[NDArray[Any], ...]
    n: int

    def __len__(self) -> int:
        return sum(map(len, self.outputs))

    @property
    def dtype(self) -> np.dtype[Any]:
        """That holds the outputs of every part."""
        return np.result_type(*(part.dtype for part in self.outputs))

    def read(self, start: int, stop: int) -> tuple[Masks, NDArray[Any]]:
        """Packed masks and outputs of the models from `start` to before `stop`.

        Raises InputError for an output of a distant array that is inf or NaN, which nobody looked at before.
        """
        masks, y = self._read(start, stop)
        if any(map(is_distant, self.outputs)):
            check_finite(y, start)
        return masks, y

    def _read(self, start: int, stop: int) -> tuple[Masks, NDArray[Any]]:
        bits = [_packed(part, rows, first) for first, part, rows in _between(self.masks, start, stop)]
        ys = [part[rows] for _, part, rows in _between(self.outputs, start, stop)]
        return join(bits), ys[0] if len(ys) == 1 else np.concatenate(ys)

    def check_finite(self) -> None:
        """Raise InputError that names the first model and target whose output is inf or NaN.

        Distant outputs are looked at when they are read, for that is once.
        """
        first = 0
        for part in self.outputs:
            if not is_distant(part):
                check_finite(part, first)
            first += len(part)

    def finite(self, start: int, stop: int) -> tuple[Masks, NDArray[Any]]:
        """What `read` gives, without the models that have an output of inf or NaN."""
        masks, y = self._read(start, stop)
        kept = np.isfinite(y).all(axis=1)
        return (masks, y) if kept.all() else (masks[kept], y[kept])


def stack(masks: object, outputs: object = None) -> Stack:
    """What came, in parts; (masks, outputs) pairs in a list come without outputs.

    Raises InputError for masks that are not 0/1, outputs that are not floats, and for lengths or widths that differ.
    """
    if outputs is None:
        masks, outputs = _unzipped(masks)
    bits, ys = mask_parts(masks), output_parts(outputs, masks)
    expect_all(bits, ys)
    models, others = (sum(map(len, parts)) for parts in (bits, ys))
    if models != others:
        raise InputError(f"there are {models} masks but outputs of {others} models")
    return Stack(tuple(bits), tuple(ys), _width(bits[0]))


def mask_parts(masks: object) -> list[Any]:
    """One part of masks or several, over the same units: `Masks`, or bool arrays."""
    parts = [_mask_part(part) for part in _parts(masks)]
    _same([_width(part) for part in parts], "masks over {} units")
    return parts


def output_parts(outputs: object, masks: object) -> list[NDArray[Any]]:
    """One part of outputs [k, T] or several, with the same targets."""
    several = [outputs] if _is_one(outputs, masks) else list(outputs)  # type: ignore[call-overload]
    parts: list[Any] = [part if _floats_elsewhere(part) else as_outputs(opened(part)) for part in several]
    _same([part.shape[1] for part in parts], "outputs of {} targets")
    return parts


def _floats_elsewhere(part: Any) -> bool:
    return is_distant(part) and part.dtype.kind == "f"


def are_flat(outputs: Any, masks: object) -> bool:
    """Whether outputs are [m], of one target without an axis of its own."""
    part = outputs if _is_one(outputs, masks) else outputs[0]
    array = opened(part)
    return bool((array if is_distant(array) else np.asarray(array)).ndim == 1)


def in_parts(masks: object) -> bool:
    """Whether masks come as a file or as a list of parts, and not as one array, maybe written as nested lists."""
    return isinstance(masks, (str, Path)) or is_distant(masks) or _is_list(masks)


def whole_masks(masks: object) -> Masks:
    """All parts of masks in one piece."""
    parts = mask_parts(masks)
    starts = ((part, k) for part in parts for k in range(0, max(len(part), 1), PACKED))
    return join([_packed(part, slice(k, min(k + PACKED, len(part))), k) for part, k in starts])


def whole_outputs(outputs: object, masks: object) -> NDArray[Any]:
    """All parts of outputs in one piece, in the machine's byte order."""
    parts = output_parts(outputs, masks)
    read = [part[:] for part in parts]
    y = read[0] if len(read) == 1 else np.concatenate(read)
    return y.astype(y.dtype.newbyteorder("="), copy=False)


def finite_models(masks: object, outputs: object = None) -> tuple[Masks, NDArray[Any]]:
    """Masks and outputs [m, T] of the models whose every output is finite, in one piece each, for any estimator.

    They come as to `count`. Raises InputError when no model is left.
    """
    models = stack(masks, outputs)
    kept, y = models.finite(0, len(models))
    if not len(kept):
        raise InputError(f"each of the {len(models)} models has an output that is inf or NaN")
    return kept, y


def _is_list(masks: object) -> bool:
    return isinstance(masks, (list, tuple)) and bool(masks) and all(map(_is_part, masks))


def _is_part(part: object) -> bool:
    plain = isinstance(part, np.ndarray) and part.ndim == 2
    return plain or isinstance(part, (Masks, str, Path)) or is_distant(part)


def _is_one(outputs: Any, masks: object) -> bool:
    """Outputs [k] are parts only beside as many parts of masks: else a list of them is an array by rows."""
    if _is_list(outputs):
        return False
    beside = _is_list(masks) and isinstance(outputs, (list, tuple)) and len(outputs) == len(masks)  # type: ignore[arg-type]
    return not (beside and all(isinstance(part, np.ndarray) for part in outputs))


def _parts(masks: Any) -> Sequence[Any]:
    return masks if _is_list(masks) else [masks]


def _unzipped(pairs: Any) -> tuple[list[Any], list[Any]]:
    if not (
        isinstance(pairs, (list, tuple))
        and pairs
        and all(isinstance(pair, (list, tuple)) and len(pair) == 2 and _is_part(pair[0]) for pair in pairs)
    ):
        raise InputError("without outputs, give a list of pairs: masks and their outputs")
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _mask_part(part: Any) -> Any:
    """Bool masks as they are: they need no look at every value before the work begins."""
    array = opened(part)
    lazy = isinstance(array, np.ndarray) and array.dtype == np.bool_ and array.ndim == 2
    return array if lazy or is_distant(array) else pack(array)


def _packed(part: Any, rows: slice, first: int) -> Masks:
    """These rows of a part of masks; of distant ones never more than some are unpacked at a time."""
    if not is_distant(part):
        return pack(part[rows], first)
    step = max(1, UNPACKED // (max(1, part.shape[1]) * part.dtype.itemsize))
    starts = range(rows.start, max(rows.stop, rows.start + 1), step)
    return join([pack(part[k : min(k + step, rows.stop)], first + k - rows.start) for k in starts])


def _width(part: Any) -> int:
    return part.n if isinstance(part, Masks) else int(part.shape[1])


def _same(widths: Sequence[int], what: str) -> None:
    for k, width in enumerate(widths):
        if width != widths[0]:
            raise InputError(f"part {k} has {what.format(width)}, those before it have {widths[0]}")


def _between(parts: Sequence[Any], start: int, stop: int) -> Iterator[tuple[int, Any, slice]]:
    """Where rows `start` to before `stop` are: the first one's number, the part, which rows of it; never nothing."""
    first, found = 0, False
    for k, part in enumerate(parts):
        rows = slice(max(start - first, 0), max(min(stop - first, len(part)), 0))
        if rows.start < rows.stop or (k == len(parts) - 1 and not found):
            found = True
            yield first + rows.start, part, rows
        first += len(part)
