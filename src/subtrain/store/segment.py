"""One segment: the outputs of consecutive models in a safetensors file, with a digest of every array."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import CorruptError
from subtrain.outputs import Output
from subtrain.store import files

_NAME = re.compile(r"(\d{6,})-(\d{6,})\.seg")


def file_name(start: int, stop: int) -> str:
    """Name of the segment of models start..stop-1; both ends are in the name, the last model's number included."""
    return f"{start:06d}-{stop - 1:06d}.seg"


def parse_file_name(name: str) -> tuple[int, int] | None:
    """(start, stop) of a segment's file name; None for any other name."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), int(match[2]) + 1) if match else None


def write_segment(
    path: Path, start: int, arrays: Mapping[str, NDArray[Any]], masks_sha256: str, about: Mapping[str, Any]
) -> bool:
    """Commit the outputs of models start, start + 1, …; False if the segment was already there."""
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header = {
        "start": start,
        "sha256": {name: _digest(array) for name, array in arrays.items()},
        "masks_sha256": masks_sha256,
        "about": dict(about),
    }
    payload = save(arrays, metadata={"subtrain": json.dumps(header, sort_keys=True)})

    def write(file: BinaryIO) -> None:
        file.write(payload)

    return files.commit_new(path, write)


def read_segment(
    path: Path, schema: Mapping[str, Output], names: list[str]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The named arrays and the header of a segment, checked against its name, the schema and its digests.

    Raises CorruptError that names the file when anything in it is not as it was written.
    """
    from safetensors import SafetensorError, safe_open

    where = parse_file_name(path.name)
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {}).get("subtrain", ""))
            arrays = {name: file.get_tensor(name) for name in names}
            digests = header["sha256"]
            start = header["start"]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _corrupt(path, f"it cannot be read ({error})") from error
    if where is None or where[0] != start:
        raise _corrupt(path, f"its name does not fit its first model, {start}")
    for name, array in arrays.items():
        want = (where[1] - where[0], *schema[name].shape)
        if array.shape != want or array.dtype != np.dtype(schema[name].dtype):
            raise _corrupt(path, f"{name} is {array.dtype} {list(array.shape)}, not {schema[name].dtype} {list(want)}")
        if digests.get(name) != _digest(array):
            raise _corrupt(path, f"the bytes of {name} have changed since they were written")
    return arrays, header


def _digest(array: NDArray[Any]) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def _corrupt(path: Path, why: str) -> CorruptError:
    return CorruptError(f"segment {path} is damaged: {why}; delete the file and collect again to retrain its models")
