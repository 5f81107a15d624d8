"""matplotlib without the backend that the surroundings ask for: figures here belong to no window."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

BACKEND = "MPLBACKEND"


def matplotlib() -> Any:
    """The module. A notebook's MPLBACKEND may name one that is not installed here, which ends a plain import."""
    if "matplotlib" in sys.modules:
        return sys.modules["matplotlib"]
    asked = os.environ.pop(BACKEND, None)
    try:
        with _no_settings_of_this_folder():
            import matplotlib
    finally:
        if asked is not None:
            os.environ[BACKEND] = asked
    if asked:
        with suppress(ValueError, ImportError):
            matplotlib.rcParams["backend"] = asked
    return matplotlib


@contextmanager
def _no_settings_of_this_folder() -> Iterator[None]:
    """matplotlib takes a matplotlibrc of the current folder before the user's own. That may be a stranger's study, with
    a pipe of that name that is never written to, or settings that start LaTeX."""
    here = Path("matplotlibrc")
    if not os.path.lexists(here) or here.is_dir():
        yield
        return
    before = os.getcwd()
    os.chdir(os.sep)
    try:
        yield
    finally:
        os.chdir(before)


def without_notebook(environment: Mapping[str, str]) -> dict[str, str]:
    """These variables for a process that draws into no notebook: without the backend that only works in one."""
    return {k: v for k, v in environment.items() if k != BACKEND or not v.startswith("module://")}


def new_figure(width: float, height: float, **options: Any) -> Any:
    """A matplotlib Figure of this width and height in inches, that can be drawn anywhere and needs no closing."""
    matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), **options)
