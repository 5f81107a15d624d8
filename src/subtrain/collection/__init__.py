"""Collect: train every model a study still lacks and commit its outputs."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress

from subtrain.collection import partial
from subtrain.collection.display import Display
from subtrain.collection.local import LocalExecutor
from subtrain.collection.report import Collected, Failure, Tally, known_worker_bytes, runner_file
from subtrain.collection.segment import train_segment
from subtrain.collection.slots import Slots, pick_slots
from subtrain.collection.status import live_runners
from subtrain.design import EVALUATION
from subtrain.errors import CollectError, InputError, StorageError
from subtrain.machine import available_memory, cores, visible_gpus
from subtrain.store.given import GivenDesign
from subtrain.store.segment import Range
from subtrain.store.study import Study

__all__ = ["Collected", "collect", "train_segment"]


def collect(
    study: Study,
    workers: int | None = None,
    progress: bool = True,
    *,
    devices: Sequence[str] | None = None,
    per_device: int | None = None,
    timeout: float | None = None,
) -> Collected:
    """Train all models that `study` lacks on this machine; can be killed at any moment and run again.

    workers: processes, each with one BLAS thread; by default one a core, or one a GPU for a task that uses them, fewer
    if memory would not do; on `devices` ("cuda:0", "cpu") or with `per_device` on each, if those are given. A device
    that runs out of memory gets fewer workers, and no model fails for it as long as one worker is enough. timeout:
    seconds one call of the task's `train` may take. Raises CollectError when models failed three times (everything
    else is finished and kept), StorageError when the disk is full.
    """
    if isinstance(study.design, GivenDesign):
        raise InputError(f"{study.where} was imported: its models were trained elsewhere, there is nothing to collect")
    if timeout is not None and not timeout > 0:
        raise InputError(f"timeout must be above 0 seconds, got {timeout}")
    began = time.monotonic()
    missing = _missing(study)
    slots = _slots(study, len(missing), workers, devices, per_device)
    _sweep(study)
    tally = Tally(study.store, runner_file(), study.models, study.models_done(), len(slots), str(slots))
    try:
        executor = LocalExecutor(study, missing, slots, tally, timeout) if missing else None
        failures = _run(executor, tally, progress) if executor else []
    finally:
        _sweep(study)
    if failures:
        raise CollectError(_sentence(study, failures))
    seconds = time.monotonic() - began
    return Collected(study.models_done(), study.models, tally.trained, seconds, tally.slots, tuple(tally.notes))


def _slots(
    study: Study, segments: int, workers: int | None, devices: Sequence[str] | None, per_device: int | None
) -> Slots:
    """What is picked for this study on this machine; its task is only made if there is something to train."""
    wants = getattr(study.task, "device", None) if segments else None
    return pick_slots(
        cores(),
        segments,
        workers=workers,
        devices=devices,
        per_device=per_device,
        wants=wants,
        gpus=visible_gpus() if wants == "cuda" and devices is None else (),
        worker_bytes=known_worker_bytes(study.store),
        free_bytes=available_memory(),
    )


def _sweep(study: Study) -> None:
    """Remove what killed processes left half-written: it only takes space, which may be what is lacking."""
    with suppress(OSError, StorageError):
        study.store.sweep()
        partial.sweep(study)


def _sentence(study: Study, failures: list[Failure]) -> str:
    left = study.models - study.models_done()
    more = f"; and {len(failures) - 3} more segments, see subtrain status {study.where}" if len(failures) > 3 else ""
    return (
        f"{left} of {study.models} models are missing after repeated failures, everything else is kept: "
        + "; ".join(failure.why for failure in failures[:3])
        + more
    )


def _missing(study: Study) -> list[Range]:
    """Segments to do; beside another runner, from a random place on, so that the two seldom meet.

    Those to fit on and those to judge on take turns, so that a study can be judged while it grows.
    """
    there = study.rows.whole()
    missing = [where for where in _in_turns(study) if where not in there]
    if missing and live_runners(study):
        at = random.SystemRandom().randrange(len(missing))
        missing = missing[at:] + missing[:at]
    return missing


def _in_turns(study: Study) -> list[Range]:
    held = set(study.design.role_rows(EVALUATION).tolist())
    parts: tuple[list[Range], list[Range]] = ([], [])
    for where in study.segments:
        parts[where[0] in held].append(where)
    return [where for _, where in sorted((k / len(part), where) for part in parts for k, where in enumerate(part))]


def _silent() -> None:
    pass


def _run(executor: LocalExecutor, tally: Tally, progress: bool) -> list[Failure]:
    with Display(tally) if progress else nullcontext(_silent) as show:
        written, beat = 0.0, 1.0 if tally.store.path() else 5.0

        def tick() -> None:
            nonlocal written
            show()
            if time.monotonic() - written > beat:
                tally.write()
                written = time.monotonic()

        try:
            failures = executor.run(tick)
            tally.state = "failed" if failures else "finished"
        except BaseException as error:
            tally.state = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            raise
        finally:
            show()
            tally.write()
    return failures
