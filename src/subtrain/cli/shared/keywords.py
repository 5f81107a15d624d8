"""Keywords of a function, given as KEY=VALUE: each is read by the type that the function's signature gives it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from subtrain.cli.shared.options import numbers
from subtrain.errors import InputError

# Reads a value of one type: of its keyword and its text.
Reader = Callable[[str, str], Any]
_WORDS: dict[type, str] = {int: "a whole number", float: "a number", bool: "true or false"}


def keywords(
    called: str, function: Callable[..., Any], pairs: Sequence[str], readers: Mapping[type, Reader] | None = None
) -> dict[str, Any]:
    """The keywords of a function that `pairs`, each KEY=VALUE, give.

    Numbers are written 3,8,10-19, lists and mappings as JSON, and an array may be the name of a .npy file. readers:
    how values of further types are read.

    Raises:
        InputError: For a keyword that the function does not have, one that takes what no text can be, and a value that
            is not of its type.
    """
    from subtrain.tasks.loading.load import parse_params

    parameters = inspect.signature(function).parameters
    hands_on = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    kinds, readers = _kinds(function), readers or {}
    given = {name: (value, pair.partition("=")[2]) for pair in pairs for name, value in parse_params([pair]).items()}
    unknown = [name for name in given if name not in parameters and not hands_on]
    if unknown:
        raise InputError(f"{called} has no keyword {', '.join(unknown)}; it takes {', '.join(parameters)}")
    found: dict[str, Any] = {}
    for name, (value, text) in given.items():
        of = kinds.get(name, ())
        reader = next((reader for kind, reader in readers.items() if kind in of), None)
        if value is None:
            found[name] = None
        else:
            found[name] = reader(name, text) if reader else _read(called, name, value, text, of)
    return found


def _kinds(function: Callable[..., Any]) -> dict[str, tuple[Any, ...]]:
    """The types of each parameter, without None; of one that cannot be told, none."""
    try:
        hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except (NameError, TypeError):  # a name that is only there for a type checker
        return {}
    return {name: _alternatives(hint) for name, hint in hints.items()}


def _alternatives(hint: Any) -> tuple[Any, ...]:
    several = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return tuple(kind for kind in several if kind is not type(None))


def _read(called: str, name: str, value: Any, text: str, kinds: tuple[Any, ...]) -> Any:
    if kinds and all(get_origin(kind) is Callable for kind in kinds):
        raise InputError(f"{called} takes a function as {name}, which only Python can give: {name}=…")
    if str in kinds and complex not in kinds:  # a type that is complex as well is that of arrays
        return text
    if kinds and all(kind in _WORDS for kind in kinds):
        if not any(_fits(value, kind) for kind in kinds):
            raise InputError(f"{called}: {name} must be {' or '.join(_WORDS[kind] for kind in kinds)}, got {text!r}")
        return value
    if isinstance(value, (int, float)) and kinds and not {Any, type(value)} & set(kinds):
        return [value]
    return {key: _several(one) for key, one in value.items()} if isinstance(value, dict) else _several(value)


def _several(value: Any) -> Any:
    """The array of a .npy file that is named, the numbers of 3,8,10-19 or of 0.1,0.2; any other value as it is."""
    from subtrain.store.npy_files import open_npy
    from subtrain.system.paths import local_path

    if not isinstance(value, str):
        return value
    if value.endswith(".npy"):
        return np.array(open_npy(local_path(value)))
    if re.fullmatch(r"[0-9, -]*[0-9]", value):
        return numbers(value)
    parts = value.split(",")
    try:
        return [float(part) for part in parts]
    except ValueError:
        return parts if len(parts) > 1 else value


def _fits(value: Any, kind: type) -> bool:
    return type(value) is kind or (kind is float and type(value) is int)
