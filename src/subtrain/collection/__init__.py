"""Collect: train every model a study still lacks and commit its outputs."""

from __future__ import annotations

import os
import random
import time
from contextlib import nullcontext, suppress

from subtrain.collection import partial
from subtrain.collection.display import Display
from subtrain.collection.local import LocalExecutor
from subtrain.collection.report import Collected, Failure, Tally, runner_file
from subtrain.collection.segment import train_segment
from subtrain.collection.status import live_runners
from subtrain.errors import CollectError, InputError, StorageError
from subtrain.store.given import GivenDesign
from subtrain.store.study import Study

__all__ = ["Collected", "collect", "train_segment"]


def collect(study: Study, workers: int | None = None, progress: bool = True) -> Collected:
    """Train all models that `study` lacks on this machine; can be killed at any moment and run again.

    workers: processes, by default one a core, each with one BLAS thread. Raises CollectError when models failed
    three times (everything else is finished and kept), StorageError when the disk is full.
    """
    if isinstance(study.design, GivenDesign):
        raise InputError(f"{study.where} was imported: its models were trained elsewhere, there is nothing to collect")
    workers = workers if workers is not None else _cores()
    if workers < 1:
        raise InputError(f"workers must be 1 or more, got {workers}")
    began = time.monotonic()
    _sweep(study)
    missing = _missing(study)
    tally = Tally(study.store, runner_file(), study.models, study.models_done(), min(workers, len(missing)))
    try:
        failures = _run(study, missing, tally, progress) if missing else []
    finally:
        _sweep(study)
    if failures:
        raise CollectError(_sentence(study, failures))
    return Collected(study.models_done(), study.models, tally.trained, time.monotonic() - began)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def _missing(study: Study) -> list[tuple[int, int]]:
    """Segments to do, in order; beside another runner, from a random place on, so that the two seldom meet."""
    there = study.rows.whole()
    missing = [where for where in study.segments if where not in there]
    if missing and live_runners(study):
        at = random.SystemRandom().randrange(len(missing))
        missing = missing[at:] + missing[:at]
    return missing


def _silent() -> None:
    pass


def _run(study: Study, missing: list[tuple[int, int]], tally: Tally, progress: bool) -> list[Failure]:
    _ = study.task
    executor = LocalExecutor(study, missing, tally.workers, tally)
    with Display(tally) if progress else nullcontext(_silent) as show:
        written, beat = 0.0, 1.0 if study.store.path() else 5.0

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
