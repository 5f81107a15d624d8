"""A `logdir` of the reference code as a study: one array per key, and which rows were completed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from subtrain.errors import InputError
from subtrain.outputs import plain_names
from subtrain.store import atomic_files
from subtrain.store.npy_files import npy_header, open_npy
from subtrain.studies.imports.arrays import folder_to_import_into, import_arrays
from subtrain.studies.imports.logdir import read_logdir
from subtrain.studies.manifest import MANIFEST
from subtrain.studies.stored_study import StoredStudy
from subtrain.system.paths import local_path
from subtrain.system.user_warning import warn_user
from subtrain.tasks.reference import MASKS

# Where a module's models are collected before the whole becomes a study, with the masks they return as its design.
TRAINED = "trained"
_CHUNK = 1024


def import_reference(
    logdir: str | Path,
    path: str | Path | None = None,
    masks: str | None = None,
    heldout: int | None = None,
    spec: str | Path | None = None,
) -> StoredStudy:
    """A study from a folder that the reference code's training workers filled, finished or not.

    It may be one that `collect_reference` is filling: then of the models that have landed, which are copied.
    path: the study's folder, by default LOGDIR-study beside the logdir, which is only read.
    masks: the key of the array that says who was trained on whom, by default the only one of 0 and 1 whose name holds
    "mask", "masks" before all others.
    heldout: how many of the last rows are only for judging, by default a tenth.
    spec: the spec.json that the logdir was made with; by default every .npy file is taken that has a row a model.
    Rows that `_completed` does not mark are left out; if there are any, the completed ones are copied into the study,
    else arrays are read where they lie. Raises InputError when the folder is not such a logdir, or its arrays are not
    as its spec says.
    """
    root = local_path(logdir)
    place = folder_to_import_into(path) if path is not None else beside(root)
    if (root / TRAINED / MANIFEST).is_file():
        _refuse_existing(place)
        return import_landed(StoredStudy.open(root / TRAINED), place, masks, heldout)
    sources, completed, notes = read_logdir(root, local_path(spec) if spec is not None else None)
    key = _masks_key({name: open_npy(source) for name, source in sources.items()}, masks)
    if len(sources) == 1:
        raise InputError(f"{root} holds masks only, no outputs to learn from")
    done = _enough(root, np.flatnonzero(completed))
    _refuse_existing(place)
    for note in notes:
        warn_user(note)
    if done.size < completed.size:
        sources = {name: _copied(place, name, open_npy(source), done) for name, source in sources.items()}
    return import_arrays(place, sources.pop(key), sources, heldout, left_out=completed.size - done.size)


def import_landed(
    trained: StoredStudy, place: Path, masks: str | None = None, heldout: int | None = None
) -> StoredStudy:
    """A study in `place` of those models of `trained` that are committed, with the masks that they returned."""
    rows, schema = _enough(trained.location, trained.done()), trained.outputs
    key = _masks_key({name: trained.read(name, rows[:16]) for name in schema}, masks)
    if len(schema) < 2:
        raise InputError(f"the spec must declare the masks and at least one output; it has {', '.join(schema)}")
    arrays = {}
    for name, one in schema.items():
        parts = (trained.read(name, rows[i : i + _CHUNK]) for i in range(0, rows.size, _CHUNK))
        arrays[name] = write_array(place / "arrays" / f"{name}.npy", (rows.size, *one.shape), one.dtype, parts)
    return import_arrays(place, arrays.pop(key), arrays, heldout, left_out=trained.models - rows.size)


def beside(root: Path) -> Path:
    """The default place of a logdir's study: the logdir itself is only read."""
    whole = root.resolve()
    return whole.with_name(f"{whole.name}-study")


def _enough(location: object, done: NDArray[np.int64]) -> NDArray[np.int64]:
    if done.size < 2:
        raise InputError(f"{location} has {done.size} completed models; there is nothing to import yet")
    return done


def _masks_key(arrays: Mapping[str, NDArray[Any]], masks: str | None) -> str:
    if masks is None:
        return guess_masks(arrays)
    key = plain_names([masks])[masks]
    if key not in arrays:
        raise InputError(f"there is no array {masks!r}; there are {', '.join(arrays)}")
    return key


def guess_masks(arrays: Mapping[str, NDArray[Any]]) -> str:
    """The key of the masks by its name and values; InputError unless exactly one fits."""
    called = [name for name, array in arrays.items() if "mask" in name.lower() and array.ndim == 2]
    fit = [name for name in called if _other(arrays[name]) is None]
    if MASKS in fit:
        return MASKS
    if called and not fit:
        raise InputError(
            f"{called[0]} holds {_other(arrays[called[0]])}, but masks are 1 where a model was trained on a unit and 0 "
            "elsewhere: repair them, or say which array is the masks with masks (--masks KEY)"
        )
    if len(fit) != 1:
        said = "several of its arrays could be" if fit else "none of its arrays is called"
        raise InputError(f"{said} masks: say which with masks (--masks KEY); they are {', '.join(fit or arrays)}")
    return fit[0]


def _other(array: NDArray[Any]) -> Any:
    """A value besides 0 and 1 in some rows; None where there is none."""
    sample = np.asarray(array[np.unique(np.linspace(0, len(array) - 1, 16).astype(np.int64))])
    others = sample[(sample != 0) & (sample != 1)]
    return others[0] if others.size else None


def _refuse_existing(place: Path) -> None:
    if (place / MANIFEST).exists():
        raise InputError(f"{place} is a study already; choose another folder")


def _copied(place: Path, name: str, array: NDArray[Any], rows: NDArray[np.int64]) -> Path:
    shape = (rows.size, *array.shape[1:])
    parts = (array[rows[i : i + _CHUNK]] for i in range(0, rows.size, _CHUNK))
    return write_array(place / "arrays" / f"{name}.npy", shape, array.dtype, parts)


def write_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike, parts: Iterable[NDArray[Any]]) -> Path:
    """A .npy file written part by part, whole or not at all."""
    with atomic_files.storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(file: BinaryIO) -> None:
        file.write(npy_header(dtype, shape))
        for part in parts:
            file.write(np.ascontiguousarray(part).tobytes())

    atomic_files.replace(path, write)
    return path
