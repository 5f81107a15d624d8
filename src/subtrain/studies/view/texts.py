"""Texts of a view: labels, texts and columns of tables, as plain strings and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import CorruptError

# Characters that steer a terminal, and halves of characters, which no file in UTF-8 can hold.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with a mark in place of every character that cannot be shown."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def texts_of(values: Iterable[Any], most: int | None = None) -> list[str | None]:
    """Values as texts of at most so many characters; None stays None."""
    return [None if value is None else printable(str(value)[:most]) for value in values]


def columns_of(table: Mapping[str, Sequence[Any] | NDArray[Any]]) -> tuple[list[str], list[tuple[list[str], Any]]]:
    """Names of a table's columns, and its columns put together by dtype: (names, array [C, N]), texts as lists."""
    names: list[str] = []
    groups: dict[Any, tuple[list[str], list[Any]]] = {}
    for name, values in table.items():
        column = np.asarray(values)
        plain = column.dtype.kind in "biuf" and column.ndim == 1 and column.dtype.itemsize <= 8
        key = (column.dtype.newbyteorder("=").str, column.size) if plain else None
        columns, held = groups.setdefault(key, ([], []))
        names.append(str(name))
        columns.append(str(name))
        held.append(column if plain else texts_of(map(_shown, values)))
    return names, [(columns, held if key is None else np.stack(held)) for key, (columns, held) in groups.items()]


def _shown(value: Any) -> Any:
    """A cell of a column of several kinds, as a page shows it."""
    return f"{value:.6g}" if isinstance(value, (float, np.floating)) else value


def whole_texts(values: Any, location: str) -> list[Any]:
    """Texts as they were read; CorruptError unless each is a text or None."""
    if not isinstance(values, list) or not all(value is None or isinstance(value, str) for value in values):
        raise CorruptError(f"{location} is damaged: it holds something other than texts")
    return [None if value is None else printable(value) for value in values]
