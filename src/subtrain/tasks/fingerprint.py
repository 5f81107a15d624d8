"""What a task is, as one number that changes whenever its data, code or settings do."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import re
import textwrap
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from subtrain.outputs import Output


def fingerprint(*parts: object) -> str:
    """sha256 over arrays (dtype, shape, bytes), strings, and anything JSON can write."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray) and not part.dtype.hasobject:
            head, body = f"{part.dtype.str}{part.shape}", np.ascontiguousarray(part).tobytes()
        else:
            head, body = "", json.dumps(part, sort_keys=True, default=_plain).encode()
        digest.update(f"{head}:{len(body)}:".encode())
        digest.update(body)
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Output):
        return value.to_json()
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        return array.tolist() if array.dtype.hasobject else fingerprint(array)
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


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
        return _plain(value)
    if isinstance(value, partial) or hasattr(value, "__code__"):
        return source_of(value, within)
    return type(value).__qualname__
