"""How every compiled function here is compiled: cached on disk, and without holding the interpreter lock."""

from __future__ import annotations

import ast
import hashlib
import pickle
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit
from numba.core.caching import IndexDataCacheFile

from subtrain.system.compiling import compiling
from subtrain.system.user_warning import warn_user

Function = TypeVar("Function", bound=Callable[..., object])
_PACKAGE = Path(__file__).parents[1]
# Files with compiled code: only there does what they import become part of it.
_COMPILES = re.compile(r"^(from|import) (numba|llvmlite)\b|^from subtrain\.system\.kernel import", re.M)


def kernel(function: Function) -> Function:
    """numba's njit with nogil and a cache that notices when a file changes whose code or constants it compiles in."""
    return cast(Function, _compiled(function))


def reordering_kernel(function: Function) -> Function:
    """A kernel whose sums may be added up in any order, which lets them be vectorized."""
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
    file._source_stamp = (file._source_stamp, _fingerprint(function.__code__.co_filename))
    file.__class__ = _CacheFile
    return compiled


class _CacheFile(IndexDataCacheFile):  # type: ignore[misc]
    """numba's cache of a function whose files say whether they are whole: one that was cut would end the process.

    What is damaged or cannot be read is compiled again; what cannot be written is compiled in each process.
    """

    def load(self, key: Any) -> Any:
        found = super().load(key)
        if found is None:
            compiling()
        return found

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
        warn_user(
            f"compiled code cannot be kept ({error}): each process compiles it anew, which takes up to a minute; set "
            "NUMBA_CACHE_DIR to a folder that can be written"
        )


_said: list[str] = []


@cache
def _fingerprint(file: str) -> str:
    """sha256 of the file, of the kernels' files that it imports, one after the other, and of what those import."""
    digest = hashlib.sha256()
    for found in sorted(_followed(Path(file))):
        digest.update(found.read_bytes())
    return digest.hexdigest()


def _followed(file: Path) -> set[Path]:
    """The file and those of this package that it imports; of what they import only where they hold kernels."""
    waiting, found = [file], {file}
    while waiting:
        fresh = _compiled_in(waiting.pop()) - found
        found |= fresh
        waiting += fresh
    return found


@cache
def _compiled_in(file: Path) -> frozenset[Path]:
    """The files of this package that a file with kernels imports; none for another file."""
    text = file.read_text(encoding="utf-8")
    names = _imported(text) if _COMPILES.search(text) else ()
    return frozenset(path for name in names for path in _files_of(name))


def _imported(text: str) -> Iterator[str]:
    """The modules that Python code may name: of `from a import b`, a and a.b."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(_PACKAGE.name):
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def _files_of(module: str) -> list[Path]:
    place = _PACKAGE.parent.joinpath(*module.split("."))
    return [path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()]
