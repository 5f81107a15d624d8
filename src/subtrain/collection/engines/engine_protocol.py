"""Engines: where models are trained. One interface, so that results, status and errors are the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from subtrain.collection.engines import ENGINES, refuse_options
from subtrain.collection.tally import SegmentFailure, Tally
from subtrain.designs.model_rows import Span
from subtrain.errors import InputError
from subtrain.store.memory import Memory
from subtrain.studies.stored_study import StoredStudy


class Executor(Protocol):
    """Trains segments somewhere.

    `collect` makes one and calls `run` once, from the thread of its caller. What is committed to the store is the only
    truth: an executor may be killed at any moment, run again, or have others at work on the same study. A segment that
    two of them train is committed once, by whoever comes first. `train_segment(study, span, report)` of
    `collection.workers.train_segment` trains and commits one segment, wherever it is called; it raises
    ModelsFailedError, whose `failed` says why by model, and ShortOfMemoryError. A class whose models train in this
    process sets `in_process = True`; no other executor is given a study that lies in memory.
    """

    def run(self, tick: Callable[[], None]) -> list[SegmentFailure]:
        """Work until each segment is committed or given up; returns those given up, in the words a person reads.

        Calls `tick` several times a second, and `tally.add(k)` when k more models are trained, for the progress and the
        status that others see. A segment is given up after ATTEMPTS failures (`collection.retries`); it is returned as
        a `SegmentFailure(start, stop, why, models)`, whose sentence `why` names what failed. Raises a SubtrainError
        when going on is useless for all segments alike, such as a full disk. When `tick` raises, what was started here
        is stopped, unless it outlives this process on purpose.
        """
        ...


class Engine(Protocol):
    """Makes an executor, and may be the executor's class. `tally.workers` and `tally.slots` are its to set.

    Its keyword-only parameters, those after `*`, are the engine's options: their types come from the signature, their
    help from `Args:` in the docstring. Nothing is started yet. Raises InputError for options that do not suit the
    study.
    """

    def __call__(self, study: StoredStudy, segments: list[Span], tally: Tally, **options: Any) -> Executor:
        """segments: those not committed, in the order in which they are wanted."""
        ...


def device_of(study: StoredStudy, segments: list[Span], timeout: float | None) -> str | None:
    """The device that the task asks for, which is made only if there is something to train; InputError for a timeout
    that nothing keeps."""
    if timeout is not None and not timeout > 0:
        raise InputError(f"timeout must be above 0 seconds, got {timeout}")
    device: str | None = getattr(study.task, "device", None) if segments else None
    return device


def default_engine(study: StoredStudy) -> str:
    """The engine of a collection that names none."""
    return "inline" if isinstance(study.store, Memory) else "local"


def make_executor(engine: str, study: StoredStudy, segments: list[Span], tally: Tally, **options: Any) -> Executor:
    """The executor of the engine with this name; InputError for another name, or an option that it does not have."""
    refuse_options(engine, list(options))
    make: Engine = ENGINES[engine]
    if isinstance(study.store, Memory) and not in_process(make):
        raise InputError(
            f"engine {engine} trains in other processes, which cannot see {study.location}: collect it with "
            "engine inline, or create the study in a folder"
        )
    tally.engine = engine
    return make(study, segments, tally, **options)


def in_process(executor: object) -> bool:
    """Whether an executor, or its class, trains in this process."""
    return bool(getattr(executor, "in_process", False))
