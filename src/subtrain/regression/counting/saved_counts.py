"""Counts in a folder: one .npy file an array, and counts.json, which names them with their digests and is put last."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import CorruptError, InputError
from subtrain.regression.counting.compact_gram import CompactGram
from subtrain.regression.counting.counts import OF_OUTPUTS, Counts
from subtrain.regression.counting.model_stream import Tail
from subtrain.store import atomic_files
from subtrain.store.seal import Hashing
from subtrain.system.paths import local_path

HEAD = "counts.json"
SUMS = ("ones", "xty", *OF_OUTPUTS)
# What counts of version 0.1.0 do not have.
ADDED = "y_dev"
DEVIATIONS = ("deviation", "rate", "key", "value")


@dataclass(frozen=True)
class Saved:
    """Counts as found in a folder; tail: the last models of the stream they count, None if they are of no stream."""

    counts: Counts
    kind: str
    tail: Tail | None


def save_counts(path: str | os.PathLike[str], counts: Counts) -> None:
    """Keep counts in the folder `path`, in place of any there; whoever reads meanwhile finds the old or the new ones.

    The arrays are plain .npy files; counts.json names them with their sha256.
    """
    folder = local_path(path)
    with atomic_files.storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    save(folder, counts, True, None)


def load_counts(path: str | os.PathLike[str]) -> Counts:
    """The counts that `save_counts` or `count_blocks(resume=...)` kept in the folder `path`.

    Raises InputError when there are none, CorruptError that names the file when one is damaged.
    """
    found = load(local_path(path))
    if found is None:
        raise InputError(f"there are no counts in {path}: it has no {HEAD}")
    return found.counts


def save(folder: Path, counts: Counts, finished: bool, tail: Tail | None) -> None:
    """`save_counts` of finished counts, or of a stream's so far, of whose Gram only the lower triangle is right.

    StorageError if the folder is not there (any more).
    """
    edition = uuid4().hex[:12]
    arrays: dict[str, NDArray[Any]] = {name: getattr(counts, name) for name in SUMS}
    if isinstance(counts.gram, CompactGram):
        arrays |= {name: getattr(counts.gram, name) for name in DEVIATIONS}
    else:
        arrays["gram"] = counts.gram
    if tail is not None and tail.masks is not None and tail.outputs is not None:
        arrays |= {"last_masks": tail.masks, "last_outputs": tail.outputs}
    named = {name: _put(folder, f"{name}-{edition}.npy", array) for name, array in arrays.items()}
    head = {
        "m": counts.m,
        "n": counts.n,
        "gram": kind_of(counts),
        "finished": finished,
        "last": None if tail is None else tail.digest,
        "arrays": named,
    }
    head["sha256"] = _digest(head)
    atomic_files.replace(folder / HEAD, lambda file: file.write(atomic_files.json_bytes(head)))
    _sweep(folder, {entry["file"] for entry in named.values()})


def load(folder: Path) -> Saved | None:
    """What is in the folder; None if there are no counts."""
    from subtrain.regression.counting.counting_pass import finish

    if not (folder / HEAD).exists():
        return None
    head = atomic_files.read_json(folder / HEAD)
    try:
        digest = head.pop("sha256")
        if digest != _digest(head):
            raise CorruptError(_damaged(folder / HEAD))
        got = {name: _get(folder, name, entry) for name, entry in head["arrays"].items()}
        m, ones = int(head["m"]), got["ones"]
        gram: Any = got.get("gram")
        if head["gram"] == "compact":
            gram = CompactGram(m, got["deviation"], got["rate"], ones, got["key"], got["value"])
        counts = Counts(
            m=m, n=int(head["n"]), gram=gram, **{name: got[name] for name in SUMS if name in got or name != ADDED}
        )
        tail = None if head["last"] is None else Tail(got.get("last_masks"), got.get("last_outputs"), head["last"])
        if not head["finished"]:
            finish(counts, 1)
        return Saved(counts, head["gram"], tail)
    except (KeyError, TypeError, AttributeError) as error:
        raise CorruptError(_damaged(folder / HEAD)) from error


def kind_of(counts: Counts) -> str:
    """The form of the counts' Gram: dense, compact or none."""
    if isinstance(counts.gram, CompactGram):
        return "compact"
    return "dense" if len(counts.gram) == counts.n else "none"


def _put(folder: Path, name: str, array: NDArray[Any]) -> dict[str, str]:
    digest = ""

    def write(file: BinaryIO) -> None:
        nonlocal digest
        through: Any = Hashing(file)
        np.lib.format.write_array(through, np.ascontiguousarray(array), allow_pickle=False)
        digest = through.sha256.hexdigest()

    try:
        atomic_files.replace(folder / name, write)
    except FileNotFoundError:
        raise atomic_files.gone(folder) from None
    return {"file": name, "sha256": digest}


def _get(folder: Path, name: str, entry: dict[str, str]) -> NDArray[Any]:
    path = folder / entry["file"]
    if path.parent != folder or not path.name.startswith(f"{name}-"):
        raise CorruptError(_damaged(folder / HEAD))
    try:
        with atomic_files.open_regular(path) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != entry["sha256"]:
                raise CorruptError(_damaged(path))
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise CorruptError(_damaged(path)) from error
    return array


def _sweep(folder: Path, keep: set[str]) -> None:
    """Remove the arrays of editions before this one."""
    atomic_files.sweep_temporaries(folder)
    for path in folder.glob("*-????????????.npy"):
        if path.name not in keep:
            path.unlink(missing_ok=True)


def _digest(head: dict[str, Any]) -> str:
    return hashlib.sha256(atomic_files.json_bytes(head)).hexdigest()


def _damaged(path: Path) -> str:
    return (
        f"saved counts are damaged: {path} is missing or not as it was written; delete the folder {path.parent} and "
        "count again"
    )
