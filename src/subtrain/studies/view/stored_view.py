"""What is shown of a study's examples, stored in it as data: images, labels, texts and rows of tables.

Whoever looks at a study needs nothing else, and never the code of its task.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import CorruptError, InputError
from subtrain.formatting import size
from subtrain.store.protocol import Store, json_bytes, parse_json
from subtrain.store.seal import Hashing, verify_bytes
from subtrain.studies.view.arrays import images_within, open_array, write_array
from subtrain.studies.view.texts import columns_of, texts_of, whole_texts
from subtrain.tasks.base import View

FORMAT = 1
FOLDER = "view"
INDEX = f"{FOLDER}/index.json"
# Bytes that a study stores of its view, and those of its index and of one text that are read.
LIMIT = 512 << 20
INDEX_LIMIT = 16 << 20
# Characters that the page shows of a text.
CUT = 400
# Longest sides that the page needs of a picture: of a target, of a unit, and at least.
SIDES = (112, 64, 32)

T = TypeVar("T")


def keep_view(store: Store, fingerprint: str, view: View) -> None:
    """Store the view of the task with this fingerprint, unless one is stored.

    Images are shrunk and texts cut to what the page needs where the whole takes more than LIMIT bytes. Raises
    InputError if that is not enough. Of any number who do this at once one is heard.
    """
    if not store.exists(INDEX):
        put_view(store, fingerprint, bounded(view))


@dataclass(frozen=True, eq=False)
class Bounded:
    """A view as it is written: arrays and texts by kind and split, small enough. shrunk: longest side of images that
    were larger; cut: characters of longer texts; None where nothing was."""

    images: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    texts: Mapping[tuple[str, str], list[str | None]] = field(default_factory=dict)
    tables: Mapping[str, tuple[list[str], list[tuple[list[str], Any]]]] = field(default_factory=dict)
    shrunk: int | None = None
    cut: int | None = None


def bounded(view: View) -> Bounded:
    """The view as it can be stored; InputError if it is too large however it is shrunk."""
    texts = {("labels", split): texts_of(values) for split, values in view.labels.items()}
    texts |= {("texts", split): texts_of(values) for split, values in view.texts.items()}
    tables = {split: columns_of(table) for split, table in view.tables.items()}
    cut = None
    if _texts_bytes(texts) > LIMIT // 2:
        cut, texts = CUT, {key: texts_of(values, CUT) for key, values in texts.items()}
    others = _texts_bytes(texts) + sum(_part_bytes(part) for _, parts in tables.values() for _, part in parts)
    images, shrunk, pixels = images_within(view.images, LIMIT - others, SIDES)
    if others + pixels > LIMIT:
        raise InputError(
            f"what this task shows of its examples (its view) takes {size(others + pixels)} even with images shrunk to "
            f"{SIDES[-1]} pixels and texts cut, and a study stores at most {size(LIMIT)}: make the task with a smaller "
            "view, or create the study with --no-view (view=False) to show examples by number"
        )
    return Bounded(images, texts, tables, shrunk, cut)


def shows(view: View | None) -> bool:
    """Whether there is anything in it."""
    return view is not None and bool(view.images or view.labels or view.texts or view.tables)


def put_view(store: Store, fingerprint: str, parts: Bounded) -> None:
    """Write what `bounded` made, the index last; files have their digests in their names, so that any two who write
    the same do not disturb each other."""
    index: dict[str, Any] = {"format": FORMAT, "task": fingerprint, "shrunk": parts.shrunk, "cut": parts.cut}
    index |= {"images": {}, "labels": {}, "texts": {}, "tables": {}}
    for split, array in parts.images.items():
        index["images"][split] = _put(store, f"images-{split}", ".npy", lambda file, a=array: write_array(file, a))  # type: ignore[misc]
    for (kind, split), values in parts.texts.items():
        index[kind][split] = _put(store, f"{kind}-{split}", ".json", _json_writer(values))
    for split, (names, groups) in parts.tables.items():
        files = []
        for number, (columns, part) in enumerate(groups):
            write = _json_writer(part) if isinstance(part, list) else lambda file, a=part: write_array(file, a)
            kind = ".json" if isinstance(part, list) else ".npy"
            files.append({"columns": columns, **_put(store, f"table-{split}-{number}", kind, write)})
        index["tables"][split] = {"columns": names, "parts": files}
    index["sha256"] = _index_digest(index)
    store.commit_new(INDEX, lambda file: file.write(json_bytes(index)))


def read_view(store: Store, fingerprint: str) -> View | None:
    """The view that is stored, read when it is looked at; None if none is stored.

    CorruptError for one that is damaged or of another task.
    """
    if not store.exists(INDEX):
        return None
    location = store.location(INDEX)
    try:
        index = parse_json(store.read_range(INDEX, 0, INDEX_LIMIT), location)
        if index["format"] != FORMAT:
            raise InputError(f"{location} has format {index['format']}; this version of subtrain reads format {FORMAT}")
        if index["sha256"] != _index_digest(index) or index["task"] != fingerprint:
            raise CorruptError(
                f"{location} is damaged or another study's: delete its folder, and collect again to store it"
            )
        return _view(store, index)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptError(f"{location} is no index of a study's view: {error!r}") from error


def _view(store: Store, index: Mapping[str, Any]) -> View:
    def texts(kind: str) -> Lazy[list[str]]:
        return Lazy({split: _texts_opener(store, entry) for split, entry in index[kind].items()})

    images = {split: _array_opener(store, entry) for split, entry in index["images"].items()}
    tables = {split: Lazy(_column_openers(store, entry)) for split, entry in index["tables"].items()}
    return View(images=Lazy(images), labels=texts("labels"), texts=texts("texts"), tables=tables)


class Lazy(Mapping[str, T]):
    """A table whose values are made when they are first looked at."""

    def __init__(self, make: Mapping[str, Callable[[], T]]) -> None:
        self._make, self._made = make, dict[str, T]()

    def __getitem__(self, key: str) -> T:
        if key not in self._made:
            self._made[key] = self._make[key]()
        return self._made[key]

    def __contains__(self, key: object) -> bool:
        return key in self._make

    def __iter__(self) -> Iterator[str]:
        return iter(self._make)

    def __len__(self) -> int:
        return len(self._make)


def _array_opener(store: Store, entry: Mapping[str, str]) -> Callable[[], NDArray[Any]]:
    name, digest = _place(entry)
    return lambda: open_array(store, name, digest, LIMIT)


def _texts_opener(store: Store, entry: Mapping[str, str]) -> Callable[[], list[str]]:
    name, digest = _place(entry)
    return lambda: whole_texts(_checked_json(store, name, digest), store.location(name))


def _column_openers(store: Store, entry: Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
    """How each column of a table is opened, in the order of the table; files are opened once."""
    found: dict[str, Callable[[], Any]] = {}
    for part in entry["parts"]:
        name, digest = _place(part)
        whole = Lazy({"": partial(_column_part, store, name, digest)})
        for number, column in enumerate(part["columns"]):
            found[str(column)] = partial(_nth, whole, number)
    return {str(column): found[str(column)] for column in entry["columns"]}


def _nth(part: Mapping[str, Any], number: int) -> Any:
    return part[""][number]


def _column_part(store: Store, name: str, digest: str) -> Any:
    if name.endswith(".npy"):
        return open_array(store, name, digest, LIMIT)
    return [whole_texts(values, store.location(name)) for values in _checked_json(store, name, digest)]


def _checked_json(store: Store, name: str, digest: str) -> Any:
    try:
        data = store.read_range(name, 0, LIMIT + 1)
    except FileNotFoundError:
        raise CorruptError(f"{store.location(name)} is missing, and the study's view names it") from None
    verify_bytes(data, digest, store.location(name))
    return parse_json(data, store.location(name), LIMIT)


def _place(entry: Mapping[str, str]) -> tuple[str, str]:
    name, digest = entry["file"], entry["sha256"]
    if not name.startswith(f"{FOLDER}/") or not isinstance(digest, str):
        raise ValueError(f"{name!r} is no file of a view")
    return name, digest


def _put(store: Store, name: str, ending: str, write: Callable[[BinaryIO], object]) -> dict[str, str]:
    through: Any = Hashing(None)
    write(through)
    digest = through.sha256
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)
    file = f"{FOLDER}/{plain}-{digest.hexdigest()[:12]}{ending}"
    store.commit_new(file, write)
    return {"file": file, "sha256": digest.hexdigest()}


def _json_writer(values: object) -> Callable[[BinaryIO], object]:
    content = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
    return lambda file: file.write(content)


def _texts_bytes(texts: Mapping[Any, list[str | None]]) -> int:
    """What they take in a file."""
    each = (value for values in texts.values() for value in values)
    return sum(len(json.dumps(value, ensure_ascii=False).encode()) + 1 for value in each)


def _part_bytes(part: Any) -> int:
    return _texts_bytes(dict(enumerate(part))) if isinstance(part, list) else int(part.nbytes)


def _index_digest(index: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in index.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
