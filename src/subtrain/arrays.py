"""Whatever holds numbers as a numpy array: tensors on any device, frames, sparse and masked arrays, lists of them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError

# Kinds of numpy dtypes that are real numbers.
NUMBERS = "fiub"
_PLAIN = (bool, int, float, np.number, np.bool_)
_NARROW = ("bfloat16", "float8_", "float6_", "float4_")


class NoArrayError(ValueError):
    """A value that is no array; the text completes the sentence "it is …"."""


def as_array(value: Any) -> NDArray[Any]:
    """The value as an array, whatever it is: detached, on the host, dense, bfloat16 as float32.

    Raises NoArrayError for what has no numbers to give (None, a generator, a dict), for lists of unequal parts, for
    masked or missing entries, and for objects. The dtype may still be one of text, dates or complex numbers.
    """
    try:
        array = _converted(value)
    except (NoArrayError, MemoryError):
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":
            raise
        said = " ".join(str(error).split())[:200]
        raise NoArrayError(f"{_a(value)} that does not become an array ({type(error).__name__}: {said})") from error
    if array.dtype.name.startswith(_NARROW):
        array = array.astype(np.float32)
    if array.dtype.hasobject:
        raise NoArrayError(_objects(value, array))
    return array


def _converted(value: Any) -> NDArray[Any]:
    if np.ma.isMaskedArray(value):
        masked = int(np.ma.getmaskarray(value).sum())
        if masked:
            raise NoArrayError(f"a masked array with {masked} of {value.size} entries masked")
        return np.asarray(value.data)
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    if is_tensor(value):
        return _of_tensor(value)
    if is_sparse(value):
        return np.asarray(value.toarray())
    if isinstance(value, (list, tuple)):
        return _of_parts(value)
    if value is None or isinstance(value, (str, bytes, Mapping, Set)) or inspect.isgenerator(value):
        raise NoArrayError(_a(value))
    if inspect.isawaitable(value) or callable(value):
        raise NoArrayError(_a(value))
    if hasattr(value, "to_numpy"):
        return np.asarray(value.to_numpy())
    return np.asarray(value)


def _of_tensor(tensor: Any) -> NDArray[Any]:
    tensor = tensor.detach()
    if "strided" not in str(tensor.layout):
        tensor = tensor.to_dense()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    tensor = tensor.cpu().resolve_conj().resolve_neg()
    if str(tensor.dtype).removeprefix("torch.").startswith(_NARROW):
        tensor = tensor.float()
    return np.asarray(tensor.numpy())


def _of_parts(parts: Sequence[Any]) -> NDArray[Any]:
    if all(isinstance(part, _PLAIN) for part in parts):
        return np.asarray(parts)
    if all(isinstance(part, (str, bytes)) for part in parts):
        return np.asarray(parts)
    arrays = [as_array(part) for part in parts]
    for array in arrays:
        if array.shape != arrays[0].shape:
            shapes = f"{list(arrays[0].shape)} and {list(array.shape)}"
            raise NoArrayError(f"{_a(parts)} of unequal parts, of shapes {shapes}")
    return np.stack(arrays)


def is_tensor(value: Any) -> bool:
    """Whether it is a torch tensor; nothing is imported to know."""
    return hasattr(value, "detach") and hasattr(value, "layout") and hasattr(value, "resolve_conj")


def is_sparse(value: Any) -> bool:
    """Whether it is one of scipy's sparse matrices or arrays."""
    return hasattr(value, "toarray") and hasattr(value, "nnz")


def is_frame(value: Any) -> bool:
    """Whether it is a table with columns by name, of pandas or polars."""
    return hasattr(value, "columns") and hasattr(value, "dtypes") and hasattr(value, "to_numpy")


def matrix(name: str, x: Any) -> NDArray[Any]:
    """x as real numbers [N, …]; InputError names it, or the column of a frame that holds gaps or something else."""
    if is_sparse(x):
        return np.asarray(x.toarray())
    if is_frame(x):
        return np.column_stack([_numeric(f"{name}, column {str(c)!r},", x[c]) for c in x.columns])
    try:
        found = as_array(x)
    except NoArrayError as error:
        raise InputError(f"{name} must be an array with a row for each example, got {error}") from None
    if found.dtype.kind not in NUMBERS:
        raise InputError(f"{name} must be real numbers, got dtype {found.dtype}")
    return found


def _numeric(what: str, column: Any) -> NDArray[Any]:
    gaps = missing(column)
    if gaps.any():
        raise InputError(
            f"{what} must be finite: row {int(gaps.argmax())} is missing; fill it, or leave the example out"
        )
    found = np.asarray(column)
    if found.dtype.kind not in NUMBERS:
        raise InputError(
            f"{what} holds {column.dtype}, not numbers: encode it (pandas.get_dummies), or use tasks.sklearn with a "
            "pipeline that does"
        )
    return found


def channels_last(images: NDArray[Any]) -> NDArray[Any]:
    """Square images [N, C, H, W] of 1, 3 or 4 channels as [N, H, W, C]; anything else as it is."""
    shape = images.shape
    first = len(shape) == 4 and shape[1] in (1, 3, 4) and shape[3] not in (1, 3, 4) and shape[2] == shape[3]
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)) if first else images


def missing(values: Any) -> NDArray[np.bool_]:
    """Which rows have something missing: None, NaN, pandas' NA and NaT, a masked entry; [] for what has no rows."""
    gaps = _gaps(values)
    return np.asarray(gaps.reshape(len(gaps), -1).any(axis=1)) if gaps.size else np.zeros(0, np.bool_)


def _gaps(values: Any) -> NDArray[np.bool_]:
    for method in ("isna", "is_null"):  # of pandas, of polars
        if hasattr(values, method):
            gaps: NDArray[np.bool_] = np.asarray(getattr(values, method)(), np.bool_)
            return gaps
    if np.ma.isMaskedArray(values):
        return np.asarray(np.ma.getmaskarray(values))
    try:
        array = as_array(values) if is_tensor(values) else np.asarray(values)
    except ValueError:
        return np.zeros(0, np.bool_)  # of unequal parts, as whoever reads it will say
    if array.dtype.hasobject:
        return np.array([_is_missing(one) for one in array.ravel().tolist()], np.bool_).reshape(array.shape)
    if array.dtype.kind == "f":
        return np.asarray(np.isnan(array))
    return np.zeros(array.shape, np.bool_)


def _objects(value: Any, array: NDArray[Any]) -> str:
    missing = sum(_is_missing(one) for one in array.ravel()[:10_000].tolist())
    holds = f"{missing} missing values among its" if missing else "Python"
    return f"{_a(value)} {list(array.shape)} with {holds} objects instead of numbers (dtype object)"


def _is_missing(one: Any) -> bool:
    return one is None or type(one).__name__ in ("NAType", "NaTType") or (isinstance(one, float) and one != one)


def _a(value: Any) -> str:
    name = type(value).__name__
    return "an array" if name == "ndarray" else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def concat(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """One int64 array from any number of them, none included."""
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, np.int64)
