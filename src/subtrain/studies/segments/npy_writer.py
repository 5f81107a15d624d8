"""One large .npy file, written block by block, that a later run continues where a killed one stopped."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import CorruptError, InputError
from subtrain.store import atomic_files
from subtrain.store.npy_files import npy_header

CHECKPOINT_SECONDS = 10.0
_PIECE = 8 << 20
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Array:
    """A file to be: its name, dtype, shape, how many rows a block has, and where rows start..stop-1 come from."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    block: int
    read: Callable[[int, int], NDArray[Any]]

    @property
    def header(self) -> bytes:
        """The bytes before the rows, as numpy writes them."""
        return npy_header(self.dtype, self.shape)

    def bytes(self, rows: int | None = None) -> int:
        """Size of the file with so many of its rows, all by default."""
        each = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
        return len(self.header) + each * (self.shape[0] if rows is None else rows)


@dataclass
class ExportJournal:
    """How far each file of an export is: rows that are safe on disk, and the sha256 of the file up to them.

    It is of one state of one study (`of`); one that is of another, or damaged, counts for nothing.
    """

    path: Path
    of: dict[str, Any]
    done: dict[str, tuple[int, str]] = field(default_factory=dict)

    @staticmethod
    def open(path: Path, of: dict[str, Any]) -> ExportJournal:
        journal = ExportJournal(path, of)
        with suppress(FileNotFoundError, CorruptError, KeyError, TypeError, ValueError):
            data = atomic_files.read_json(path)
            if data["of"] == of:
                journal.done = {str(name): (int(rows), str(sha)) for name, (rows, sha) in data["done"].items()}
        return journal

    def note(self, name: str, rows: int, sha256: str) -> None:
        self.done[name] = (rows, sha256)
        data = atomic_files.json_bytes({"of": self.of, "done": self.done})
        atomic_files.replace(self.path, lambda file: file.write(data))


def part_of(path: Path) -> Path:
    """Where a file is while it is not finished."""
    return path.with_name(f".{path.name}.part")


def write_array(folder: Path, array: Array, journal: ExportJournal, progress: Progress | None = None) -> Path:
    """Write the array's file and its sha256 beside it; what the journal says is there already is checked and kept.

    Raises InputError while another process writes the same file, StorageError when the disk is full.
    """
    path = folder / array.name
    part = part_of(path)
    rows, sha256 = journal.done.get(array.name, (0, ""))
    if rows == array.shape[0] and not part.exists() and path.is_file() and digest(path) == sha256:
        write_sha256(path, sha256)
        if progress:
            progress(array.name, rows, rows)
        return path
    with atomic_files.storage_errors(path), locked(part) as file:
        try:
            sha256 = _fill(file, array, journal, progress)
        except OSError as error:
            if error.errno in atomic_files.FULL:
                # This is what fills it; after anything else an export goes on from here.
                part.unlink(missing_ok=True)
            raise
        os.replace(part, path)
        atomic_files.sync_folder(folder)
    write_sha256(path, sha256)
    return path


def _fill(file: BinaryIO, array: Array, journal: ExportJournal, progress: Progress | None) -> str:
    """Write what is missing of the file, noting how far it is now and then; returns the sha256 of the whole."""
    rows, sha = _resumed(file, array, journal)
    if not rows:
        file.seek(0)
        file.write(array.header)
        sha.update(array.header)
    noted = time.monotonic()
    for block in _ahead(array, rows):
        data = np.ascontiguousarray(block, array.dtype).reshape(-1).view(np.uint8).data
        file.write(data)
        sha.update(data)
        rows += len(block)
        if time.monotonic() - noted > CHECKPOINT_SECONDS and rows < array.shape[0]:
            _safe(file)
            journal.note(array.name, rows, sha.hexdigest())
            noted = time.monotonic()
        if progress:
            progress(array.name, rows, array.shape[0])
    file.truncate()
    _safe(file)
    whole: str = sha.hexdigest()
    journal.note(array.name, rows, whole)
    return whole


def _resumed(file: BinaryIO, array: Array, journal: ExportJournal) -> tuple[int, Any]:
    """Rows that are there and as they were noted, with the sha256 so far; the file stands behind them."""
    rows, noted = journal.done.get(array.name, (0, ""))
    sha, left = hashlib.sha256(), array.bytes(rows)
    while rows and left and (piece := file.read(min(left, _PIECE))):
        sha.update(piece)
        left -= len(piece)
    if rows and not left and sha.hexdigest() == noted:
        return rows, sha
    return 0, hashlib.sha256()


def _ahead(array: Array, rows: int) -> Iterator[NDArray[Any]]:
    """The blocks from this row on; the next is made while this one is written."""
    spans = [(at, min(at + array.block, array.shape[0])) for at in range(rows, array.shape[0], array.block)]
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(array.read, *spans[0]) if spans else None
        for span in [*spans[1:], None]:
            if coming is None:
                return
            block = coming.result()
            coming = pool.submit(array.read, *span) if span else None
            yield block


@contextmanager
def locked(part: Path) -> Iterator[BinaryIO]:
    """The unfinished file, that nobody else writes meanwhile."""
    while True:
        with open(os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"another process is writing {part.parent} at this moment; wait for it") from None
            except OSError as error:
                if error.errno not in (*atomic_files.LACKING, errno.ENOLCK):
                    raise  # else this file system has no locks
            if part.exists() and os.path.samestat(os.fstat(file.fileno()), part.stat()):
                yield file
                return


def _safe(file: BinaryIO) -> None:
    file.flush()
    atomic_files.sync(file.fileno())


def write_sha256(path: Path, sha256: str) -> None:
    line = f"{sha256}  {path.name}\n".encode(errors="surrogateescape")
    atomic_files.replace(path.with_name(f"{path.name}.sha256"), lambda file: file.write(line))


def digest(path: Path, progress: Progress | None = None) -> str:
    """sha256 of a file, read in pieces."""
    sha, done = hashlib.sha256(), 0
    with atomic_files.storage_errors(path, "read"), atomic_files.open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        while piece := file.read(_PIECE):
            sha.update(piece)
            done += len(piece)
            if progress:
                progress(path.name, done, size)
    return sha.hexdigest()


def verify(path: Path, progress: Progress | None = None) -> bool:
    """Whether there is a sha256 beside the file; CorruptError if it is there and of other bytes."""
    beside = path.with_name(f"{path.name}.sha256")
    if not beside.is_file():
        return False
    with atomic_files.storage_errors(beside, "read"), atomic_files.open_regular(beside) as file:
        noted = file.read(64).decode(errors="replace")
    if noted != digest(path, progress):
        raise CorruptError(f"{path} is not as {beside.name} says: it is damaged, or not copied whole; copy it again")
    return True
