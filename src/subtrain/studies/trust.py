"""Whose a study is: its own user's task may run, a stranger's only if the user says so.

Each user has a secret key on the machine. What a study's task is made of is signed with it when the study is created,
so that nobody else can make a study whose code runs without a word.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from subtrain.errors import InputError
from subtrain.store.protocol import Store, as_json
from subtrain.tasks.base import Source, Task
from subtrain.tasks.loading.load import load_task
from subtrain.tasks.loading.task_factory import searches_current_folder, strangers

KEY, BYTES = "key", 32


@dataclass(frozen=True)
class Making:
    """How a study's task is made here. own: this user named its source or made the study; else a stranger's source,
    which the user trusts."""

    source: Source
    own: bool

    def task(self) -> Task:
        """Make it; InputError when that fails, or it is a stranger's and no task factory."""
        file = self.source.place.rpartition(":")[0]
        if file.endswith(".py") and os.path.isabs(file) and not os.path.isfile(file):
            raise InputError(
                f"there is no file {file} to load the task from: if it has moved, or is not what it was, say where it "
                "is with --task FILE.py:NAME (task=…)"
            )
        if self.own:
            return load_task(self.source.place, self.source.params)[0]
        with strangers():
            return load_task(self.source.place, self.source.params)[0]

    @property
    def searches_current_folder(self) -> bool:
        """Whether its module may lie in the current folder."""
        return searches_current_folder(self.source.place, self.own)

    def to_json(self) -> dict[str, Any]:
        return {"source": self.source.to_json(), "own": self.own}

    @staticmethod
    def from_json(data: dict[str, Any]) -> Making:
        return Making(Source.from_json(data["source"]), data["own"])


def sign(identity: str, source: Source) -> str | None:
    """What says that this user made a study of this identity with this source; None for a user without a key."""
    key = _key(create=True)
    return None if key is None else _mac(key, identity, source)


def signed(identity: str, source: Source, signature: object) -> bool:
    """Whether this user signed that."""
    key = _key(create=False)
    if key is None or not isinstance(signature, str):
        return False
    return hmac.compare_digest(_mac(key, identity, source).encode(), signature.encode(errors="replace"))


def state() -> Path | None:
    """The folder of this user for what only this user may read; None if there is none."""
    given = os.environ.get("SUBTRAIN_STATE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_STATE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".local" / "state") / "subtrain"
    except RuntimeError:  # a user without a home
        return None


def located(source: Source, store: Store) -> Source:
    """A source of this user's own study, with its file where it is now: where it was, or where it was from the study or
    the current folder; there only the same file, for others may have had the folder since."""
    if not source.file or os.path.isfile(source.file):
        return source
    root = store.path()
    tried = [] if root is None or not source.beside else [Path(os.path.realpath(root), source.beside)]
    for place in (*tried, Path(source.name.rpartition(":")[0])):
        if _sha256(place) == source.sha256:
            return replace(source, file=os.path.abspath(place))
    return source


def beside(source: Source, store: Store) -> Source:
    """The source with its file's place as it is seen from the study, and what is in it."""
    root = store.path()
    if not source.file:
        return source
    there = "" if root is None else os.path.relpath(os.path.realpath(source.file), os.path.realpath(root))
    return replace(source, beside=there, sha256=_sha256(Path(source.file)) or "")


def _sha256(path: Path) -> str | None:
    with suppress(OSError):
        if path.is_file():
            return hashlib.sha256(path.read_bytes()).hexdigest()
    return None


def _mac(key: bytes, identity: str, source: Source) -> str:
    text = json.dumps(as_json([identity, source.to_json()]), sort_keys=True)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def keyless() -> str | None:
    """Why nothing tells this user's studies from those of others, and what to do; None for a user who has a key."""
    if _key(create=True) is not None:
        return None
    folder = state()
    if folder is None:
        return "you have no home folder for a key to tell by: let SUBTRAIN_STATE name a folder of yours"
    if os.path.lexists(folder / KEY):
        return f"{folder / KEY}, a key to tell by, is not yours alone to read, or damaged: delete it to get a new one"
    return f"no key to tell by can be kept in {folder}: let SUBTRAIN_STATE name a folder that you can write to"


def _key(create: bool) -> bytes | None:
    """This user's key, made now if there is none; None where none can be read or kept as a secret."""
    folder = state()
    if folder is None:
        return None
    try:
        found = _read(folder / KEY)
        if found is None and create:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make(folder)
            found = _read(folder / KEY)
    except OSError:
        return None
    return found


def _read(path: Path) -> bytes | None:
    """The key in this file; None if there is none, or others could have read or written it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        secret = stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid() and not about.st_mode & 0o077
        content = file.read(BYTES + 1) if secret else b""
    return content if len(content) == BYTES else None


def _make(folder: Path) -> None:
    """Put a new key in place, whole, unless another process does so first."""
    temporary = folder / f".{KEY}.{os.getpid()}.{secrets.token_hex(4)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(BYTES))
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            try:
                os.link(temporary, folder / KEY)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links
                if not (folder / KEY).exists():
                    os.rename(temporary, folder / KEY)
    finally:
        temporary.unlink(missing_ok=True)


def words(source: Source) -> str:
    """A source as a message names it, every character of it shown: name and parameters."""
    name = json.dumps(source.place)[1:-1]
    return f"{name} with {json.dumps(dict(source.params))}" if source.params else name


def untrusted(location: str, source: Source) -> InputError:
    """The sentence of who would run a stranger's code unawares."""
    without = keyless()
    why = f"may not be yours ({without})" if without else "was not created by you on this machine"
    return InputError(
        f"{location} {why}, so its training code is not run: it names the task {words(source)}. Say --trust "
        "(trust=True) "
        "if you trust that, or give the task yourself with --task (task=…)"
    )


def making_of(store: Store, identity: str, source: Source | None, signature: object, trust: bool) -> Making:
    """How the task of the study in this store is made here: by its own source, if its user created or trusts it."""
    if source is None:
        raise InputError(
            f"{store.location()} does not know how to make its task again: give it (task=…, or --task module:name)"
        )
    if signed(identity, source, signature):
        return Making(located(source, store), own=True)
    if not trust:
        raise untrusted(store.location(), source)
    return Making(source, own=False)
