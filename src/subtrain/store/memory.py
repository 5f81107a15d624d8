"""A study in the memory of this process: for notebooks, examples and tests; it is gone when nobody holds it."""

from __future__ import annotations

import io
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from uuid import uuid4
from weakref import WeakValueDictionary, finalize

from subtrain.errors import InputError
from subtrain.store.protocol import Entry, Write, checked

IN_MEMORY, SCHEME = ":memory:", "memory://"


class _Files:
    """The files of one store and of all stores below it: content and time of the last change, by name."""

    def __init__(self) -> None:
        self.key = uuid4().hex[:12]
        self.lock = threading.Lock()
        self.found: dict[str, tuple[bytes, float]] = {}
        self.folder: Path | None = None


_OPEN: WeakValueDictionary[str, _Files] = WeakValueDictionary()


class Memory:
    """The store of files that this process holds; a new one holds none.

    below: the folder in it whose files this store shows, "" for all.
    """

    def __init__(self, files: _Files | None = None, below: str = "") -> None:
        self._files = files or _Files()
        self._below = below
        _OPEN[self._files.key] = self._files

    @property
    def address(self) -> str:
        return f"{SCHEME}{self._files.key}{f'/{self._below}' if self._below else ''}"

    def location(self, name: str = "") -> str:
        return f"{self.address}/{name}" if name else self.address

    def path(self, name: str = "") -> None:
        return None

    def local(self) -> Path:
        """A folder for what is too large for memory, such as counts; it goes with the files."""
        with self._files.lock:
            if self._files.folder is None:
                self._files.folder = Path(mkdtemp(prefix="subtrain-"))
                finalize(self._files, shutil.rmtree, self._files.folder, ignore_errors=True)
            return self._files.folder / self._below

    def prepare(self) -> None:
        pass

    def names(self, below: str = "") -> list[str]:
        return sorted(entry.name for entry in self.entries(below))

    def entries(self, below: str = "") -> Iterator[Entry]:
        start, folder = self._key(""), f"{self._key(below)}/" if below else self._key("")
        with self._files.lock:
            there = [(name, *about) for name, about in self._files.found.items() if name.startswith(folder)]
        return iter([Entry(name.removeprefix(start), len(data), at) for name, data, at in there])

    def _key(self, name: str) -> str:
        return f"{self._below}/{name}" if self._below else name

    def exists(self, name: str) -> bool:
        return self._key(checked(name)) in self._files.found

    def read(self, name: str) -> bytes:
        try:
            return self._files.found[self._key(checked(name))][0]
        except KeyError:
            raise FileNotFoundError(f"there is no {self.location(name)}") from None

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        return self.read(name)[start:stop]

    def commit_new(self, name: str, write: Write) -> bool:
        key, data = self._key(checked(name)), _written(write)
        with self._files.lock:
            won = key not in self._files.found
            if won:
                self._files.found[key] = data, time.time()
        return won

    def replace(self, name: str, write: Write, durable: bool = True) -> None:
        key, data = self._key(checked(name)), _written(write)
        with self._files.lock:
            self._files.found[key] = data, time.time()

    def delete(self, name: str) -> None:
        with self._files.lock:
            self._files.found.pop(self._key(checked(name)), None)

    def clear(self, below: str) -> None:
        for name in self.names(checked(below)):
            self.delete(name)

    def sweep(self) -> int:
        """Nothing is ever half-written."""
        return 0


def _written(write: Write) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def open_memory(address: str) -> Memory:
    """The store at a `memory://` address of this process, or at `:memory:` a new one that nobody else has."""
    if address == IN_MEMORY:
        return Memory()
    key, _, below = address.removeprefix(SCHEME).rstrip("/").partition("/")
    files = _OPEN.get(key)
    if files is None:
        raise InputError(f"{address} is not in the memory of this process: it is another's, or gone")
    return Memory(files, checked(below) if below else "")
