"""Engines: where models are trained. One interface, so that results, status and errors are the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from subtrain.collection.keyword_checks import engine_of, refuse_options
from subtrain.collection.report import Failure, Tally
from subtrain.designs.drawn import Span
from subtrain.studies.stored_study import StoredStudy


class Executor(Protocol):
    """Trains segments somewhere. What is committed is the truth: it may be killed, run twice, or have company."""

    def run(self, tick: Callable[[], None]) -> list[Failure]:
        """Work until each segment is committed or given up; returns those given up, in the words a person reads.

        Calls `tick` several times a second, and keeps the tally it was made with. A segment is given up after ATTEMPTS
        failures (`collection.retries`). Raises a SubtrainError when going on is useless for all segments alike, such as
        a full disk. When `tick` raises, what was started here is stopped, unless it outlives this process on purpose.
        """
        ...


class Engine(Protocol):
    """Makes an executor. `tally.workers` and `tally.slots` are its to set; nothing is started yet."""

    def __call__(self, study: StoredStudy, segments: list[Span], tally: Tally, **options: Any) -> Executor:
        """segments: those not committed, in the order in which they are wanted."""
        ...


def make_executor(engine: str, study: StoredStudy, segments: list[Span], tally: Tally, **options: Any) -> Executor:
    """The executor of the engine with this name; InputError for another name, or an option that it does not have."""
    refuse_options(engine, list(options))
    make: Engine = engine_of(engine)
    tally.engine = engine
    return make(study, segments, tally, **options)
