"""How every compiled function here is compiled: cached on disk, and without holding the interpreter lock."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def kernel(function: Function) -> Function:
    """numba's njit with nogil and a cache that notices when any file beside the function's changes."""
    return cast(Function, _compiled(function))


def reordering_kernel(function: Function) -> Function:
    """A kernel whose sums may be added up in any order, which lets them be vectorised."""
    return cast(Function, _compiled(function, fastmath={"reassoc", "contract"}))


def contracting_kernel(function: Function) -> Function:
    """A kernel in which a multiply and an add may become one instruction; sums keep the order they are written in."""
    return cast(Function, _compiled(function, fastmath={"contract"}))


def _compiled(function: Callable[..., object], **options: Any) -> Any:
    compiled = njit(cache=True, nogil=True, **options)(function)
    # numba's own stamp covers one file: a cached caller would go on with the old code of a callee in another.
    folder = _fingerprint(Path(function.__code__.co_filename).parent)
    try:
        file = compiled._cache._cache_file
        file._source_stamp = (file._source_stamp, folder)
    except AttributeError:
        return njit(nogil=True, **options)(function)
    return compiled


@cache
def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
