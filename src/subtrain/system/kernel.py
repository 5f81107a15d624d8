"""How every compiled function here is compiled: cached on disk, and without holding the interpreter lock."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit
from numba.core.caching import IndexDataCacheFile

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
    try:
        compiled = njit(cache=True, nogil=True, **options)(function)
        file = compiled._cache._cache_file
    except (RuntimeError, OSError) as error:
        _say_once(error)
        return njit(nogil=True, **options)(function)
    except AttributeError:
        return njit(nogil=True, **options)(function)
    # numba's own stamp covers one file: a cached caller would go on with the old code of a callee in another.
    file._source_stamp = (file._source_stamp, _fingerprint(Path(function.__code__.co_filename).parent))
    file.__class__ = _CacheFile
    return compiled


class _CacheFile(IndexDataCacheFile):  # type: ignore[misc]
    """numba's cache of a function whose files say whether they are whole: one that was cut would end the process.

    What is damaged or cannot be read is compiled again; what cannot be written is compiled in each process.
    """

    def save(self, key: Any, data: Any) -> None:
        try:
            super().save(key, data)
        except OSError as error:
            _say_once(error)

    def _load_index(self) -> Any:
        try:
            version, stamp, overloads = pickle.loads(_whole(self._index_path))
        except Exception:  # Whatever is in such a file, it is only a cache.
            return {}
        return overloads if (version, stamp) == (self._version, self._source_stamp) else {}

    def _save_index(self, overloads: Any) -> None:
        self._put(self._index_path, (self._version, self._source_stamp, overloads))

    def _load_data(self, name: str) -> Any:
        return pickle.loads(_whole(self._data_path(name)))

    def _save_data(self, name: str, data: Any) -> None:
        self._put(self._data_path(name), data)

    def _put(self, path: str, content: Any) -> None:
        data = self._dump(content)
        with self._open_for_write(path) as file:
            file.write(hashlib.sha256(data).digest() + data)


def _whole(path: str) -> bytes:
    """What the file holds behind its digest; OSError, which means to numba that there is none, if it is damaged."""
    content = Path(path).read_bytes()
    size = hashlib.sha256().digest_size
    if hashlib.sha256(content[size:]).digest() != content[:size]:
        raise OSError(f"{path} is damaged")
    return content[size:]


def _say_once(error: Exception) -> None:
    if not _said:
        _said.append(str(error))
        warnings.warn(
            f"compiled code cannot be kept ({error}): each process compiles it anew, which takes up to a minute; set "
            "NUMBA_CACHE_DIR to a folder that can be written",
            stacklevel=2,
        )


_said: list[str] = []


@cache
def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
