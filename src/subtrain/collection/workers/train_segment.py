"""The idempotent unit of work: train the models of one segment and commit their outputs."""

from __future__ import annotations

import hashlib
import os
import platform
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain import outputs
from subtrain._version import __version__
from subtrain.collection.workers import checkpoint
from subtrain.designs.model_rows import Span
from subtrain.errors import CorruptError, InputError, SubtrainError
from subtrain.masks import Masks
from subtrain.store.memory import IN_MEMORY, Memory
from subtrain.store.protocol import read_capped
from subtrain.store.seal import CHANGED
from subtrain.studies.manifest import UNSEALED
from subtrain.studies.segments import segment_file
from subtrain.studies.stored_study import FAILURES, StoredStudy, segment_name
from subtrain.system.machine import NoDeviceError, host
from subtrain.tasks.watching.own_code import place
from subtrain.trainers.kit.out_of_memory import is_out_of_memory, release_memory

SAVE_EVERY = 10.0
# Failures of one kind, and no success, after which nothing more is trained (`retries.Alike`); seconds after each.
ALIKE, HEARD = 8, 0.05
DEVICE = "SUBTRAIN_DEVICE"
# Letters of a traceback that are kept, and what its digest, the last line of the file, begins with.
_DETAILS, _DIGEST = 100_000, "sha256 "


class ShortOfMemoryError(SubtrainError):
    """Memory ran out, of the host or of a device; what was finished is saved."""


class ModelsFailedError(SubtrainError):
    """Some models of a segment could not be trained. `failed` maps model number to a sentence."""

    def __init__(self, failed: dict[int, str]) -> None:
        super().__init__(f"{len(failed)} models failed")
        self.failed = failed


@dataclass
class _Work:
    """One segment under way."""

    study: StoredStudy
    span: Span
    masks: Masks
    seeds: NDArray[np.uint32]
    done: dict[int, dict[str, NDArray[Any]]]
    starting: Callable[[list[int]], None]
    failing: Callable[[int, str], None]
    last_try: bool
    worn: bool | None = None
    raising: bool = False
    unsaved: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    saved_at: float = field(default_factory=time.monotonic)


def train_segment(
    study: StoredStudy,
    span: Span,
    report: Callable[[int], None] = lambda models: None,
    starting: Callable[[list[int]], None] = lambda rows: None,
    failing: Callable[[int, str], None] = lambda row, why: None,
    careful: bool = False,
    last_try: bool = True,
    skip: Collection[int] = (),
    worn: bool | None = None,
    raising: bool = False,
) -> bool:
    """Train models start..stop-1 and commit them; False if another worker's commit was there first.

    `starting(rows)` is called before models are trained, `report(k)` after k have succeeded, `failing(row, why)` after
    one has failed. careful: one at a time, each saved at once, for a segment that has crashed its process; skip: models
    to leave out as failed. Without
    last_try, ShortOfMemoryError is raised when memory runs out, instead of failing the models. worn: whether this
    process, which is replaced after a ShortOfMemoryError, has trained models before; then a model that runs out of
    memory fails only if it was the first in its process, for those before it may have kept what they took.
    raising: an exception of the training code passes through as it is, with a note that names model and seed.
    Without raising, models that fail are recorded in `failures/`; the others are kept, and ModelsFailedError is raised.
    Raises SchemaError when the task returns what it does not declare, NoDeviceError when its device is not there.
    """
    name = segment_name(span)
    if study.store.exists(name):
        return False
    if study.design.trained_elsewhere:
        raise InputError(f"{study.location} was imported: its models were trained elsewhere")
    began = time.time()
    rows = range(*span)
    masks, seeds = study.design.masks(rows), study.design.seeds(rows)
    work = _Work(study, span, masks, seeds, checkpoint.load(study, span), starting, failing, last_try, worn, raising)
    report(len(work.done) - checkpoint.committed(study, span))
    work.failed.update(dict.fromkeys(skip, "it crashed its worker process"))
    todo = [row for row in rows if row not in work.done and row not in work.failed]
    size = 1 if careful else max(1, int(getattr(study.task, "batch", 1)))
    for first in range(0, len(todo), size):
        some = todo[first : first + size]
        _train_some(work, some)
        report(sum(row in work.done for row in some))
        if careful or time.monotonic() - work.saved_at > SAVE_EVERY:
            _save(work)
    if work.failed:
        _save(work)
        raise ModelsFailedError(work.failed)
    # What was saved before took a time that is not known here.
    seconds = (time.time() - began) * len(rows) / len(todo) if todo else 0.0
    won = checkpoint.commit(study, name, list(rows), work.done, _about(seconds))
    checkpoint.clear(study, span)
    for name in set(map(failure_file, rows)).intersection(study.store.names(FAILURES)):
        study.store.delete(name)
    return won


def _about(seconds: float) -> Mapping[str, Any]:
    return {
        "host": host(),
        "pid": os.getpid(),
        "seconds": round(seconds, 3),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"subtrain": __version__, "python": platform.python_version(), "numpy": np.__version__},
    }


def _train_some(work: _Work, rows: list[int]) -> None:
    """Train these models in one call; if that fails, one by one, so that only the culprit is lost."""
    try:
        _train(work, rows)
        return
    except BaseException as error:  # sys.exit in training code too: one model's end, not its worker's
        if work.raising:
            _save(work)
            error.add_note(_whose(work, rows))
        if work.raising or isinstance(error, (outputs.SchemaError, NoDeviceError, KeyboardInterrupt)):
            raise
        short = is_out_of_memory(error)
        if short and (not work.last_try or (work.worn and not work.failed)):
            _save(work)
            raise ShortOfMemoryError(f"{type(error).__name__}: {error}") from error
        if len(rows) == 1:
            _record(work, rows[0], error, short)
    if short:
        release_memory()
    for row in rows if len(rows) > 1 else ():
        _train_some(work, [row])


def _whose(work: _Work, rows: list[int]) -> str:
    """Which models were in training when it failed."""
    seeds = [int(work.seeds[row - work.span[0]]) for row in rows]
    models = f"model {rows[0]}, seed {seeds[0]}" if len(rows) == 1 else f"models {rows}, seeds {seeds}"
    where = IN_MEMORY if isinstance(work.study.store, Memory) else work.study.location
    return f"raised while training {models}, of {where}"


def _record(work: _Work, row: int, error: BaseException, short: bool) -> None:
    """The model has failed: why."""
    why = str(error) if isinstance(error, SubtrainError) else f"{type(error).__name__}: {error}"
    why = f"it needs more memory than there is{_where()}: {why}" if short else why
    why = f"{(why.splitlines() or ['no message'])[0][:400]}{place(error)}"
    seed = int(work.seeds[row - work.span[0]])
    details = "".join(traceback.format_exception(error))
    work.failed[row] = record_failure(work.study, work.span, row, seed, why, details)
    work.failing(row, work.failed[row])
    if not work.done and len(work.failed) <= ALIKE:
        time.sleep(HEARD)  # whoever counts them may want to end this process before it trains the next


def _where() -> str:
    device = os.environ.get(DEVICE)
    return f" on {device}" if device else ""


def _train(work: _Work, rows: list[int]) -> None:
    study = work.study
    work.starting(rows)
    index = np.asarray(rows) - work.span[0]
    numbered = getattr(study.task, "train_rows", None)
    if numbered is not None:
        returned = numbered(rows)
    else:
        returned = study.task.train(study.design.examples(work.masks[index]), work.seeds[index])
    arrays = outputs.check(study.outputs, returned, rows)
    for k, row in enumerate(rows):
        work.done[row] = {name: array[k] for name, array in arrays.items()}
    work.unsaved += rows
    work.worn = None if work.worn is None else True


def _save(work: _Work) -> None:
    checkpoint.save(work.study, work.span, sorted(work.unsaved), work.done)
    work.unsaved.clear()
    work.saved_at = time.monotonic()


def failure_file(row: int) -> str:
    """Name in the store of the traceback of a failed model."""
    return f"{FAILURES}/{row:06d}.txt"


def record_failure(study: StoredStudy, span: Span, row: int, seed: int, why: str, details: str) -> str:
    """Write the failure file of a model: number, seed, segment, where, why, traceback. Returns why in one line."""
    line = (why.splitlines() or ["no message"])[0][:500]
    text = (
        f"model {row}, seed {seed}, segment {segment_file.file_name(*span)}\n"
        f"{host()}, pid {os.getpid()}, {datetime.now(UTC).isoformat(timespec='seconds')}\n"
        f"{line}\n\n{details[:_DETAILS]}\n"
    ).encode(errors="replace")
    signed = text + f"{_DIGEST}{hashlib.sha256(text).hexdigest()}\n".encode()
    with suppress(OSError, SubtrainError):
        study.store.replace(failure_file(row), lambda file: file.write(signed), durable=False)
    return line


def read_failure(study: StoredStudy, name: str) -> tuple[str, str]:
    """The host on which a model failed, and why in one line; CorruptError if its file is not as it was written."""
    data = read_capped(study.store, name, 5 * _DETAILS)
    text, mark, digest = data.rpartition(_DIGEST.encode())
    signed = mark and digest.decode(errors="replace").strip() == hashlib.sha256(text).hexdigest()
    lines = data.decode(errors="replace").splitlines()
    if len(lines) < 3 or not (signed or (study.format == UNSEALED and not mark)):
        raise CorruptError(f"{study.store.location(name)} is damaged: {CHANGED}")
    return lines[1].partition(", ")[0], lines[2]


def recorded_failures(study: StoredStudy, rows: Iterable[int]) -> dict[int, str]:
    """Those of these models that have a failure file, with the line that says why."""
    found = {}
    for row in rows:
        with suppress(FileNotFoundError, CorruptError, InputError):
            found[row] = read_failure(study, failure_file(row))[1]
    return found


def describe(study: StoredStudy, models: Mapping[int, str]) -> str:
    """The failed models of a segment in one sentence, which names the file to read."""
    first, why = next(iter(models.items()))
    others = f" (and {len(models) - 1} more of its segment)" if len(models) > 1 else ""
    name = failure_file(first)
    return f"model {first}{others}: {why}" + (f"; see {study.store.location(name)}" if study.store.exists(name) else "")
