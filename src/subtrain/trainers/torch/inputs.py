"""What a module is given: a tensor, several by name (a dict) or several in order (a tuple); torch is not needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def each(function: Callable[[Any], Any], x: Any) -> Any:
    """The same inputs with `function` applied to every array."""
    if isinstance(x, dict):
        return {name: function(part) for name, part in x.items()}
    return tuple(function(part) for part in x) if isinstance(x, tuple) else function(x)


def parts(x: Any) -> list[Any]:
    """The arrays of the inputs, in their order."""
    return list(x.values()) if isinstance(x, dict) else list(x) if isinstance(x, tuple) else [x]


def called(model: Callable[..., Any], x: Any) -> Any:
    """What the module makes of them: named ones are keywords."""
    if isinstance(x, dict):
        return model(**x)
    return model(*x) if isinstance(x, tuple) else model(x)


def taken(x: Any, rows: Any) -> Any:
    """The examples of these rows."""
    return each(lambda part: part[rows], x)


def pieces(x: Any, size: int) -> Iterator[Any]:
    """The inputs in pieces of at most `size` examples."""
    for start in range(0, len(parts(x)[0]), size):
        yield taken(x, slice(start, start + size))
