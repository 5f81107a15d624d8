"""What lies at the paths that `data=` of a task names: files count by their content, wherever they are found."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from subtrain.errors import InputError
from subtrain.tasks.watching.contents import of_path
from subtrain.tasks.watching.own_code import is_own

# A text that ends like a file's name, or has folders in it, and no line or space that no such name has.
_LIKE_A_PATH = re.compile(r"[^\s]*(/|\.[A-Za-z][A-Za-z0-9]{0,7}|\.7z)[^\s]*")
_LONGEST = 4096


def datum(tell: Callable[[str, Any], str], label: str, value: Any, folder: Path | None, absent: dict[str, str]) -> str:
    """One thing of `data=`: of a path what lies there, of a list of paths what lies at each, else its content.

    A relative path is looked for from the current folder and from `folder`, that of the task's code. InputError for a
    Path at which nothing lies; a text that is none today is a text, and `absent` keeps what it would be a path to.
    """
    if isinstance(value, (list, tuple)) and value and all(map(_may_be_path, value)):
        return str([datum(tell, f"{label}[{k}]", part, folder, absent) for k, part in enumerate(value)])
    if not isinstance(value, (str, os.PathLike)):
        return tell(label, value)
    text = os.fspath(value)
    found = _found(text, folder)
    if found is not None:
        return f"{found.name} {of_path(found)}"
    if not isinstance(value, str):
        raise InputError(_missing(label, text, folder))
    if _may_be_path(value):
        absent[label] = _missing(label, text, folder)
    return tell(label, value)


def folder_of(functions: Mapping[str, Any]) -> Path | None:
    """The folder of the user's file in which the code of a task is written, None if it is in none."""
    for value in functions.values():
        while isinstance(value, partial):
            value = value.func
        code = inspect.unwrap(value) if callable(value) else value
        scope = getattr(code, "__globals__", None)
        if scope is None and callable(code):
            scope = vars(sys.modules.get(type(getattr(code, "__self__", code)).__module__, sys))
        file = (scope or {}).get("__file__")
        if isinstance(file, str) and is_own(file):
            return Path(os.path.abspath(file)).parent
    return None


def _may_be_path(value: Any) -> bool:
    if isinstance(value, os.PathLike):
        return True
    return isinstance(value, str) and len(value) < _LONGEST and _LIKE_A_PATH.fullmatch(value) is not None


def _found(text: str, folder: Path | None) -> Path | None:
    path = os.path.expanduser(text)
    places = [path] if os.path.isabs(path) or folder is None else [path, os.path.join(folder, path)]
    return next((Path(os.path.abspath(place)) for place in places if path and os.path.exists(place)), None)


def _missing(label: str, text: str, folder: Path | None) -> str:
    if os.path.isabs(os.path.expanduser(text)):
        return f"there is no {text}, which {label} names"
    beside = "" if folder is None or str(folder) == os.getcwd() else f", nor in {folder}, beside the task's code"
    return f"there is no {text}, which {label} names, in {os.getcwd()}{beside}"
