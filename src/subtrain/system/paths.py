"""Paths as people write them."""

from __future__ import annotations

import os
from pathlib import Path

from subtrain.errors import InputError


def local_path(path: str | os.PathLike[str]) -> Path:
    """The path with ~ or ~name at its beginning replaced by the home folder; InputError if there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(
            f"{os.fspath(path)} cannot be found: nobody here has that home folder; write the whole path, or ./~ for a "
            "folder of this name"
        ) from None


def read_back(text: str) -> str:
    """A path out of a file in UTF-8, as this process names files in whatever locale it runs."""
    try:
        return os.fsdecode(text.encode("utf-8"))
    except UnicodeError:
        return text
