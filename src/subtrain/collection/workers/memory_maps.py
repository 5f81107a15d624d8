"""Memory maps on their way into another process of this machine: by the name of their file, not by their bytes."""

from __future__ import annotations

import io
import os
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray

# Below this many bytes an array goes by value.
_SMALL = 1 << 20
# Bytes at either end that must still be in the file.
_SAMPLE = 1 << 16


def dumps(thing: object) -> bytes:
    """A pickle of the thing for this machine, in which arrays that are mapped from files are named by them."""
    file = io.BytesIO()
    _Pickler(file).dump(thing)
    return file.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, np.ndarray):
            place = _place(obj)
            if place is not None:
                return _mapped, place
        return super().reducer_override(obj)


def _place(array: NDArray[Any]) -> tuple[Any, ...] | None:
    """File, offset, shape, strides, dtype and whether it may be changed; None if it is not, or no longer, in a file."""
    base = _map_of(array)
    if base is None or array.dtype.hasobject or array.nbytes < _SMALL or min(array.strides, default=1) < 0:
        return None
    start = array.__array_interface__["data"][0] - base.__array_interface__["data"][0] + base.offset
    length = sum((n - 1) * step for n, step in zip(array.shape, array.strides, strict=True)) + array.itemsize
    if not _still_there(str(base.filename), array, start, length):
        return None
    about = str(base.filename), start, length, array.shape, array.strides, array.dtype, bool(array.flags.writeable)
    return (*about, isinstance(array, np.memmap))


def _map_of(array: Any) -> Any:
    """The memory map that an array is, or is a view of; none with changes that are its own."""
    found = None
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and getattr(array, "filename", None) is not None:
            found = array
        array = array.base
    return None if found is None or found.mode == "c" else found


def _still_there(name: str, array: NDArray[Any], start: int, length: int) -> bool:
    """Whether the file still holds what the array shows, by its ends: it may have been replaced since."""
    if not array.flags.c_contiguous:
        flat = array[(0,) * array.ndim], array[(-1,) * array.ndim]
    else:
        flat = array.reshape(-1)[: _SAMPLE // array.itemsize], array.reshape(-1)[-(_SAMPLE // array.itemsize) :]
    try:
        with open(name, "rb") as file:
            if os.fstat(file.fileno()).st_size < start + length:
                return False
            seen = []
            for part, at in zip(flat, (start, start + length - np.asarray(flat[1]).nbytes), strict=True):
                file.seek(at)
                seen.append(file.read(np.asarray(part).nbytes) == np.asarray(part).tobytes())
    except OSError:
        return False
    return all(seen)


def _mapped(
    name: str,
    start: int,
    length: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dtype: np.dtype[Any],
    writable: bool,
    as_map: bool,
) -> NDArray[Any]:
    """The array in its file; one that may be changed is changed for this process alone."""
    page = np.memmap(name, np.uint8, "c" if writable else "r", start, (length,))
    found: NDArray[Any] = np.ndarray(shape, dtype, page, 0, strides)
    return found.view(np.memmap) if as_map else found
