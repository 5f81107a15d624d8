"""A `logdir` of the reference code as a study: spec.json, one array per key, and which rows were completed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from subtrain.errors import InputError
from subtrain.outputs import Output
from subtrain.store import files
from subtrain.store.imported import import_arrays
from subtrain.store.rows import open_npy
from subtrain.store.study import MANIFEST, Study

COMPLETED = "_completed.npy"
# Where a module's models are collected before the whole becomes a study, with the masks they return as its design.
TRAINED = "trained"
_CHUNK = 1024


def import_reference(
    logdir: str | Path, path: str | Path | None = None, masks: str | None = None, heldout: int | None = None
) -> Study:
    """A study from a folder that the reference code's training workers filled, finished or not.

    It may be one that `collect_reference` is filling: then of the models that have landed, which are copied. path: the
    study's folder, by default `study` in the logdir. masks: the key of the array that says who was trained on whom, by
    default the only one of 0 and 1 whose name holds "mask". Rows that `_completed` does not mark are left out; if there
    are any, the completed ones are copied into the study, else arrays are read where they lie. Raises InputError when
    the folder is not such a logdir, or its arrays are not as its spec says.
    """
    root = Path(logdir)
    place = Path(path) if path is not None else root / "study"
    if (root / TRAINED / MANIFEST).is_file():
        _refuse_existing(place)
        return import_landed(Study.open(root / TRAINED), place, masks, heldout)
    arrays = _arrays(root)
    key = masks or guess_masks(arrays)
    if key not in arrays:
        raise InputError(f"{root} has no array {key!r}; it has {', '.join(arrays)}")
    if len(arrays) == 1:
        raise InputError(f"{root} holds masks only, no outputs to learn from")
    done = _enough(root, np.flatnonzero(_completed(root, len(arrays[key]))))
    sources = {name: root / f"{name}.npy" for name in arrays}
    if done.size < len(arrays[key]):
        _refuse_existing(place)
        sources = {name: _copied(place, name, arrays[name], done) for name in arrays}
    return import_arrays(place, sources.pop(key), sources, heldout)


def import_landed(trained: Study, place: Path, masks: str | None = None, heldout: int | None = None) -> Study:
    """A study in `place` of those models of `trained` that are committed, with the masks that they returned."""
    rows, schema = _enough(trained.where, trained.done()), trained.outputs
    key = masks or guess_masks({name: trained.read(name, rows[:16]) for name in schema})
    if key not in schema or len(schema) < 2:
        raise InputError(f"the spec must declare the masks and at least one output; it has {', '.join(schema)}")
    arrays = {}
    for name, one in schema.items():
        parts = (trained.read(name, rows[i : i + _CHUNK]) for i in range(0, rows.size, _CHUNK))
        arrays[name] = write_array(place / "arrays" / f"{name}.npy", (rows.size, *one.shape), one.dtype, parts)
    return import_arrays(place, arrays.pop(key), arrays, heldout)


def _enough(where: object, done: NDArray[np.int64]) -> NDArray[np.int64]:
    if done.size < 2:
        raise InputError(f"{where} has {done.size} completed models; there is nothing to import yet")
    return done


def guess_masks(arrays: dict[str, NDArray[Any]]) -> str:
    """The key of the masks by its name and values; InputError unless exactly one fits."""
    fit = [name for name, array in arrays.items() if "mask" in name.lower() and array.ndim == 2 and _binary(array)]
    if len(fit) != 1:
        said = "several of its arrays could be" if fit else "none of its arrays is called"
        raise InputError(f"{said} masks: say which with masks (--masks KEY); they are {', '.join(fit or arrays)}")
    return fit[0]


def _binary(array: NDArray[Any]) -> bool:
    sample = np.asarray(array[:16])
    return bool(((sample == 0) | (sample == 1)).all())


def read_spec(path: Path) -> tuple[int, dict[str, Output]]:
    """Models and the arrays of each, of a spec.json; InputError unless it is one."""
    try:
        spec = files.read_json(path)
    except FileNotFoundError:
        raise InputError(f"there is no {path}: it says what the reference code's modules return") from None
    try:
        models = int(spec["num_models"])
        schema = {k: Output(tuple(one["shape"]) or (1,), one["dtype"]) for k, one in spec["schema"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} must hold num_models and a schema of shapes and dtypes: {error!r}") from error
    if not schema or not all(name.isidentifier() for name in schema):
        raise InputError(f"{path} must name at least one array, in plain words, got {list(schema)}")
    return models, schema


def _arrays(root: Path) -> dict[str, NDArray[Any]]:
    """The arrays that spec.json declares, memory-mapped; InputError where they differ from it."""
    models, schema = read_spec(root / "spec.json")
    found = {}
    for name, spec in schema.items():
        found[name] = open_npy(root / f"{name}.npy")
        shape = (models, *spec.shape)
        is_, said = found[name], f"spec.json says {spec.dtype} {list(shape)}"
        flat = (models,) if spec.shape == (1,) else shape
        if is_.shape not in (shape, flat) or is_.dtype != np.dtype(spec.dtype):
            raise InputError(f"{root / name}.npy is {is_.dtype} {list(is_.shape)}, but {said}")
    return found


def _completed(root: Path, models: int) -> NDArray[np.bool_]:
    flags = open_npy(root / COMPLETED)
    if flags.shape != (models,):
        raise InputError(f"{root / COMPLETED} has shape {list(flags.shape)}, but there are {models} models")
    return np.asarray(flags, bool)


def _refuse_existing(place: Path) -> None:
    if (place / MANIFEST).exists():
        raise InputError(f"{place} is a study already; choose another folder")


def _copied(place: Path, name: str, array: NDArray[Any], rows: NDArray[np.int64]) -> Path:
    shape = (rows.size, *array.shape[1:])
    parts = (array[rows[i : i + _CHUNK]] for i in range(0, rows.size, _CHUNK))
    return write_array(place / "arrays" / f"{name}.npy", shape, array.dtype, parts)


def write_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike, parts: Iterable[NDArray[Any]]) -> Path:
    """A .npy file written part by part, whole or not at all."""
    with files.storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}

    def write(file: BinaryIO) -> None:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.ascontiguousarray(part).tobytes())

    files.replace(path, write)
    return path
