"""One segment: the outputs of consecutive models in a safetensors file, with a digest of every array.

A segment some of whose models failed for good is committed as a `.gaps` file instead: the same file, but only with the
rows that finished. A whole `.seg` may follow later and then takes its place; the rows both hold are the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.designs.model_rows import Span
from subtrain.errors import CorruptError, SubtrainError
from subtrain.outputs import Output
from subtrain.store.atomic_files import check_regular, storage_errors
from subtrain.store.protocol import Store
from subtrain.studies.segments.remote_safetensors import RemoteTensors

WHOLE, GAPS = ".seg", ".gaps"
_NAME = re.compile(r"(\d{6,})-(\d{6,})(\.seg|\.gaps)")


def file_name(start: int, stop: int, kind: str = WHOLE) -> str:
    """Name of the segment of models start..stop-1; both ends are in the name, the last model's number included."""
    return f"{start:06d}-{stop - 1:06d}{kind}"


def parse_file_name(name: str) -> Span | None:
    """(start, stop) of a segment's file name; None for any other name."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), int(match[2]) + 1) if match else None


def encoded(
    rows: Sequence[int], arrays: Mapping[str, NDArray[Any]], identity: str, masks_sha256: str, about: Mapping[str, Any]
) -> bytes:
    """A segment file of the outputs of these models of the study `identity`."""
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
    payload: bytes = save(
        dict(arrays), metadata={"subtrain": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    )
    return payload


def write_segment(
    store: Store,
    name: str,
    rows: Sequence[int],
    arrays: Mapping[str, NDArray[Any]],
    identity: str,
    masks_sha256: str,
    about: Mapping[str, Any],
) -> bool:
    """Commit the outputs of these models of the study `identity`; False if the segment was already there."""
    payload = encoded(rows, arrays, identity, masks_sha256, about)
    return store.commit_new(name, lambda file: file.write(payload))


def read_segment(
    store: Store, name: str, schema: Mapping[str, Output], names: list[str], identity: str
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The named arrays and the header of a segment, checked against its name, study, the schema and its digests.

    Raises CorruptError that names the file when anything in it is not as it was written.
    """
    with _opened(store, name) as file:
        header = _header(name, file)
        arrays = {output: file.get_tensor(output) for output in names}
        digests = header["sha256"]
        count = sum(b - a for a, b in header["rows"])
        if header.get("study") != identity:
            raise ValueError("it belongs to another study")
        for output, array in arrays.items():
            want, dtype = (count, *schema[output].shape), schema[output].dtype
            if array.shape != want or array.dtype != np.dtype(dtype):
                raise ValueError(f"{output} is {array.dtype} {list(array.shape)}, not {dtype} {list(want)}")
            if digests.get(output) != _digest(array):
                raise ValueError(f"the bytes of {output} have changed since they were written")
    return arrays, header


def read_about(store: Store, name: str) -> dict[str, Any]:
    """Who trained a segment, when, and how long it took; only its header is read."""
    with _opened(store, name) as file:
        about: dict[str, Any] = _header(name, file)["about"]
        return about


def read_rows(store: Store, name: str) -> list[Span]:
    """Which models a segment file holds, as ranges (start, stop); only its header is read."""
    with _opened(store, name) as file:
        return [(a, b) for a, b in _header(name, file)["rows"]]


@contextmanager
def _opened(store: Store, name: str) -> Iterator[Any]:
    """The file's arrays; whatever is wrong with it becomes a CorruptError that names it."""
    from safetensors import SafetensorError, safe_open

    path = store.path(name)
    try:
        with storage_errors(Path(store.location(name)), "read"):
            if path is not None:
                check_regular(path)
            with RemoteTensors(store, name) if path is None else safe_open(path, framework="numpy") as file:
                yield file
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, SubtrainError):
            raise
        why = str(error) if type(error) is ValueError else f"it cannot be read ({error})"
        raise CorruptError(
            f"segment {store.location(name)} is damaged: {why}; delete the file and collect again to retrain its models"
        ) from error


def _header(name: str, file: Any) -> dict[str, Any]:
    metadata = file.metadata() or {}
    text = metadata.get("subtrain", "")
    if metadata.get("sha256") != hashlib.sha256(text.encode()).hexdigest():
        raise ValueError("its header has changed since it was written")
    header: dict[str, Any] = json.loads(text)
    base = name.rpartition("/")[2]
    span = parse_file_name(base)
    rows = header["rows"]
    if span is None or not _ascending(rows, *span) or (base.endswith(WHOLE) and rows != [list(span)]):
        raise ValueError(f"its name does not fit the models in it, {str(rows)[:80]}")
    return header


def _ascending(rows: Any, start: int, stop: int) -> bool:
    """Whether these are ranges of whole numbers within start..stop, each behind the one before."""
    flat = [start, *(end for one in rows for end in one), stop]
    whole = all(type(end) is int for end in flat) and all(len(one) == 2 and one[0] < one[1] for one in rows)
    return whole and len(rows) > 0 and flat == sorted(flat)


def runs(rows: Sequence[int]) -> list[Span]:
    """Ascending numbers as ranges (start, stop) of consecutive ones."""
    if len(rows) == 0:
        return []
    numbers = np.asarray(rows, np.int64)
    cuts = np.flatnonzero(np.diff(numbers) != 1) + 1
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(numbers, cuts)]


def _digest(array: NDArray[Any]) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()
