"""How long a process spends importing installed packages, as against reading data: they are mended differently."""

from __future__ import annotations

import builtins
import importlib.util
import sysconfig
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@contextmanager
def timed_imports() -> Iterator[dict[str, float]]:
    """Seconds of imports by package, nested ones with the one that asked; the user's own modules are not counted."""
    spent: dict[str, float] = defaultdict(float)
    original, inside = builtins.__import__, False

    def timed(name: str, *args: Any, **kwargs: Any) -> Any:
        nonlocal inside
        package = name.partition(".")[0]
        if inside or not _is_installed(package):
            return original(name, *args, **kwargs)
        inside, began = True, time.perf_counter()
        try:
            return original(name, *args, **kwargs)
        finally:
            inside = False
            spent[package] += time.perf_counter() - began

    builtins.__import__ = timed
    try:
        yield spent
    finally:
        builtins.__import__ = original


@cache
def _is_installed(package: str) -> bool:
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError, AttributeError):
        return False
    origin = str(found.origin) if found is not None else ""
    return "site-packages" in origin or origin.startswith(sysconfig.get_paths()["stdlib"])
