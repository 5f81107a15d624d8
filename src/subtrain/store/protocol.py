"""What a study needs of the place it lies in: whole files by name, made once, put in place of others, listed, read."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Protocol

import numpy as np

from subtrain.errors import CorruptError, InputError

Write = Callable[[BinaryIO], object]
# Most bytes of a JSON file, enough for the groups of millions of examples, and most lists and tables in it, so that
# nobody who makes such a file fills the memory of who reads it.
JSON_BYTES, JSON_PARTS = 64 << 20, 4_000_000


@dataclass(frozen=True)
class Entry:
    """A file of a store: its name, its size in bytes and when the store last changed it, in seconds since 1970."""

    name: str
    size: int
    modified: float


class Store(Protocol):
    """Files by name.

    A name is relative, with `/` between its parts, and never leads out of the store; every method that takes one raises
    InputError for another. Any thread, process and machine may call any method at any time.

    What is atomic: a file is there whole or not at all, whoever is killed and whenever. `commit_new` is the one
    decision that a study rests on: of any number who create a name at once exactly one wins, and what it wrote stays
    until it is deleted. A reader of a file that is replaced sees the old or the new one, never a mixture. What was
    committed is seen by whoever looks afterwards.

    What may be called twice: everything. `write` is a function that writes the file's bytes; a store may call it again
    after a failure, and if it raises, nothing is left.

    What raises what: FileNotFoundError from methods that read, for a name that is not there; StorageError, in one
    sentence, when the store is full, closed or out of reach; CorruptError for what lies in the place of a file and is
    none. `subtrain.testing.stores` holds checks of all that.
    """

    @property
    def address(self) -> str:
        """What `open_store` makes this store of again, in any process and folder."""
        ...

    def location(self, name: str = "") -> str:
        """The file, or the store itself, as a message names it."""
        ...

    def path(self, name: str = "") -> Path | None:
        """The file, or the store's folder, on a file system of this machine; None where there is none."""
        ...

    def prepare(self) -> None:
        """Make the place ready for a new study, and make sure that it keeps what this protocol promises."""
        ...

    def names(self, below: str = "") -> list[str]:
        """Names of all files below this folder of the store, sorted; what is half-written is not among them."""
        ...

    def entries(self, below: str = "") -> Iterator[Entry]:
        """The same with sizes and times, in no order."""
        ...

    def exists(self, name: str) -> bool: ...

    def read(self, name: str) -> bytes: ...

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Bytes start..stop-1; fewer where the file ends before."""
        ...

    def commit_new(self, name: str, write: Write) -> bool:
        """Create a file unless it is there: of any number who try, exactly one is told True, and its file stays."""
        ...

    def replace(self, name: str, write: Write, durable: bool = True) -> None:
        """Put a file in place of the one that may be there; not durable: it may be lost, whole, if the power fails."""
        ...

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        ...

    def clear(self, below: str) -> None:
        """Remove every file below this folder of the store."""
        ...

    def sweep(self) -> int:
        """Remove what killed processes left half-written; returns how many files."""
        ...


def checked(name: str) -> str:
    """`name`, if it can be a file's name in a store; InputError for one that would lead elsewhere."""
    if "\\" in name or "\0" in name or any(part[:1] in ("", ".") for part in name.split("/")):
        raise InputError(
            f"{name!r} is no name of a file in a study: it must be relative, stay inside and have no hidden part"
        )
    return name


def json_bytes(data: object) -> bytes:
    """Indented JSON, strict: a NaN is an error."""
    return (json.dumps(as_json(data), indent=1, allow_nan=False) + "\n").encode()


def as_json(data: object) -> Any:
    """The data as JSON gives it back, with file names in UTF-8.

    A process without UTF-8 around it has the bytes of an accent as halves of characters, which `parse_json` refuses.
    """
    text = json.dumps(data, allow_nan=False)
    if "\\ud" in text:
        plain = json.dumps(data, ensure_ascii=False)
        try:
            raw = plain.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raw = plain.encode("utf-8", "replace")
        text = raw.decode("utf-8", "replace")
    return json.loads(text)


def parse_json(data: bytes, location: object, most: int = JSON_BYTES) -> Any:
    """The JSON in `data`; CorruptError that names `location` it was if it is not whole, strict and of a sane size.

    Strict: no NaN, no infinity, no key twice, no half of a character. most: bytes that the texts in it may take; all
    the rest has JSON_BYTES, and what a text holds is no list.
    """
    try:
        if len(data) > JSON_BYTES or data.count(b"[") + data.count(b"{") > JSON_PARTS:
            _check_size(data, most)
        found = json.loads(data, object_pairs_hook=_table, parse_constant=_no_number, parse_float=_number)
        if b"\\ud" in data.lower():
            json.dumps(found, ensure_ascii=False).encode()
        return found
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{location} is damaged: {error}") from error


def _check_size(data: bytes, most: int) -> None:
    """ValueError for JSON that would take far more memory than its texts do."""
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    if len(data) <= most and plain.count(b'"') <= JSON_BYTES:
        letters = np.frombuffer(plain, np.uint8)
        quotes = np.flatnonzero(letters == ord('"'))
        lists = np.flatnonzero((letters == ord("[")) | (letters == ord("{")))
        outside = np.count_nonzero(np.searchsorted(quotes, lists) % 2 == 0)
        texts = int((quotes[1::2] - quotes[: quotes.size // 2 * 2 : 2]).sum())
        if len(plain) - texts <= JSON_BYTES and outside <= JSON_PARTS:
            return
    raise ValueError("it is larger than any such file may be")


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _number(text: str) -> float:
    found = float(text)
    return found if math.isfinite(found) else _no_number(text[:20])


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def read_json(store: Store, name: str) -> Any:
    """The JSON in a file of the store; CorruptError if it is not whole."""
    return parse_json(read_capped(store, name, JSON_BYTES), store.location(name))


def read_capped(store: Store, name: str, most: int) -> bytes:
    """A file of the store; CorruptError, before it is read, if it has more bytes than it can have."""
    data = store.read_range(name, 0, most + 1)
    if len(data) > most:
        raise CorruptError(f"{store.location(name)} is damaged: it has more than the {most:,} bytes that it may have")
    return data


def put_json(store: Store, name: str, data: object, durable: bool = True) -> None:
    """Put `data` as JSON in place of the file that may be there."""
    content = json_bytes(data)
    store.replace(name, lambda file: file.write(content), durable)
