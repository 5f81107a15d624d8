"""Reading .npy files that somebody else made: as a read-only memory map, or refused with a sentence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import DTypeLike, NDArray

from subtrain.errors import CorruptError, InputError, SubtrainError
from subtrain.store.atomic_files import check_regular
from subtrain.store.seal import verify_file
from subtrain.system.paths import local_path


def parse_npy(data: bytes, location: object) -> NDArray[Any]:
    """The array in the bytes of a .npy file; InputError with their location if they are damaged or hold objects."""
    try:
        array: NDArray[Any] = np.load(BytesIO(data), allow_pickle=False)
    except Exception as error:  # A damaged header can make numpy raise almost anything.
        raise InputError(f"{location} is not a readable .npy file: {error}") from error
    return array


def npy_header(dtype: DTypeLike, shape: tuple[int, ...]) -> bytes:
    """The bytes before the rows of a .npy file, as numpy writes them."""
    file = BytesIO()
    about = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, about)
    return file.getvalue()


def npz_arrays(path: Path, names: Callable[[Collection[str]], Sequence[str]]) -> dict[str, NDArray[Any]]:
    """The arrays in an .npz file that names(those that are there) says; InputError where it is damaged or lacks one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            wanted = names(file.files)
            missing = [name for name in wanted if name not in file]
            if missing:
                raise InputError(f"{path} holds no array named {', '.join(missing)}, only {', '.join(file)}")
            return {name: file[name] for name in wanted}
    except (ValueError, TypeError, OSError, EOFError, BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read: {error}") from error


def opened(value: Any) -> Any:
    """A .npy file named by its path, mapped; anything else as it is."""
    return open_npy(local_path(value)) if isinstance(value, (str, Path)) else value


def open_verified(path: Path, sha256: object) -> NDArray[Any]:
    """`open_npy` of a file that has this digest; CorruptError if it has not. Its size is looked at before its bytes."""
    try:
        array = open_npy(path)
    except InputError as error:
        raise CorruptError(str(error)) from error
    verify_file(path, sha256)
    return array


def open_npy(path: Path) -> NDArray[Any]:
    """A .npy file as a read-only memory map; InputError if it is missing, damaged or holds Python objects."""
    try:
        check_regular(path)
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except SubtrainError:
        raise
    except Exception as error:  # A damaged header can make numpy raise almost anything.
        why = "it is in another format, or holds Python objects" if "pickle" in str(error) else error
        raise InputError(f"{path} is not a readable .npy file: {why}") from error
    if not isinstance(array, np.memmap):
        raise InputError(f"{path} holds several arrays; give a .npy file with one")
    beyond = path.stat().st_size - array.offset - array.nbytes
    if beyond:
        raise InputError(f"{path} is not a readable .npy file: {beyond} bytes lie beyond the array its header declares")
    return array
