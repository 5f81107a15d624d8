"""Digests that travel with what they are of: inside a JSON file, and of whole files beside it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from subtrain.errors import CorruptError
from subtrain.store.atomic_files import open_regular, storage_errors
from subtrain.store.protocol import Store, Write, as_json, put_json, read_json

SEAL = "seal"
CHANGED = "its bytes have changed since they were written"
# A file of this size or more is hashed once by a process, as long as the system says that it is the same file.
_LARGE = 64 << 20
_known: set[tuple[object, ...]] = set()


def sealed(data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with the sha256 of all of it, which `unsealed` compares."""
    plain: dict[str, Any] = as_json(data)
    plain.pop(SEAL, None)
    return {**plain, SEAL: _digest(plain)}


def unsealed(data: Any, location: object, required: bool = True) -> dict[str, Any]:
    """`data` as it was before `sealed`; CorruptError that names `location` it was if anything in it has changed.

    required: False for what version 0.1.0 may have written, without a seal.
    """
    if not isinstance(data, dict):
        raise CorruptError(f"{location} is damaged: it is no table")
    plain = {key: value for key, value in data.items() if key != SEAL}
    if (required or SEAL in data) and data.get(SEAL) != _digest(plain):
        raise CorruptError(f"{location} is damaged: {CHANGED}")
    return plain


def put_sealed(store: Store, name: str, data: Mapping[str, Any]) -> None:
    """Put `data` as sealed JSON in place of the file that may be there."""
    put_json(store, name, sealed(data))


def read_sealed(store: Store, name: str, required: bool = True) -> dict[str, Any]:
    """The data of a sealed JSON file; CorruptError if it is not as it was written."""
    return unsealed(read_json(store, name), store.location(name), required)


def replace_hashed(store: Store, name: str, write: Write) -> str:
    """Put a file in place of the one that may be there; returns its sha256."""
    digest = ""

    def hashed(file: BinaryIO) -> None:
        nonlocal digest
        through: Any = Hashing(file)
        write(through)
        digest = through.sha256.hexdigest()

    store.replace(name, hashed)
    return digest


class Hashing:
    """A file that is hashed while it is written; None where only its digest is wanted."""

    def __init__(self, file: BinaryIO | None) -> None:
        self.file = file
        self.sha256 = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        return self.file.write(data) if self.file else len(data)

    def flush(self) -> None:
        if self.file:
            self.file.flush()


def verify_bytes(data: bytes, sha256: object, location: object) -> None:
    """CorruptError that names `location` the bytes were unless they have this digest."""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CorruptError(f"{location} is damaged: {CHANGED}")


def verify_file(path: Path, sha256: object) -> None:
    """CorruptError unless the file has this digest. A large one that has not changed meanwhile is read only once."""
    with storage_errors(path, "read"), open_regular(path) as file:
        about = os.fstat(file.fileno())
        key = (sha256, about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
        if key in _known:
            return
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise CorruptError(f"{path} is damaged: {CHANGED}")
        if about.st_size >= _LARGE:
            _known.add(key)


def _digest(plain: Mapping[str, Any]) -> str:
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
