"""Warnings that point at the line of whoever called this package, however deep inside they arise."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from pathlib import Path

# What stands between the user's line and ours: this package, context managers, imports and lazily found names.
_BETWEEN = (str(Path(__file__).parents[1]) + os.sep, contextlib.__file__, "<frozen importlib")
_LAZY = f"{os.sep}lazy_loader{os.sep}"


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the first line outside this package that led here.

    >>> with warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     warn_user("the units are few")
    >>> said[0].message, said[0].filename == __file__
    (UserWarning('the units are few'), False)
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and _between(frame.f_code.co_filename):
        frame = frame.f_back
    seen = frame.f_globals.setdefault("__warningregistry__", {})
    place = (frame.f_code.co_filename, frame.f_lineno, frame.f_globals.get("__name__", "__main__"))
    warnings.warn_explicit(message, category, *place, registry=seen)


def _between(file: str) -> bool:
    return file.startswith(_BETWEEN) or _LAZY in file
