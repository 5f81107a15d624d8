"""One segment: the outputs of consecutive models in a safetensors file, with a digest of every array.

A segment some of whose models failed for good is committed as a `.gaps` file instead: the same file, but only with the
rows that finished. A whole `.seg` may follow later and then takes its place; the rows both hold are the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import CorruptError
from subtrain.outputs import Output
from subtrain.store import files

WHOLE, GAPS = ".seg", ".gaps"
Range = tuple[int, int]
_NAME = re.compile(r"(\d{6,})-(\d{6,})(\.seg|\.gaps)")


def file_name(start: int, stop: int, kind: str = WHOLE) -> str:
    """Name of the segment of models start..stop-1; both ends are in the name, the last model's number included."""
    return f"{start:06d}-{stop - 1:06d}{kind}"


def parse_file_name(name: str) -> Range | None:
    """(start, stop) of a segment's file name; None for any other name."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), int(match[2]) + 1) if match else None


def write_segment(
    path: Path,
    rows: Sequence[int],
    arrays: Mapping[str, NDArray[Any]],
    identity: str,
    masks_sha256: str,
    about: Mapping[str, Any],
) -> bool:
    """Commit the outputs of these models of the study `identity`; False if the segment was already there."""
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header = {
        "rows": [[a, b] for a, b in runs(rows)],
        "sha256": {name: _digest(array) for name, array in arrays.items()},
        "study": identity,
        "masks_sha256": masks_sha256,
        "about": dict(about),
    }
    text = json.dumps(header, sort_keys=True)
    payload = save(arrays, metadata={"subtrain": text, "sha256": hashlib.sha256(text.encode()).hexdigest()})

    def write(file: BinaryIO) -> None:
        file.write(payload)

    return files.commit_new(path, write)


def read_segment(
    path: Path, schema: Mapping[str, Output], names: list[str], identity: str
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The named arrays and the header of a segment, checked against its name, study, the schema and its digests.

    Raises CorruptError that names the file when anything in it is not as it was written.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            header = _header(path, file)
            arrays = {name: file.get_tensor(name) for name in names}
            digests = header["sha256"]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _corrupt(path, f"it cannot be read ({error})") from error
    if header.get("study") != identity:
        raise _corrupt(path, "it belongs to another study")
    count = sum(b - a for a, b in header["rows"])
    for name, array in arrays.items():
        want = (count, *schema[name].shape)
        if array.shape != want or array.dtype != np.dtype(schema[name].dtype):
            raise _corrupt(path, f"{name} is {array.dtype} {list(array.shape)}, not {schema[name].dtype} {list(want)}")
        if digests.get(name) != _digest(array):
            raise _corrupt(path, f"the bytes of {name} have changed since they were written")
    return arrays, header


def read_about(path: Path) -> dict[str, Any]:
    """Who trained a segment, when, and how long it took; only its header is read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            about: dict[str, Any] = _header(path, file)["about"]
            return about
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _corrupt(path, f"it cannot be read ({error})") from error


def read_rows(path: Path) -> list[Range]:
    """Which models a segment file holds, as ranges (start, stop); only its header is read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return [(a, b) for a, b in _header(path, file)["rows"]]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _corrupt(path, f"it cannot be read ({error})") from error


def _header(path: Path, file: Any) -> dict[str, Any]:
    metadata = file.metadata() or {}
    text = metadata.get("subtrain", "")
    if metadata.get("sha256") != hashlib.sha256(text.encode()).hexdigest():
        raise ValueError("its header has changed since it was written")
    header: dict[str, Any] = json.loads(text)
    span = parse_file_name(path.name)
    rows = header["rows"]
    inside = span and all(span[0] <= a < b <= span[1] for a, b in rows)
    if not inside or (path.suffix == WHOLE and rows != [list(span or ())]):
        raise ValueError(f"its name does not fit the models in it, {rows}")
    return header


def runs(rows: Sequence[int]) -> list[Range]:
    """Ascending numbers as ranges (start, stop) of consecutive ones."""
    if len(rows) == 0:
        return []
    numbers = np.asarray(rows, np.int64)
    cuts = np.flatnonzero(np.diff(numbers) != 1) + 1
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(numbers, cuts)]


def _digest(array: NDArray[Any]) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def _corrupt(path: Path, why: str) -> CorruptError:
    return CorruptError(f"segment {path} is damaged: {why}; delete the file and collect again to retrain its models")
