"""Whose code it is: the user's own, or Python's, subtrain's and other packages', which are installed."""

from __future__ import annotations

import os
import sysconfig
from functools import cache
from pathlib import Path
from types import TracebackType

import subtrain

_INSTALLED = ("site-packages", "dist-packages")
_STDLIB = tuple(
    {os.path.realpath(path) + os.sep for key in ("stdlib", "platstdlib") if (path := sysconfig.get_paths().get(key))}
)
_OURS = os.path.realpath(os.path.dirname(subtrain.__file__)) + os.sep


@cache
def is_own(file: str | None) -> bool:
    """Whether this is a file of the user's own code, and not of Python, subtrain or an installed package."""
    if not file or file.startswith("<frozen"):
        return False
    real = os.path.realpath(file)
    if any(part in _INSTALLED for part in Path(real).parts):
        return False
    return not real.startswith((*_STDLIB, _OURS))


def place(error: BaseException) -> str:
    """Where in the user's own code it last came through, as " (mycode.py, line 3)", or "" if it did not."""
    if isinstance(error, SyntaxError) and error.filename and is_own(error.filename):
        return f" ({os.path.basename(error.filename)}, line {error.lineno})"
    found = list(_own_lines(error.__traceback__))
    return f" ({found[-1]})" if found else ""


def _own_lines(at: TracebackType | None) -> list[str]:
    lines = []
    while at is not None:
        file = at.tb_frame.f_code.co_filename
        if os.path.isfile(file) and is_own(file):
            lines.append(f"{os.path.basename(file)}, line {at.tb_lineno}")
        at = at.tb_next
    return lines
