"""What is finished of a segment that is not: a cache, so that a failure or a kill loses seconds, not the segment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.designs.model_rows import Span
from subtrain.errors import CorruptError
from subtrain.studies.segments import segment_file
from subtrain.studies.stored_study import PARTIAL, StoredStudy, segment_name

Arrays = dict[str, NDArray[Any]]


def folder(span: Span) -> str:
    return f"{PARTIAL}/{segment_file.file_name(*span)}"


def load(study: StoredStudy, span: Span) -> dict[int, Arrays]:
    """Outputs by model number of everything saved for this segment; a damaged file of the cache is dropped.

    Rows that were committed with gaps come first and stay as they are.
    """
    found: dict[int, Arrays] = {}
    for name in study.store.names(folder(span)):
        if segment_file.parse_file_name(name.rpartition("/")[2]) is None:
            continue
        try:
            found |= _rows(study, name)
        except (CorruptError, FileNotFoundError):
            study.store.delete(name)
    gaps = gaps_file(span)
    return found | _rows(study, gaps) if study.store.exists(gaps) else found


def _rows(study: StoredStudy, name: str) -> dict[int, Arrays]:
    arrays, rows, planned = read_whole(study, name)
    if not planned:
        span = study.store.location(name)
        raise CorruptError(f"{span} belongs to another design: its masks differ; delete it and collect again")
    return {row: {name: array[k] for name, array in arrays.items()} for k, row in enumerate(rows)}


def read_whole(study: StoredStudy, name: str) -> tuple[Arrays, list[int], bool]:
    """All arrays of a segment file, the numbers of its models, and whether their masks are those of the design."""
    arrays, header = segment_file.read_segment(study.store, name, study.outputs, list(study.outputs), study.identity)
    rows = [row for start, stop in header["rows"] for row in range(start, stop)]
    return arrays, rows, header["masks_sha256"] == study.masks(rows).sha256()


def save(study: StoredStudy, span: Span, rows: list[int], done: dict[int, Arrays]) -> None:
    """Save these models' outputs, one file a run of consecutive numbers."""
    for start, stop in segment_file.runs(rows):
        commit(study, f"{folder(span)}/{segment_file.file_name(start, stop)}", list(range(start, stop)), done, {})


def commit(study: StoredStudy, name: str, rows: list[int], done: dict[int, Arrays], about: Mapping[str, Any]) -> bool:
    """Write a segment file of these models; False if it was there already."""
    arrays = {output: np.stack([done[row][output] for row in rows]) for output in study.outputs}
    return segment_file.write_segment(
        study.store, name, rows, arrays, study.identity, study.masks(rows).sha256(), about
    )


def commit_gaps(study: StoredStudy, span: Span) -> int:
    """Commit what finished of a segment whose other models are given up, so that it can be used.

    Returns how many models that made usable: none if there is such a file already.
    """
    done = load(study, span)
    name = gaps_file(span)
    if not done or study.store.exists(name) or study.store.exists(segment_name(span)):
        return 0
    return len(done) if commit(study, name, sorted(done), done, {}) else 0


def committed(study: StoredStudy, span: Span) -> int:
    """Models of this unfinished segment that are usable already."""
    name = gaps_file(span)
    if not study.store.exists(name):
        return 0
    return sum(stop - start for start, stop in segment_file.read_rows(study.store, name))


def saved_since(study: StoredStudy, span: Span, when: float) -> bool:
    """Whether anything of this segment was saved after this time by the store's clock."""
    return any(entry.modified > when for entry in study.store.entries(folder(span)))


def gaps_file(span: Span) -> str:
    return segment_name(span, segment_file.GAPS)


def sweep(study: StoredStudy) -> None:
    """Remove what killed processes left here: caches of segments committed since."""
    places = {name.split("/")[1] for name in study.store.names(PARTIAL)}
    whole = study.rows.whole() if places else set()
    for place in places:
        if segment_file.parse_file_name(place) in whole:
            study.store.clear(f"{PARTIAL}/{place}")


def clear(study: StoredStudy, span: Span) -> None:
    """The segment is committed: the cache has served."""
    study.store.clear(folder(span))
