"""What lies in a `logdir` of the reference code: one array per key, and which rows were completed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.outputs import Output, plain_names
from subtrain.store import atomic_files
from subtrain.store.npy_files import open_npy

COMPLETED = "_completed.npy"
SPEC = "spec.json"


def read_spec(path: Path) -> tuple[int, dict[str, Output]]:
    """Models and the arrays of each, by plain names, of a spec.json; InputError unless it is one."""
    models, keys = _keys(path)
    words = plain_names(keys)
    return models, {words[key]: spec for key, spec in keys.items()}


def _keys(path: Path) -> tuple[int, dict[str, Output]]:
    try:
        spec = atomic_files.read_json(path)
    except FileNotFoundError:
        raise InputError(f"there is no {path}: it says what the reference code's modules return") from None
    try:
        models = int(spec["num_models"])
        schema = {k: Output(tuple(one["shape"]) or (1,), _dtype(one["dtype"])) for k, one in spec["schema"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} must hold num_models and a schema of shapes and dtypes: {error!r}") from error
    if not schema:
        raise InputError(f"{path} must name at least one array, got none")
    return models, schema


def _dtype(name: str) -> Any:
    """The reference takes any attribute of numpy, also those that only older versions of it have (float_)."""
    found = getattr(np, name, None)
    return found if isinstance(found, type) else name.rstrip("_")


def read_logdir(root: Path, spec: Path | None = None) -> tuple[dict[str, Path], NDArray[np.bool_], list[str]]:
    """The arrays of a logdir by plain names, which of its models are completed, and what was left out, in sentences.

    The reference leaves no spec in a logdir: then its arrays are all .npy files beside `_completed.npy` that have a
    row for each model. With a spec, given or in the logdir, they are those that it declares, and InputError is raised
    where they differ from it.
    """
    if not root.is_dir():
        raise InputError(f"there is no folder {root}")
    if not (root / COMPLETED).is_file():
        raise InputError(f"{root} is no logdir of the reference code: there is no file {COMPLETED} in it")
    flags = open_npy(root / COMPLETED)
    if flags.ndim != 1 or flags.dtype.kind not in "biu":
        raise InputError(f"{root / COMPLETED} is {flags.dtype} {list(flags.shape)}, but it must be bool, one a model")
    known = spec or (root / SPEC if (root / SPEC).is_file() else None)
    notes: list[str] = []
    found = _declared(root, known, len(flags)) if known is not None else _lying(root, len(flags), notes)
    words = plain_names(found)
    return {words[key]: path for key, path in found.items()}, np.asarray(flags, bool), notes


def _declared(root: Path, spec: Path, completed: int) -> dict[str, Path]:
    models, schema = _keys(spec)
    if completed != models:
        raise InputError(f"{root / COMPLETED} has {completed} rows, but {spec} says that there are {models} models")
    for key, one in schema.items():
        array = open_npy(root / f"{key}.npy")
        shape = (models, *one.shape)
        flat = (models,) if one.shape == (1,) else shape
        if array.shape not in (shape, flat) or array.dtype != np.dtype(one.dtype).newbyteorder(array.dtype.byteorder):
            is_, said = f"{array.dtype} {list(array.shape)}", f"{spec} says {one.dtype} {list(shape)}"
            raise InputError(f"{root / key}.npy is {is_}, but {said}")
    return {key: root / f"{key}.npy" for key in schema}


def _lying(root: Path, models: int, notes: list[str]) -> dict[str, Path]:
    found = {}
    for path in sorted(root.glob("*.npy")):
        if path.name == COMPLETED or path.name.startswith("."):
            continue
        array = open_npy(path)
        if array.shape[:1] != (models,):
            rows = f"{len(array)} rows" if array.ndim else "no rows"
            notes.append(f"{path.name} is left out: it has {rows}, and there are {models} models")
        elif array.dtype.kind not in "biuf" or array.dtype.itemsize > 8 or 0 in array.shape:
            notes.append(f"{path.name} is left out: it is {array.dtype} {list(array.shape)}")
        else:
            found[path.name.removesuffix(".npy")] = path
    if not found:
        beside = f" ({'; '.join(notes)})" if notes else ""
        raise InputError(f"{root} holds no array with a row for each of the {models} models{beside}")
    return found
