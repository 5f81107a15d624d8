"""A rename that never replaces, for file systems that have no hard links."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from subtrain.errors import StorageError

_HERE = -100  # AT_FDCWD: paths are as they are for everything else
_NO_REPLACE = 1  # RENAME_NOREPLACE of Linux' renameat2


def rename_new(source: Path, target: Path) -> bool:
    """Give the file its name if nobody has it, in one step; False if somebody has.

    Raises StorageError where the file system cannot do that.
    """
    code = _renameat2(source, target)
    if code == 0:
        return True
    if code == errno.EEXIST:
        return False
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM):
        raise StorageError(
            f"the file system of {target.parent} has no hard links and no rename that never replaces a file, so that "
            "two runners could overwrite each other: put the study on another one"
        )
    raise OSError(code, os.strerror(code), str(target))


def _renameat2(source: Path, target: Path) -> int:
    """What the system says: 0, or a number of errno."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return errno.ENOSYS
    done = call(_HERE, os.fsencode(source), _HERE, os.fsencode(target), ctypes.c_uint(_NO_REPLACE))
    return ctypes.get_errno() if done else 0
