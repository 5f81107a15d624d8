"""Finished parts of a fit in .npz files, found again by what they were computed from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from subtrain.errors import SubtrainError
from subtrain.store import atomic_files

# Whatever is wrong with a file, it is only computed again.
UNREADABLE = (OSError, SubtrainError, KeyError, ValueError, EOFError, MemoryError, BadZipFile)


def digest(*parts: Any) -> str:
    """One name for arrays and anything that JSON can hold."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype} {part.shape}".encode())
            found.update(np.ascontiguousarray(part).data)
        else:
            found.update(json.dumps(part, sort_keys=True, default=repr).encode())
    return found.hexdigest()


def load(path: Path, key: str) -> dict[str, Any] | None:
    """The arrays in the file; None if there is none, or one of another key, or a damaged one."""
    try:
        with atomic_files.open_regular(path) as file, np.load(file, allow_pickle=False) as data:
            return {name: data[name] for name in data.files} if str(data["key"]) == key else None
    except UNREADABLE:
        return None


def save(path: Path, key: str, arrays: dict[str, Any]) -> None:
    """Put the arrays there, in place of any file, so that whoever reads meanwhile finds the old or the new one."""
    atomic_files.make_inside(path.parent)
    atomic_files.replace(path, lambda file: np.savez(file, key=np.array(key), **arrays))
