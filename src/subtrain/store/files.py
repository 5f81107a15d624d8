"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from subtrain.errors import CorruptError, InputError, StorageError

_MARK = ".tmp"


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says of a full or closed disk into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"no space left on the disk of {path}; nothing incomplete was kept: free some and run the same again"
            ) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise StorageError(f"cannot write {path}: {os.strerror(error.errno)}") from error
        raise


def commit_new(path: Path, write: Callable[[BinaryIO], object]) -> bool:
    """Create `path` whole or not at all; False if somebody else's file is already there, which is left as it is.

    Temporary file beside it, fsync, link (atomic create-if-absent), unlink, fsync of the folder. A link whose reply
    was lost on a network file system shows as a second name of our own file.
    """
    with storage_errors(path):
        temporary = _written(path, write)
        try:
            try:
                os.link(temporary, path)
                won = True
            except FileExistsError:
                won = temporary.stat().st_nlink == 2
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    return won


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
            _sync_folder(path.parent)


def _written(path: Path, write: Callable[[BinaryIO], object], durable: bool = True) -> Path:
    temporary = path.parent / f".{path.name}.{socket.gethostname()}.{os.getpid()}.{uuid4().hex[:8]}{_MARK}"
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep_temporaries(folder: Path) -> int:
    """Remove temporary files that dead processes of this machine left in `folder`; returns how many."""
    removed = 0
    here = socket.gethostname()
    for entry in folder.glob(f".*{_MARK}"):
        head, pid = entry.name[: -len(_MARK)].rsplit(".", 2)[:2]
        if head.endswith(f".{here}") and pid.isdigit() and not alive(int(pid)):
            entry.unlink(missing_ok=True)
            removed += 1
    return removed


def alive(pid: int) -> bool:
    """Whether a process of this machine with this number exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def json_bytes(data: object) -> bytes:
    """Indented JSON, strict: a NaN is an error."""
    return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> Any:
    """The JSON in `path`; CorruptError if it is not whole."""
    try:
        return json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CorruptError(f"{path} is damaged: {error}") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder, not a file") from error
