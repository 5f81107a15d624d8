"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import errno
import os
import socket
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from subtrain.errors import CorruptError, InputError, StorageError
from subtrain.store.protocol import JSON_BYTES, json_bytes, parse_json
from subtrain.store.rename_no_replace import rename_new

__all__ = [
    "FULL",
    "LACKING",
    "alive",
    "check_regular",
    "commit_new",
    "json_bytes",
    "make_inside",
    "open_regular",
    "read_json",
    "replace",
    "storage_errors",
    "sweep_temporaries",
    "sync",
    "sync_folder",
]

_MARK = ".tmp"
_DAY = 86_400.0
# What an OSError says of something that the file system cannot do at all.
LACKING = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
# What an OSError says of a disk, or of a share of one, that is full.
FULL = (errno.ENOSPC, errno.EDQUOT)


# What callers act upon: they know best what a name that is there, or is not, means.
_ANSWERS = (FileNotFoundError, FileExistsError, IsADirectoryError)


@contextmanager
def storage_errors(path: Path, verb: str = "write", answers: tuple[type[OSError], ...] = _ANSWERS) -> Iterator[None]:
    """Turn what the operating system says into one sentence: of a disk that is full, closed, failing or gone.

    answers: kinds of errors that are passed on as they are.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StorageError(
                f"no space left on the disk of {path}; nothing incomplete was kept: free some and run the same again"
            ) from error
        if isinstance(error, answers):
            raise
        why = os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
        raise StorageError(f"cannot {verb} {path if answers else error.filename or path}: {why}") from error


def commit_new(path: Path, write: Callable[[BinaryIO], object]) -> bool:
    """Create `path` whole or not at all; False if somebody else's file is already there, which is left as it is.

    Temporary file beside it, fsync, link (atomic create-if-absent), unlink, fsync of the folder. A link whose reply
    was lost on a network file system shows as a second name of our own file. Where a file system has no links (exFAT,
    some of FUSE) a rename that never replaces does the same; StorageError where there is neither.
    """
    with storage_errors(path):
        temporary = _written(path, write)
        try:
            won = _link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    return won


def _link(temporary: Path, path: Path) -> bool:
    try:
        os.link(temporary, path)
    except FileExistsError:
        return temporary.stat().st_nlink == 2
    except OSError as error:
        if error.errno not in (*LACKING, errno.EPERM, errno.EMLINK):
            raise
        return rename_new(temporary, path)
    return True


def replace(path: Path, write: Callable[[BinaryIO], object], durable: bool = True) -> None:
    """Put a new version of `path` in place of the old one, whole or not at all."""
    with storage_errors(path):
        temporary = _written(path, write, durable)
        try:
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if durable:
            sync_folder(path.parent)


def _written(path: Path, write: Callable[[BinaryIO], object], durable: bool = True) -> Path:
    temporary = path.parent / f".{path.name}.{socket.gethostname()}.{os.getpid()}.{uuid4().hex[:8]}{_MARK}"
    # Where there is no folder yet there is no temporary to remove either.
    file = open(temporary, "xb")  # noqa: SIM115
    try:
        with file:
            write(file)
            file.flush()
            if durable:
                sync(file.fileno())
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    return temporary


def make_inside(folder: Path) -> None:
    """Make a folder in one that is there; StorageError if that one is gone, as a study that was moved or unmounted."""
    try:
        with storage_errors(folder):
            folder.mkdir(exist_ok=True)
    except FileNotFoundError:
        raise gone(folder.parent) from None


def gone(folder: Path) -> StorageError:
    """The sentence about a folder that was there before."""
    say = "is gone: it was moved, deleted or unmounted meanwhile; nothing is written there"
    return StorageError(f"the folder {folder} {say}, run the same again where it lies now")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder safe from a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def sync(descriptor: int) -> None:
    """fsync, where the file system has it: for folders, or at all, some do not."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in LACKING:
            raise


def sweep_temporaries(folder: Path, found: Iterable[os.DirEntry[str]] | None = None) -> int:
    """Remove temporary files, of `found` or all in `folder`, that dead processes left; returns how many.

    Those of this machine whose process is gone; those of others after a day by the clock of the file system, which
    alone says how old its files are. Taking one away too early is harmless: its writer begins again.
    """
    removed, now, here = 0, None, socket.gethostname()
    for entry in list(os.scandir(folder)) if found is None and folder.is_dir() else found or ():
        parts = entry.name.removesuffix(_MARK).rsplit(".", 2)
        if not entry.name.startswith(".") or not entry.name.endswith(_MARK) or len(parts) < 3 or not parts[1].isdigit():
            continue
        with suppress(FileNotFoundError):
            if parts[0].endswith(f".{here}"):
                dead = not alive(int(parts[1]))
            else:
                now = _clock_of(folder) if now is None else now
                dead = now - entry.stat(follow_symlinks=False).st_mtime > _DAY
            if dead:
                os.unlink(entry.path)
                removed += 1
    return removed


def _clock_of(folder: Path) -> float:
    """The time by which the file system of this folder dates its files."""
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_mtime


def alive(pid: int) -> bool:
    """Whether a process of this machine with this number exists."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def read_json(path: Path) -> Any:
    """The JSON in `path`; CorruptError if it is not whole."""
    with open_regular(path) as file:
        # One byte more than is allowed, so that a longer file is refused.
        return parse_json(file.read(min(JSON_BYTES + 1, os.fstat(file.fileno()).st_size + 1)), path)


def open_regular(path: Path) -> BufferedReader:
    """A file to read; CorruptError for a pipe, a device or a socket, at which a reader would wait, or read for ever."""
    check_regular(path)
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    return os.fdopen(descriptor, "rb")


def check_regular(path: Path) -> None:
    """CorruptError unless what lies at the path is a file; InputError for a folder; FileNotFoundError for nothing."""
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a folder, not a file")
    if not stat.S_ISREG(mode):
        kind = "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
        raise CorruptError(f"{path} is {kind}, not a file")
