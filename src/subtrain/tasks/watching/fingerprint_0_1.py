"""Code as version 0.1.0 saw it: only for studies that it made, whose tasks are compared as it would have."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from subtrain.fingerprint import fingerprint, plain


def source_of(function: Callable[..., Any], within: tuple[int, ...] = ()) -> str:
    """The function's code without comments or layout, so that reformatting it does not change a fingerprint.

    With the plain values, arrays and functions it holds from where it was made, as a closure or a partial does.
    """
    target = inspect.unwrap(function)
    target = getattr(target, "py_func", target)
    within = (*within, id(target))
    if isinstance(target, partial):
        code, held = source_of(target.func, within), [*target.args, target.keywords]
    else:
        code, held = _code(target), _enclosed(target)
    return f"{code}\n# holds {fingerprint([_stable(value, within) for value in held])}" if held else code


def _code(target: Any) -> str:
    described = target if hasattr(target, "__code__") or isinstance(target, type) else type(target)
    try:
        code = textwrap.dedent(inspect.getsource(described))
    except (OSError, TypeError):
        return str(getattr(target, "__qualname__", type(target).__qualname__))
    with suppress(SyntaxError):
        code = ast.unparse(ast.parse(code))
    return code


def _enclosed(target: Any) -> list[Any]:
    held = []
    for cell in getattr(target, "__closure__", None) or ():
        with suppress(ValueError):
            held.append(cell.cell_contents)
    return held


def _stable(value: Any, within: tuple[int, ...]) -> Any:
    """A held value as JSON: only the type of things that have no value of their own, a path or a file for example."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if id(value) in within:
        return "itself"
    inside = (*within, id(value))
    if isinstance(value, (list, tuple)):
        return [_stable(item, inside) for item in value]
    if isinstance(value, dict):
        return [_stable(item, inside) for item in value.items()]
    if hasattr(value, "__array__") and not isinstance(value, type):
        return plain(value)
    if isinstance(value, partial) or hasattr(value, "__code__"):
        return source_of(value, within)
    return type(value).__qualname__


def settings_of(value: Any) -> Any:
    """An estimator and everything it is set to as JSON."""
    if hasattr(value, "get_params") and not isinstance(value, type):
        return [type(value).__qualname__, settings_of(value.get_params(deep=False))]
    if isinstance(value, dict):
        return [[str(k), settings_of(v)] for k, v in sorted(value.items(), key=lambda item: str(item[0]))]
    if isinstance(value, (list, tuple)):
        return [settings_of(v) for v in value]
    return source_of(value) if callable(value) else value
