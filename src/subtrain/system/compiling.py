"""Who wants to hear that code is being compiled, which takes seconds once on a machine; light to import."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_listeners: list[Callable[[], None]] = []


@contextmanager
def told_of_compiling(say: Callable[[], None]) -> Iterator[None]:
    """Within it, `say` is called once, when the first kernel is compiled that no file holds."""
    _listeners.append(say)
    try:
        yield
    finally:
        if say in _listeners:
            _listeners.remove(say)


def compiling() -> None:
    """Tell whoever listens, once."""
    while _listeners:
        _listeners.pop()()
