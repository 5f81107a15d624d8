"""Expecting an error, without a test runner."""

from __future__ import annotations

from collections.abc import Callable

Kinds = type[BaseException] | tuple[type[BaseException], ...]


def expect(kind: Kinds, act: Callable[[], object], words: str = "") -> None:
    """AssertionError unless `act` raises an error of this kind that says these words."""
    said = None
    try:
        act()
    except kind as error:
        said = str(error)
    assert said is not None, f"no {kind} was raised"
    assert words in said, f"the message is {said!r}, not {words!r}"
