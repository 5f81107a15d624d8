"""Counts that a study keeps, so that an interrupted fit goes on and a longer study costs its new models only."""

from __future__ import annotations

import shutil
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import CorruptError, InputError
from subtrain.regression.counting.count_stream import count_blocks
from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.model_stream import LAST, Tail
from subtrain.regression.counting.saved_counts import ADDED, load, save
from subtrain.regression.counting.threads import Mapper, Progress
from subtrain.regression.fit_on_cluster import count_on
from subtrain.regression.study_models import Models
from subtrain.store import atomic_files
from subtrain.store.folder import inside
from subtrain.studies.segments import segment_file

COUNTS = "counts"
ROWS, HEAD = "rows.json", "counts.json"


def counted(
    models: Models,
    rows: NDArray[np.int64],
    part: str,
    gram: str = "dense",
    progress: Progress | None = None,
    mapper: Mapper | None = None,
) -> Counts:
    """Counts of these models, kept in the `kept_folder` of `part`; made by `mapper` where one is given.

    What is kept is used where it is of the first of these models; it is thrown away where it is of others, or damaged.
    """
    folder = kept_folder(models, part, gram)
    done = _usable(folder, models, rows)
    if not done:
        shutil.rmtree(folder, ignore_errors=True)
    _make(models, folder)
    note = {
        "study": models.study.identity,
        "output": models.output,
        "rows": [list(run) for run in segment_file.runs(rows.tolist())],
        "marks": models.marks(rows),
    }
    atomic_files.replace(folder / ROWS, lambda file: file.write(atomic_files.json_bytes(note)))
    try:
        if mapper is not None and done < rows.size:
            return _count_on(mapper, models, rows, done, folder, gram, progress)
        return count_blocks(models.blocks(rows, done), models=rows.size, progress=progress, gram=gram, resume=folder)
    except CorruptError:
        if not done:
            raise
    shutil.rmtree(folder, ignore_errors=True)
    return counted(models, rows, part, gram, progress, mapper)


def kept_counts(models: Models, rows: NDArray[np.int64], part: str, gram: str = "dense") -> Counts | None:
    """The counts of exactly these models if they are kept; nothing is counted or thrown away."""
    folder = kept_folder(models, part, gram)
    if _usable(folder, models, rows) != rows.size:
        return None
    try:
        found = load(folder)
    except CorruptError:
        return None
    return None if found is None else found.counts


def _count_on(
    mapper: Mapper,
    models: Models,
    rows: NDArray[np.int64],
    done: int,
    folder: Path,
    gram: str,
    progress: Progress | None,
) -> Counts:
    before = load(folder) if done else None
    total = count_on(mapper, models, rows, gram, before.counts if before else None, done, progress)
    save(folder, total, True, Tail().after(*models.read(rows[-LAST:])))
    return total


def kept_folder(models: Models, part: str, gram: str = "dense") -> Path:
    """Where this machine keeps the counts of one part of the models of an output: below `counts/` of `study.local`.

    InputError if a symbolic link leads out of there: whoever made the study may have put it there.
    """
    kind = "" if gram == "dense" else f"-{gram}"
    return inside(models.study.local, f"{COUNTS}/{models.output}-{part}{kind}")


def _make(models: Models, folder: Path) -> None:
    """Make the folder, never the study's own again: that may have been moved meanwhile."""
    study = models.study
    if study.store.path() is None:
        with atomic_files.storage_errors(study.local):
            study.local.mkdir(parents=True, exist_ok=True)
    atomic_files.make_inside(folder.parent)
    atomic_files.make_inside(folder)


def _usable(folder: Path, models: Models, rows: NDArray[np.int64]) -> int:
    """How many of these models, from the first on, the counts in the folder are of; 0 if they are of others."""
    try:
        head, note = atomic_files.read_json(folder / HEAD), atomic_files.read_json(folder / ROWS)
        done = int(head["m"]) if ADDED in head["arrays"] else 0
        # Somebody else may have written them: no more of them are made than there are models.
        ranges = (range(start, stop) for start, stop in note["rows"])
        before = list(islice(chain.from_iterable(ranges), min(done, rows.size)))
        same = note["study"] == models.study.identity and note.get("output", models.output) == models.output
        marks = models.marks(rows[:done])
        same = same and note.get("marks", [])[: len(marks)] == marks
        return done if same and len(before) == done and np.array_equal(rows[:done], before) else 0
    except (
        FileNotFoundError,
        CorruptError,
        InputError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
    ):
        return 0
