"""A study in a folder: of this machine, or shared by several."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from subtrain.errors import InputError, StorageError
from subtrain.store import atomic_files
from subtrain.store.protocol import Entry, Write, checked

_TRIES = 5
T = TypeVar("T")


class Bond:
    """A file that must be there, with the bytes that it has now; they are read again only if it looks different."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = root, name
        self.looks, self.sha256 = self._looks(), self._digest()

    def check(self) -> None:
        """StorageError if the file is gone or another lies in its place."""
        try:
            with atomic_files.storage_errors(self.root, "read"):
                looks = self._looks()
                if looks == self.looks:
                    return
                same = self._digest() == self.sha256
        except (FileNotFoundError, NotADirectoryError):
            raise StorageError(
                f"the folder {self.root} is gone, or its {self.name}: it was moved, deleted or unmounted meanwhile; "
                "nothing is written there, run the same again where it lies now"
            ) from None
        if not same:
            say = f"another study lies in the folder {self.root} now"
            raise StorageError(f"{say}: nothing of the one that was there is written into it")
        self.looks = looks

    def _looks(self) -> tuple[int, int, int]:
        about = os.stat(self.root / self.name)
        return about.st_ino, about.st_size, about.st_mtime_ns

    def _digest(self) -> str:
        with atomic_files.open_regular(self.root / self.name) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Folder:
    """The store of `root`. Folders below it are made when a file is put in them, the root itself by `prepare` alone.

    links: whether a file may be a symbolic link to one elsewhere. Never in a study, whose names others may have chosen.
    bond: the file without which nothing is written, see `bound_to`.
    """

    root: Path
    links: bool = False
    bond: Bond | None = field(default=None, compare=False, repr=False)

    @property
    def address(self) -> str:
        return str(self.root.resolve())

    @cached_property
    def _real(self) -> str:
        return os.path.realpath(self.root)

    def location(self, name: str = "") -> str:
        return str(self.root / name)

    def path(self, name: str = "") -> Path:
        """InputError for a name that a symbolic link leads out of the folder, unless `links`."""
        return self._file(name) if name else self.root

    def _file(self, name: str) -> Path:
        path = self.root / checked(name)
        return path if self.links else _stays(path, self.root, self._real)

    def bound_to(self, name: str) -> Folder:
        """This store, which writes nothing once the file `name` is gone, or another lies in its place: the folder was
        moved, or its disk unmounted, and a second, half one must not begin where it was."""
        return replace(self, bond=Bond(self.root, name))

    def prepare(self) -> None:
        with atomic_files.storage_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        if self.links:
            return
        # A file system that cannot create a study's files exactly once says so now, not after the first models.
        name = f"probe-{uuid4().hex}"
        try:
            self.commit_new(name, lambda file: None)
        finally:
            with suppress(StorageError):
                self.delete(name)

    def names(self, below: str = "") -> list[str]:
        return sorted(name for name, _ in self._walk(below))

    def entries(self, below: str = "") -> Iterator[Entry]:
        for name, found in self._walk(below):
            with suppress(FileNotFoundError):
                stat = found.stat(follow_symlinks=False)
                yield Entry(name, stat.st_size, stat.st_mtime)

    def _walk(self, below: str, hidden: bool = False) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Files with their names; of temporary ones only (hidden) or of all others.

        Links and pipes are among them, so that what lies in the place of a file is not taken for nothing: whoever reads
        them is told what they are. Links to folders are not followed.
        """
        try:
            with atomic_files.storage_errors(self.root, "read"):
                found = list(os.scandir(self.path(below)))
        except FileNotFoundError:
            return
        for entry in found:
            name = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(name, hidden)
            elif entry.name.startswith(".") == hidden:
                yield name, entry

    def exists(self, name: str) -> bool:
        """CorruptError or InputError for a pipe or a folder in the place of the file."""
        try:
            atomic_files.check_regular(self._file(name))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def read(self, name: str) -> bytes:
        path = self._file(name)
        with atomic_files.storage_errors(path, "read"), atomic_files.open_regular(path) as file:
            return file.read()

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        path = self._file(name)
        with atomic_files.storage_errors(path, "read"), atomic_files.open_regular(path) as file:
            file.seek(start)
            there = os.fstat(file.fileno()).st_size
            return file.read(max(0, min(stop, there) - start))

    def commit_new(self, name: str, write: Write) -> bool:
        path = self._file(name)
        return self._in_folder(path, lambda: atomic_files.commit_new(path, write))

    def replace(self, name: str, write: Write, durable: bool = True) -> None:
        path = self._file(name)
        self._in_folder(path, lambda: atomic_files.replace(path, write, durable))

    def _in_folder(self, path: Path, put: Callable[[], T]) -> T:
        """Put a file, once more if its folder or its temporary was not there: another may tidy up at that moment."""
        for _ in range(_TRIES - 1):
            self._check_bond()
            try:
                return put()
            except IsADirectoryError:
                raise InputError(f"{path} is a folder, not a file: move it away") from None
            except FileNotFoundError:
                self._check_bond()
                if not self.root.is_dir():
                    raise StorageError(f"the folder {self.root} is gone: nothing can be written there") from None
            with atomic_files.storage_errors(path.parent):
                path.parent.mkdir(parents=True, exist_ok=True)
        return put()

    def _check_bond(self) -> None:
        if self.bond is not None:
            self.bond.check()

    def delete(self, name: str) -> None:
        path = self._file(name)
        with atomic_files.storage_errors(path):
            path.unlink(missing_ok=True)

    def clear(self, below: str) -> None:
        shutil.rmtree(self._file(below), ignore_errors=True)

    def sweep(self) -> int:
        return atomic_files.sweep_temporaries(self.root, (found for _, found in self._walk("", hidden=True)))


def inside(root: Path, name: str) -> Path:
    """The file or folder `name` of a study's folder, for those who need no store to read and write it.

    InputError if a symbolic link leads it, or anything that is in it, out of `root`.
    """
    place, real = root / checked(name), os.path.realpath(root)
    for path in (place, *_links(place)):
        _stays(path, root, real)
    return place


def _links(folder: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError, NotADirectoryError):
        for entry in os.scandir(folder):
            if entry.is_symlink():
                yield Path(entry.path)
            elif entry.is_dir():
                yield from _links(Path(entry.path))


def _stays(path: Path, root: Path, real: str) -> Path:
    if not os.path.realpath(path).startswith(os.path.join(real, "")):
        raise InputError(f"{path} leads out of {root} by a symbolic link, which nothing in a study may do")
    return path
