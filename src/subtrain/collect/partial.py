"""What is finished of a segment that is not: a cache, so that a failure or a kill loses seconds, not the segment."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import CorruptError
from subtrain.store import files, segment
from subtrain.store.rows import Range
from subtrain.store.study import PARTIAL, Study

Arrays = dict[str, NDArray[Any]]


def folder(study: Study, where: Range) -> Path:
    return study.path / PARTIAL / segment.file_name(*where)


def load(study: Study, where: Range) -> dict[int, Arrays]:
    """Outputs by model number of everything saved for this segment; a damaged file is dropped."""
    found: dict[int, Arrays] = {}
    place = folder(study, where)
    if not place.is_dir():
        return found
    for path in sorted(place.iterdir()):
        span = segment.parse_file_name(path.name)
        if span is None or not where[0] <= span[0] < span[1] <= where[1]:
            continue
        try:
            arrays, header = segment.read_segment(path, study.outputs, list(study.outputs))
        except (CorruptError, FileNotFoundError):
            with suppress(FileNotFoundError):
                path.unlink()
            continue
        if header["masks_sha256"] == study.masks(range(*span)).sha256():
            found.update({row: {k: v[row - span[0]] for k, v in arrays.items()} for row in range(*span)})
    return found


def save(study: Study, where: Range, rows: list[int], done: dict[int, Arrays]) -> None:
    """Save these models' outputs, one file a run of consecutive numbers."""
    place = folder(study, where)
    with files.storage_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1) if rows else []:
        start, stop = int(run[0]), int(run[-1]) + 1
        arrays = stack(study, done, range(start, stop))
        path = place / segment.file_name(start, stop)
        segment.write_segment(path, start, arrays, study.masks(range(start, stop)).sha256(), {})


def stack(study: Study, done: dict[int, Arrays], rows: range) -> Arrays:
    """Arrays [k, *shape] of these models, by output name."""
    return {name: np.stack([done[row][name] for row in rows]) for name in study.outputs}


def clear(study: Study, where: Range) -> None:
    shutil.rmtree(folder(study, where), ignore_errors=True)
