"""The idempotent unit of work: train the models of one segment and commit their outputs."""

from __future__ import annotations

import os
import platform
import socket
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain import outputs
from subtrain._version import __version__
from subtrain.collect import partial
from subtrain.design import Design
from subtrain.errors import InputError, SubtrainError
from subtrain.masks import Masks
from subtrain.store import files, segment
from subtrain.store.rows import Range
from subtrain.store.study import FAILURES, SEGMENTS, Study

SAVE_EVERY = 30.0


class ModelsFailedError(SubtrainError):
    """Some models of a segment could not be trained. `failed` maps model number to a sentence."""

    def __init__(self, failed: dict[int, str]) -> None:
        super().__init__(f"{len(failed)} models failed")
        self.failed = failed


@dataclass
class _Progress:
    """One segment under way."""

    study: Study
    where: Range
    masks: Masks
    seeds: NDArray[np.uint32]
    done: dict[int, dict[str, NDArray[Any]]]
    unsaved: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    saved_at: float = field(default_factory=time.monotonic)


def train_segment(study: Study, where: Range, report: Callable[[int], None] = lambda models: None) -> bool:
    """Train models start..stop-1 and commit them; False if another worker's commit was there first.

    `report(k)` is called as models finish. Models that fail are recorded in `failures/`; the others are kept, and
    ModelsFailedError is raised. Raises SchemaError when the task returns what it does not declare.
    """
    path = study.path / SEGMENTS / segment.file_name(*where)
    if path.exists():
        return False
    if not isinstance(study.design, Design):
        raise InputError(f"{study.path} was imported: its models were trained elsewhere")
    began = time.time()
    rows = range(*where)
    work = _Progress(study, where, study.design.masks(rows), study.design.seeds(rows), partial.load(study, where))
    report(len(work.done))
    todo = [row for row in rows if row not in work.done]
    size = max(1, int(getattr(study.task, "batch", 1)))
    for first in range(0, len(todo), size):
        _train_some(work, todo[first : first + size])
        report(len(todo[first : first + size]))
        if time.monotonic() - work.saved_at > SAVE_EVERY:
            _save(work)
    if work.failed:
        _save(work)
        raise ModelsFailedError(work.failed)
    about = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "seconds": round(time.time() - began, 3),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"subtrain": __version__, "python": platform.python_version(), "numpy": np.__version__},
    }
    won = segment.write_segment(path, where[0], partial.stack(study, work.done, rows), work.masks.sha256(), about)
    partial.clear(study, where)
    for row in rows:
        failure_file(study, row).unlink(missing_ok=True)
    return won


def failure_file(study: Study, row: int) -> Path:
    """Where the traceback of a failed model is written."""
    return study.path / FAILURES / f"{row:06d}.txt"


def _train_some(work: _Progress, rows: list[int]) -> None:
    """Train these models in one call; if that fails, one by one, so that only the culprit is lost."""
    try:
        _train(work, rows)
    except outputs.SchemaError:
        raise
    except Exception as error:
        if len(rows) == 1:
            _fail(work, rows[0], error)
            return
        for row in rows:
            _train_some(work, [row])


def _train(work: _Progress, rows: list[int]) -> None:
    study = work.study
    assert isinstance(study.design, Design)
    index = np.asarray(rows) - work.where[0]
    returned = study.task.train(study.design.examples(work.masks[index]), work.seeds[index])
    arrays = outputs.check(study.outputs, returned, rows)
    for k, row in enumerate(rows):
        work.done[row] = {name: array[k] for name, array in arrays.items()}
    work.unsaved += rows


def _fail(work: _Progress, row: int, error: Exception) -> None:
    seed = int(work.seeds[row - work.where[0]])
    sentence = f"{type(error).__name__}: {error}" if not isinstance(error, InputError) else str(error)
    work.failed[row] = sentence.splitlines()[0][:500]
    text = (
        f"model {row}, seed {seed}, segment {segment.file_name(*work.where)}\n"
        f"{socket.gethostname()}, pid {os.getpid()}, {datetime.now(UTC).isoformat(timespec='seconds')}\n"
        f"{work.failed[row]}\n\n{''.join(traceback.format_exception(error))}"
    )
    path = failure_file(work.study, row)
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        files.replace(path, lambda file: file.write(text.encode()), durable=False)


def _save(work: _Progress) -> None:
    partial.save(work.study, work.where, sorted(work.unsaved), work.done)
    work.unsaved.clear()
    work.saved_at = time.monotonic()
