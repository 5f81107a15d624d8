"""Arrays, tables, tensors, images and files as text that is the same for the same content, and short."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNK = 1 << 26
Text = Callable[[Any], str]


def content(value: Any, text: Text) -> str | None:
    """The content of a value whose type is one of the data's, None for any other. text: of what it holds."""
    if isinstance(value, np.ndarray):
        return _array(value, text)
    if isinstance(value, np.generic):
        return _array(np.asarray(value), text)
    library = type(value).__module__.partition(".")[0]
    for cls in type(value).__mro__:
        read = _READERS.get((cls.__module__.partition(".")[0], cls.__name__))
        if read is not None:
            return f"{cls.__name__}({read(value, text)})"
    if library == "scipy" and hasattr(value, "tocoo"):
        return f"{type(value).__name__}({_sparse(value, text)})"
    if library not in ("builtins", "torch", "subtrain") and hasattr(value, "__array__") and not isinstance(value, type):
        return f"{type(value).__name__}({_array(np.asarray(value), text)})"
    return None


def _array(value: NDArray[Any], text: Text) -> str:
    if isinstance(value, np.ma.MaskedArray):
        return f"masked {_array(value.filled(0), text)} {_array(np.ma.getmaskarray(value), text)}"
    if value.dtype.hasobject or value.dtype.kind == "T":
        return f"objects {value.shape} {text(value.ravel().tolist())}"
    digest = hashlib.sha256()
    if value.ndim == 0 or value.flags.c_contiguous:
        flat = np.ascontiguousarray(value).reshape(-1).view(np.ndarray)
        step = max(1, CHUNK // max(1, value.dtype.itemsize))
        for start in range(0, flat.size, step):
            digest.update(flat[start : start + step].view(np.uint8).data)
    else:
        step = max(1, CHUNK // max(1, value[:1].nbytes))
        for start in range(0, len(value), step):
            digest.update(np.ascontiguousarray(value[start : start + step]).view(np.ndarray).tobytes())
    return f"array {value.dtype.descr if value.dtype.names else value.dtype.str} {value.shape} {digest.hexdigest()}"


def _sparse(value: Any, text: Text) -> str:
    """Sorted, for what trains on it may sort it in place."""
    found = value.tocoo(copy=True)
    found.sum_duplicates()
    coordinates = getattr(found, "coords", None) or (found.row, found.col)
    order = np.lexsort(coordinates[::-1])
    arrays = [_array(np.asarray(part, np.int64)[order], text) for part in coordinates]
    return f"{value.shape} {arrays} {_array(found.data[order], text)}"


def _tensor(value: Any, text: Text) -> str:
    import torch

    found = value.detach()
    if found.layout != torch.strided:
        found = found.to_sparse_coo().coalesce()
        return f"sparse {tuple(found.shape)} {_tensor(found.indices(), text)} {_tensor(found.values(), text)}"
    if found.is_quantized:
        found = found.int_repr()
    raw = found.cpu().contiguous().reshape(-1)
    numbers = raw.view(torch.uint8).numpy() if raw.numel() else np.zeros(0)
    return f"{value.dtype} {tuple(value.shape)} {_array(numbers, text)}"


def _frame(value: Any, text: Text) -> str:
    columns = [[text(name), _column(value.iloc[:, k], text)] for k, name in enumerate(value.columns)]
    return f"{columns} {_index(value.index, text)}"


def _series(value: Any, text: Text) -> str:
    return f"{text(value.name)} {_column(value, text)} {_index(value.index, text)}"


def _index(value: Any, text: Text) -> str:
    if value.nlevels == 1:
        return f"{text(list(value.names))} {_column(value, text)}"
    levels = [_column(value.get_level_values(k), text) for k in range(value.nlevels)]
    return f"{text(list(value.names))} {levels}"


def _column(value: Any, text: Text) -> str:
    if hasattr(value, "cat"):
        codes, labels = value.cat.codes.to_numpy(), value.cat.categories
        return f"category {value.cat.ordered} {_array(codes, text)} {_column(labels, text)}"
    if hasattr(value, "categories"):
        return f"category {value.ordered} {_array(np.asarray(value.codes), text)} {_column(value.categories, text)}"
    numbers = value.to_numpy()
    if numbers.dtype.hasobject:
        # What is missing is written in several ways (None, nan, NA) that mean the same here.
        missing = np.asarray(value.isna())
        numbers = numbers.copy()
        numbers[missing] = None
        if all(type(item) in (str, type(None)) for item in numbers):
            return f"{value.dtype} {_strings(numbers)}"
    return f"{value.dtype} {_array(numbers, text)}"


def _strings(values: Any) -> str:
    digest = hashlib.sha256()
    for item in values:
        raw = b"" if item is None else item.encode(errors="surrogatepass")
        digest.update(b"%d:" % (-1 if item is None else len(raw)) + raw)
    return f"{len(values)} {digest.hexdigest()}"


def _polars(value: Any, text: Text) -> str:
    columns = value.get_columns() if hasattr(value, "get_columns") else [value]
    return str([[text(c.name), str(c.dtype), _strings([repr(item) for item in c.to_list()])] for c in columns])


def _image(value: Any, text: Text) -> str:
    return f"{value.mode} {value.size} {hashlib.sha256(value.tobytes()).hexdigest()} {text(value.getpalette())}"


_READERS: dict[tuple[str, str], Callable[[Any, Text], str]] = {
    ("torch", "Tensor"): _tensor,
    ("pandas", "DataFrame"): _frame,
    ("pandas", "Series"): _series,
    ("pandas", "Index"): _index,
    ("polars", "DataFrame"): _polars,
    ("polars", "Series"): _polars,
    ("PIL", "Image"): _image,
}


def of_path(path: Path) -> list[list[str]]:
    """Names and sha256 of a file, or of all files in a folder."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return [
        [file.relative_to(path.parent if path.is_file() else path).as_posix(), file_digest(file)]
        for file in files
        if "__pycache__" not in file.parts
    ]


def file_digest(path: Path) -> str:
    """sha256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_module_of_torch(value: Any) -> bool:
    """Whether it is a torch.nn.Module; torch is not imported for it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)
