"""From an address to the store there, and to the folder of this machine for what stays on it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from subtrain.errors import InputError
from subtrain.store.folder import Folder
from subtrain.store.memory import IN_MEMORY, SCHEME, Memory, open_memory
from subtrain.store.protocol import Store
from subtrain.system.paths import local_path

S3 = "s3://"


def open_store(address: str | os.PathLike[str] | Store) -> Store:
    """The store at a path, an `s3://bucket/prefix` or `:memory:`; a store is passed through. Nothing is touched yet."""
    if not isinstance(address, (str, os.PathLike)):
        return address
    text = os.fspath(address)
    if text.startswith(S3):
        from subtrain.store.bucket import open_bucket

        return open_bucket(text)
    if text == IN_MEMORY or text.startswith(SCHEME):
        return open_memory(text)
    if "://" in text:
        raise InputError(f"{text} is neither a folder nor an {S3}bucket/prefix")
    return Folder(local_path(text))


def local_folder(store: Store) -> Path:
    """Where what never leaves this machine goes (logs of workers, counts): the study's own folder, or for a bucket one
    below $SUBTRAIN_CACHE, by default ~/.cache/subtrain, or for one in memory a temporary one."""
    folder = store.local() if isinstance(store, Memory) else store.path()
    if folder is not None:
        return folder
    digest = hashlib.sha256(store.address.encode()).hexdigest()[:8]
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", store.address.removeprefix(S3)).strip("-.")
    return cache() / f"{name[-80:]}-{digest}"


def cache() -> Path:
    """The folder of this user and machine for what can be made again."""
    given = os.environ.get("SUBTRAIN_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return local_path(given) if given else local_path(base) / "subtrain"
