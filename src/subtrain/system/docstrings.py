"""What a docstring in Google's style tells of a function's arguments, for help texts."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

_ARGUMENT = re.compile(r" {4}\*{0,2}(\w+): (.*)")


def argument_help(function: Callable[..., Any] | str) -> dict[str, str]:
    """The text of each argument under `Args:`, by name, in one line; of a function, or of its docstring alone.

    >>> def scale(array, by=2):
    ...     '''Scale it.
    ...
    ...     Args:
    ...         array: numbers.
    ...         by: what each is
    ...             multiplied by.
    ...     '''
    >>> argument_help(scale)
    {'array': 'numbers.', 'by': 'what each is multiplied by.'}
    """
    told = function if isinstance(function, str) else inspect.getdoc(function)
    _, _, section = (told or "").partition("Args:\n")
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break
        if argument := _ARGUMENT.fullmatch(line):
            name, found[argument[1]] = argument[1], argument[2]
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return found
