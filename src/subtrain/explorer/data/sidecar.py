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
from subtrain.explorer.data.summaries import tables
from subtrain.explorer.data.target_major import Strongest, transpose
from subtrain.fits import fit_prefix, load_fit
from subtrain.store.addresses import cache
from subtrain.store.folder import Folder
from subtrain.store.npy_files import open_verified, parse_npy
from subtrain.store.protocol import JSON_BYTES, Store, read_capped, read_json
from subtrain.store.seal import put_sealed, replace_hashed, unsealed, verify_bytes
from subtrain.studies.manifest import UNSEALED
from subtrain.studies.stored_study import FIT_META
from subtrain.study import Study

FORMAT = 4
_DAMAGE = (FileNotFoundError, CorruptError, InputError, KeyError, TypeError, ValueError, zipfile.BadZipFile)
FOLDER, ABOUT = "explorer", "sidecar.json"
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
        meta = read_capped(study.store, f"{folder}/{FIT_META}", JSON_BYTES)
    except FileNotFoundError:
        return None
    # The metadata hold the digests of the arrays, but for those of version 0.1.0.
    arrays = [] if study.format != UNSEALED else _files(study, folder)
    return hashlib.sha256(meta + repr(arrays).encode()).hexdigest()[:16]


def _files(study: Study, folder: str) -> list[tuple[str, int, float]]:
    found = ((entry.name, entry.size, entry.modified) for entry in study.store.entries(folder))
    return sorted(one for one in found if one[0].count("/") == folder.count("/") + 1 and one[0].endswith(".npy"))


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


def make_sidecar(study: Study, dm: Datamodels, store: Store) -> Sidecar:
    """The sidecar of datamodels that are no fit of the study, kept in another store."""
    return _made(study, dm, store, FOLDER, "unsaved", nothing)


def examine_sidecar(study: Study, name: str) -> None:
    """CorruptError if what is kept beside this fit for the explorer is damaged; it is made again when it is needed."""
    store, folder = _place(study), f"{fit_prefix(name)}/{FOLDER}"
    if not store.exists(f"{folder}/{ABOUT}"):
        return
    try:
        _read(store, folder, version_of(study, name))
    except _DAMAGE as error:
        raise CorruptError(f"{error}; it is made again when the fit is explored") from error


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
        return _read(store, folder, version)
    except _DAMAGE:
        return None


def _read(store: Store, folder: str, version: str | None) -> Sidecar | None:
    """The sidecar, None if it is of another fit or version of subtrain."""
    about = read_json(store, f"{folder}/{ABOUT}")
    if not isinstance(about, dict) or about.get("format", FORMAT) < FORMAT:
        return None
    about = unsealed(about, store.location(f"{folder}/{ABOUT}"))
    if version is None or (about["format"], about["version"]) != (FORMAT, version):
        return None
    weight, packed = f"{folder}/weight-{version}.npy", f"{folder}/tables-{version}.npz"
    data = read_capped(store, packed, about["bytes"])
    verify_bytes(data, about["sha256"]["tables"], store.location(packed))
    opened = _array(store, weight, about["sha256"]["weight"])
    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        return Sidecar(version, opened, dict(found), about)


def _made(study: Study, dm: Datamodels, store: Store, folder: str, version: str, progress: Progress) -> Sidecar:
    """Make it: the target-major weights first, `sidecar.json`, which makes it whole, last; older ones go then."""
    strongest = Strongest.empty(dm)

    def write(file: BinaryIO) -> None:
        transpose(dm, file, strongest, progress)

    digest = replace_hashed(store, f"{folder}/weight-{version}.npy", write)
    weight = _array(store, f"{folder}/weight-{version}.npy", digest)
    found, about = tables(study, dm, weight, progress)
    buffer = io.BytesIO()
    np.savez(buffer, **strongest.arrays(), **found)  # type: ignore[arg-type]
    packed = buffer.getvalue()
    digests = {
        "weight": digest,
        "tables": replace_hashed(store, f"{folder}/tables-{version}.npz", lambda file: file.write(packed)),
    }
    made_of = {"format": FORMAT, "version": version, "sha256": digests, "bytes": len(packed)}
    put_sealed(store, f"{folder}/{ABOUT}", {**about, **made_of})
    for name in store.names(folder):
        if version not in name and not name.endswith(ABOUT):
            store.delete(name)
    made = _opened(store, folder, version)
    if made is None:
        raise CorruptError(
            f"what the explorer keeps in {store.location(folder)} cannot be read back: is the disk full?"
        )
    return made


def _array(store: Store, name: str, sha256: str) -> NDArray[Any]:
    path = store.path(name)
    if path is not None:
        return open_verified(path, sha256)
    data = store.read(name)
    verify_bytes(data, sha256, store.location(name))
    return parse_npy(data, store.location(name))
