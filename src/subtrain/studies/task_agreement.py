"""Whether a task or a design is the one that a study was made with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from subtrain.designs.design_protocol import AnyDesign
from subtrain.errors import MismatchError
from subtrain.tasks.base import Task, with_changes
from subtrain.tasks.watching.watched import changes, fingerprint_like, parts_of

if TYPE_CHECKING:
    from subtrain.studies.stored_study import StoredStudy


# Fields of a task by which an earlier version differs: all others are as they were given.
TRAINS = ("train_batch", "train_one", "relabel", "influence", "watched")


def check_design(study: StoredStudy, design: AnyDesign) -> None:
    mine = study.design.to_json()
    theirs = (design if design.n else design.for_units(study.n)).to_json()
    free = {"extensions", *(() if study.imported else design.left_open)}
    differing = [k for k in theirs if k not in free and mine.get(k) != theirs[k]]
    if differing:
        shown = "; ".join(f"{k} is {_short(mine.get(k))}, not {_short(theirs[k])}" for k in differing)
        raise MismatchError(f"{study.location} was made with another design: {shown}")


def agreed(study: StoredStudy, task: Task, again: Callable[[], Task] | None = None) -> Task:
    """The task as the study was begun with it; MismatchError shows what differs if it is another. again: as below."""
    task = as_begun(study, task)
    differences = task_differences(study, task, again)
    if differences:
        raise MismatchError(f"{study.location} was made with another task: {'; '.join(differences)}")
    return as_recorded(study, task)


def as_begun(study: StoredStudy, task: Any) -> Task:
    """The task as an earlier version of subtrain trained it, if the study was begun with that; else the task."""
    earlier = getattr(task, "earlier", None)
    if earlier is None or fingerprint_like(study.fingerprint, task) == study.fingerprint:
        return task  # type: ignore[no-any-return]
    before = earlier()
    if fingerprint_like(study.fingerprint, before) != study.fingerprint:
        return task  # type: ignore[no-any-return]
    trains = {name: getattr(before, name) for name in TRAINS if hasattr(before, name)}
    if getattr(task.influence, "func", None) is not getattr(before.influence, "func", None):
        del trains["influence"]  # somebody gave the task another one
    found: Task = with_changes(task, **trains, earlier=None)
    return found


def as_recorded(study: StoredStudy, task: Task) -> Task:
    """The study's task with the fingerprint that the study has of it, which version 0.1.0 made otherwise."""
    if getattr(task, "watched", None) is None or task.fingerprint == study.fingerprint:
        return task
    return with_changes(task, fingerprint=study.fingerprint, watched=None)


def task_differences(study: StoredStudy, task: Task, again: Callable[[], Task] | None = None) -> list[str]:
    """In what the task is not the study's. again: makes it once more, to see what differs each time."""
    found = []
    examples = study.n if study.groups is None else len(study.groups)
    if task.n != examples:
        found.append(f"it had {examples} training examples, this one has {task.n}")
    mine = {name: spec.to_json() for name, spec in study.outputs.items()}
    theirs = {name: spec.to_json() for name, spec in task.outputs.items()}
    for name in sorted(mine.keys() | theirs.keys()):
        if mine.get(name) != theirs.get(name):
            found.append(f"output {name} was {_short(mine.get(name))}, here it is {_short(theirs.get(name))}")
    now = fingerprint_like(study.fingerprint, task)
    if not found and now != study.fingerprint:
        which = changes(study.manifest["task"].get("parts"), task)
        which = which or f"fingerprint {study.fingerprint[:12]}…, now {now[:12]}…"
        found.append(f"its data, code or settings have changed ({which}){_newer(task)}{_restless(task, again)}")
    return found


def _newer(task: Task) -> str:
    watched = getattr(task, "watched", None)
    if watched is None or not watched.holds_newer:
        return ""
    return (
        '; a task that it uses orders its minibatches by unit: a recipe with order="position" there trains as version '
        "0.1.0 did"
    )


def _restless(task: Task, again: Callable[[], Task] | None) -> str:
    """Which parts differ between two loads of the same code, as data drawn without a seed do: nobody changed those."""
    said = ""
    if again is not None:
        with suppress(Exception):
            said = changes(parts_of(task), again())
    if not said:
        return ""
    return (
        f"; two loads of the same code differ too ({said}): draw such data with a seed, as np.random.default_rng(0) "
        "does, and create the study again"
    )


def _short(value: object) -> str:
    if isinstance(value, dict):
        return f"{value.get('dtype')} {value.get('shape')} ({value.get('meaning')})"
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "…"
