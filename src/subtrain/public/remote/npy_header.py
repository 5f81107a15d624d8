"""The header of a .npy file that somebody else made: read from few bytes, believed only as far as it can be checked."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np

from subtrain.errors import CorruptError

# The first bytes of a file: enough for the header of any plain array.
FIRST = 4096
_LONGEST = 1024
_DIMENSIONS = 8
_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True)
class Header:
    """shape, dtype and order of the array, and where in the file its values begin."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int

    @property
    def size(self) -> int:
        """Bytes of the file that this header declares."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def read_header(data: bytes, size: int, location: object) -> Header:
    """The header in the first bytes of a file of `size` bytes.

    CorruptError that names `location` for anything but a plain array of bool or numbers that fills the file exactly:
    Python objects, structures, text, headers of more than 1,024 bytes, shapes that do not fit. No memory is taken by
    what the header declares.
    """
    if data[:2] == b"PK":
        raise CorruptError(f"{location} is a zip archive, not a .npy file")
    try:
        shape, fortran, dtype, offset = _parsed(data)
        _check(shape, dtype)
    except Exception as error:  # A damaged header can make numpy raise almost anything.
        why = str(error).split("\n", 1)[0][:160] or type(error).__name__
        raise CorruptError(f"{location} is not a .npy file that can be read: {why}") from None
    found = Header(shape, dtype, bool(fortran), offset)
    if found.size != size:
        raise CorruptError(
            f"{location} declares an array of {list(shape)} {dtype}, {found.size:,} bytes, but has {size:,}: "
            "it is cut off, or its header is wrong"
        )
    return found


def _parsed(data: bytes) -> tuple[Any, Any, Any, int]:
    file = BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version not in _READERS:
        raise ValueError(f"version {version} of the format is only for structures")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shape, fortran, dtype = _READERS[version](file, max_header_size=_LONGEST)
    return shape, fortran, dtype, file.tell()


def _check(shape: Any, dtype: Any) -> None:
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which can run code")
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or dtype.shape:
        raise ValueError(f"it holds {dtype}, not bool or numbers")
    if not 1 <= len(shape) <= _DIMENSIONS or not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"it declares the shape {str(shape)[:80]}")
