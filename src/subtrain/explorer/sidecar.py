"""What the explorer keeps beside a fit so that every answer is a short read: made once, in one pass over the fit."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.errors import CorruptError, InputError
from subtrain.explorer.tables import tables
from subtrain.explorer.transposed import Strongest, transpose
from subtrain.fits import fit_prefix, load_fit
from subtrain.store.base import Store, put_json, read_json
from subtrain.store.folder import Folder
from subtrain.store.places import cache
from subtrain.store.rows import open_npy, parse_npy
from subtrain.store.study import FIT_META, Study

FORMAT = 3
FOLDER = "explorer"
Progress = Callable[[str, int, int], None]


def nothing(stage: str, done: int, total: int) -> None:
    """Progress that nobody follows."""


@dataclass(frozen=True, eq=False)
class Sidecar:
    """weight: float32 [T, n], target-major, mapped; about: as JSON, its version and evaluation; tables: small arrays by
    name, see `tables` and `Strongest`."""

    version: str
    weight: NDArray[np.float32] = field(repr=False)
    tables: Mapping[str, NDArray[Any]] = field(repr=False)
    about: Mapping[str, Any] = field(repr=False)


def version_of(study: Study, name: str) -> str | None:
    """Digest that changes with every refit; None while there is no whole fit of this name."""
    folder = fit_prefix(name)
    try:
        meta = study.store.read(f"{folder}/{FIT_META}")
    except FileNotFoundError:
        return None
    files = sorted(
        (e.name, e.size, e.modified) for e in study.store.entries(folder) if e.name.count("/") == folder.count("/") + 1
    )
    arrays = [entry for entry in files if entry[0].endswith(".npy")]
    return hashlib.sha256(meta + repr(arrays).encode()).hexdigest()[:16]


def open_sidecar(study: Study, name: str, progress: Progress = nothing) -> tuple[Datamodels, Sidecar]:
    """The fit and its sidecar, which is made now if the fit is new; InputError says if there is no such fit.

    A fit that is put in place of another meanwhile is read again, so that the two always belong together.
    """
    while True:
        version = version_of(study, name)
        try:
            dm = load_fit(study, name)
        except CorruptError:
            if version == version_of(study, name):
                raise
            continue
        if version is None or version != version_of(study, name):
            continue
        store = _place(study)
        folder = f"{fit_prefix(name)}/{FOLDER}"
        return dm, _opened(store, folder, version) or _made(study, dm, store, folder, version, progress)


def _place(study: Study) -> Store:
    """The study itself where this process may write to a folder of it, else a folder of this machine."""
    root = study.store.path()
    if root is not None and os.access(root, os.W_OK):
        return study.store
    digest = hashlib.sha256(study.store.address.encode(errors="surrogateescape")).hexdigest()[:16]
    found = Folder(cache() / f"{FOLDER}-{digest}")
    found.prepare()
    return found


def _opened(store: Store, folder: str, version: str) -> Sidecar | None:
    """The sidecar of this version, None if there is none or a damaged one, which is made again."""
    try:
        about = read_json(store, f"{folder}/sidecar.json")
        if (about["format"], about["version"]) != (FORMAT, version):
            return None
        weight = _array(store, f"{folder}/weight-{version}.npy")
        with np.load(io.BytesIO(store.read(f"{folder}/tables-{version}.npz")), allow_pickle=False) as found:
            return Sidecar(version, weight, dict(found), about)
    except (FileNotFoundError, CorruptError, InputError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        return None


def _made(study: Study, dm: Datamodels, store: Store, folder: str, version: str, progress: Progress) -> Sidecar:
    """Make it: the target-major weights first, `sidecar.json`, which makes it whole, last; older ones go then."""
    strongest = Strongest.empty(dm)

    def write(file: BinaryIO) -> None:
        transpose(dm, file, strongest, progress)

    store.replace(f"{folder}/weight-{version}.npy", write)
    weight = _array(store, f"{folder}/weight-{version}.npy")
    found, about = tables(study, dm, weight, progress)
    buffer = io.BytesIO()
    np.savez(buffer, **strongest.arrays(), **found)  # type: ignore[arg-type]
    store.replace(f"{folder}/tables-{version}.npz", lambda file: file.write(buffer.getbuffer()))
    put_json(store, f"{folder}/sidecar.json", {"format": FORMAT, "version": version, **about})
    for name in store.names(folder):
        if version not in name and not name.endswith("sidecar.json"):
            store.delete(name)
    made = _opened(store, folder, version)
    if made is None:
        raise CorruptError(f"what the explorer keeps in {store.where(folder)} cannot be read back: is the disk full?")
    return made


def _array(store: Store, name: str) -> NDArray[Any]:
    path = store.path(name)
    return open_npy(path) if path is not None else parse_npy(store.read(name), store.where(name))
