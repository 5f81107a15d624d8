"""Collect: train every model a study still lacks and commit its outputs."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from typing import Any

from subtrain.collection.engines.engine_protocol import Executor, default_engine, in_process, make_executor
from subtrain.collection.keyword_checks import hands_on
from subtrain.collection.progress_display import Display
from subtrain.collection.retries import models_done
from subtrain.collection.tally import Collected, SegmentFailure, Tally, runner_file
from subtrain.collection.workers import checkpoint
from subtrain.collection.workers.train_segment import train_segment
from subtrain.designs.model_rows import ROLES, Span
from subtrain.errors import CollectError, InputError, MismatchError, StorageError
from subtrain.studies.stored_study import StoredStudy
from subtrain.tasks.watching.watched import other_versions

__all__ = ["Collected", "collect", "train_segment"]


@hands_on("collect")
def collect(
    study: StoredStudy,
    workers: int | None = None,
    progress: bool = True,
    *,
    engine: str | None = None,
    segments: Iterable[int] | None = None,
    **options: Any,
) -> Collected:
    """Train all models that `study` lacks; can be killed at any moment and run again, here or elsewhere at once.

    Args:
        study: the study, whose store may have other runners at work.
        workers: worker processes; by default as many as suit the machine.
        progress: show on standard error how far it is.
        engine: a name in `ENGINES`: "local" (worker processes of this machine), "inline" (this process, so that
            exceptions and breakpoints of `train` arrive), "slurm" or "ray". By default "local", or "inline" for a
            study in memory.
        segments: numbers of the segments to look after; by default all.
        **options: the engine's own, as its docstring lists them.

    Returns:
        How many models are done, and how long it took.

    Raises:
        CollectError: models failed three times; everything else is finished and kept.
        StorageError: the disk is full, or the store is out of reach.
        InputError: the engine has no such option, or the study was imported.

    Example:
        >>> import subtrain as st
        >>> study = st.Study.create(":memory:", st.tasks.planted(n=10), st.Design(models=20, heldout=4))
        >>> st.collect(study, progress=False).done
        28
    """
    if study.design.trained_elsewhere:
        raise InputError(
            f"{study.location} was imported: its models were trained elsewhere, there is nothing to collect"
        )
    began = time.monotonic()
    mine = study.segments if segments is None else _numbered(study, segments)
    missing = _missing(study, mine)
    total = sum(stop - start for start, stop in mine)
    tally = Tally(study.store, runner_file(), total, sum(models_done(study, mine)))
    given = options if workers is None else {"workers": workers, **options}
    executor = make_executor(engine or default_engine(study), study, missing, tally, **given)
    tally.notes += [said] if missing and (said := other_versions(study.manifest["task"].get("packages"))) else []
    tally.notes += _keep_view(study, whole=not missing)
    _sweep(study)
    try:
        failures = _run(executor, tally, progress) if missing else []
    except KeyboardInterrupt as error:
        error.args = error.args or (_interrupted(study, mine, tally),)
        raise
    finally:
        _sweep(study)
    done = sum(models_done(study, mine))
    if failures:
        raise CollectError(_sentence(study, tally, tally.total - done, failures))
    return Collected(done, tally.total, tally.trained, time.monotonic() - began, tally.slots, tuple(tally.notes))


def _interrupted(study: StoredStudy, mine: list[Span], tally: Tally) -> str:
    """What is done when a person stops a collection, and how it goes on."""
    done = f"{tally.done:,}"
    with suppress(Exception):
        done = f"{sum(models_done(study, mine)):,}"
    going = f"; its Slurm jobs go on: subtrain cancel {study.location} ends them" if tally.engine == "slurm" else ""
    return f"interrupted: {done} of {tally.total:,} models are done and kept, and the same command goes on{going}"


def _keep_view(study: StoredStudy, whole: bool) -> list[str]:
    """Store the view of a study that should have one and has none: of version 0.1.0, or killed when it was created.

    The task is made for it only where no models are missing; that its user may do so the executor has asked already.
    Returns notes: what was in the way.
    """
    if study.has_view:
        return []
    try:
        if study.task_at_hand is not None:
            study.keep_view(study.task_at_hand)
        elif whole:
            study.keep_view(study.task)
    except (InputError, MismatchError) as error:
        return [f"what the task shows of its examples is not stored: {error}"]
    return []


def _numbered(study: StoredStudy, numbers: Iterable[int]) -> list[Span]:
    """Segments by their numbers 0, 1, …"""
    count = len(study.segments)
    # A list may name more than there is, and be as long: one number beyond the end is enough to refuse it.
    some = set()
    for number in numbers:
        some.add(number)
        if not 0 <= number < count:
            break
    picked = sorted(some)
    if not picked or picked[0] < 0 or picked[-1] >= count:
        wrong = "no segments were named" if not picked else f"there is no segment {picked[0 if picked[0] < 0 else -1]}"
        raise InputError(f"{wrong}: {study.location} has {count} segments, numbered 0 to {count - 1}")
    return [study.segments[number] for number in picked]


def _sweep(study: StoredStudy) -> None:
    """Remove what killed processes left half-written: it only takes space, which may be what is lacking."""
    with suppress(OSError, StorageError):
        study.store.sweep()
        checkpoint.sweep(study)


def _sentence(study: StoredStudy, tally: Tally, left: int, failures: list[SegmentFailure]) -> str:
    more = f"; and {len(failures) - 3} more segments, see subtrain status {study.location}" if len(failures) > 3 else ""
    return (
        f"{left} of {tally.total} models are missing after repeated failures, everything else is kept: "
        + "; ".join(failure.why for failure in failures[:3])
        + more
    )


def _missing(study: StoredStudy, mine: list[Span]) -> list[Span]:
    """Segments to do, from a random place on, so that two runners seldom meet.

    Those to fit on, to choose lambda by and to judge on take turns, so that a study can be judged while it grows.
    """
    there = study.rows.whole()
    missing = [span for span in _in_turns(study, mine) if span not in there]
    at = random.SystemRandom().randrange(len(missing)) if missing else 0
    return missing[at:] + missing[:at]


def _in_turns(study: StoredStudy, mine: list[Span]) -> list[Span]:
    roles = [set(study.design.role_rows(role).tolist()) for role in ROLES]
    parts = [[span for span in mine if span[0] in rows] for rows in roles]
    return [span for _, span in sorted((k / len(part), span) for part in parts for k, span in enumerate(part))]


def _silent() -> None:
    pass


def _run(executor: Executor, tally: Tally, progress: bool) -> list[SegmentFailure]:
    with Display(tally, bar=not in_process(executor)) if progress else nullcontext(_silent) as show:
        written, beat = 0.0, 1.0 if tally.store.path() else 5.0

        def tick() -> None:
            nonlocal written
            show()
            if time.monotonic() - written > beat:
                tally.write()
                written = time.monotonic()

        try:
            failures = executor.run(tick)
            if not isinstance(failures, list):
                raise InputError(
                    f"run() of engine {tally.engine} must return a list of the segments that it gave up, [] for none, "
                    f"not {failures!r}"
                )
            tally.state = "failed" if failures else "finished"
        except BaseException as error:
            tally.state = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            raise
        finally:
            show()
            tally.write()
    return failures
