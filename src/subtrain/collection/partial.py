"""What is finished of a segment that is not: a cache, so that a failure or a kill loses seconds, not the segment."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import CorruptError
from subtrain.store import files, segment
from subtrain.store.segment import Range
from subtrain.store.study import PARTIAL, SEGMENTS, Study

Arrays = dict[str, NDArray[Any]]


def folder(study: Study, where: Range) -> Path:
    return study.path / PARTIAL / segment.file_name(*where)


def load(study: Study, where: Range) -> dict[int, Arrays]:
    """Outputs by model number of everything saved for this segment; a damaged file of the cache is dropped.

    Rows that were committed with gaps come first and stay as they are.
    """
    found: dict[int, Arrays] = {}
    place = folder(study, where)
    for path in sorted(place.iterdir()) if place.is_dir() else []:
        if segment.parse_file_name(path.name) is None:
            continue
        try:
            found |= _rows(study, path)
        except (CorruptError, FileNotFoundError):
            path.unlink(missing_ok=True)
    gaps = gaps_file(study, where)
    return found | _rows(study, gaps) if gaps.exists() else found


def _rows(study: Study, path: Path) -> dict[int, Arrays]:
    arrays, header = segment.read_segment(path, study.outputs, list(study.outputs), study.identity)
    rows = [row for a, b in header["rows"] for row in range(a, b)]
    if header["masks_sha256"] != study.masks(rows).sha256():
        raise CorruptError(f"{path} belongs to another design: its masks differ; delete it and collect again")
    return {row: {name: array[k] for name, array in arrays.items()} for k, row in enumerate(rows)}


def save(study: Study, where: Range, rows: list[int], done: dict[int, Arrays]) -> None:
    """Save these models' outputs, one file a run of consecutive numbers.

    The folder may vanish meanwhile: somebody else has committed the segment, and there is nothing left to save.
    """
    place = folder(study, where)
    with files.storage_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        for start, stop in segment.runs(rows):
            commit(study, place / segment.file_name(start, stop), list(range(start, stop)), done, {})


def commit(study: Study, path: Path, rows: list[int], done: dict[int, Arrays], about: Mapping[str, Any]) -> bool:
    """Write a segment file of these models; False if it was there already."""
    arrays = {name: np.stack([done[row][name] for row in rows]) for name in study.outputs}
    return segment.write_segment(path, rows, arrays, study.identity, study.masks(rows).sha256(), about)


def commit_gaps(study: Study, where: Range) -> int:
    """Commit what finished of a segment whose other models are given up, so that it can be used.

    Returns how many models that made usable: none if there is such a file already.
    """
    done = load(study, where)
    path = gaps_file(study, where)
    if not done or path.exists() or (study.path / SEGMENTS / segment.file_name(*where)).exists():
        return 0
    return len(done) if commit(study, path, sorted(done), done, {}) else 0


def committed(study: Study, where: Range) -> int:
    """Models of this unfinished segment that are usable already."""
    path = gaps_file(study, where)
    return sum(stop - start for start, stop in segment.read_rows(path)) if path.exists() else 0


def gaps_file(study: Study, where: Range) -> Path:
    return study.path / SEGMENTS / segment.file_name(*where, segment.GAPS)


def sweep(study: Study) -> None:
    """Remove what killed processes left here: caches of segments committed since, and temporary files."""
    whole = study.rows.whole()
    for place in list((study.path / PARTIAL).glob("*")):
        if segment.parse_file_name(place.name) in whole:
            shutil.rmtree(place, ignore_errors=True)
        else:
            files.sweep_temporaries(place)


def clear(study: Study, where: Range) -> None:
    """The segment is committed: the cache has served."""
    shutil.rmtree(folder(study, where), ignore_errors=True)
