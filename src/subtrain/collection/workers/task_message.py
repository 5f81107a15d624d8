"""How a task gets into another process: by what makes it, if this process may run that, else as a pickle."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from subtrain.errors import InputError, MismatchError
from subtrain.studies.stored_study import S, StoredStudy
from subtrain.studies.trust import Making, located
from subtrain.tasks.base import BatchTask, FunctionTask, Source, Task, with_changes
from subtrain.tasks.loading.task_factory import without_current_folder


def pack(task: Task | None, making: Making | None = None, here: bool = True) -> dict[str, Any]:
    """A message, plain JSON: where modules are found, what makes the task, or else the task itself.

    The other side runs what this process says, never what a study says to it. Only where a task's module may lie in the
    current folder is anything looked for there. here: for a process of this machine, which finds the files that arrays
    are mapped from.
    """
    places = [entry or str(Path.cwd()) for entry in sys.path]
    if making is None or making.searches_current_folder:
        places.insert(0, str(Path.cwd()))
    elif not making.own:
        places = without_current_folder(places)
    message: dict[str, Any] = {"sys_path": places, "making": making.to_json() if making else None, "task": None}
    if task is not None and making is None:
        import cloudpickle

        from subtrain.collection.workers import memory_maps

        if isinstance(task, (BatchTask, FunctionTask)):
            # Both hold the data once more, and a worker never asks for them.
            task = with_changes(task, relabel=None, earlier=None)
        message["task"] = base64.b64encode((memory_maps if here else cloudpickle).dumps(task)).decode()
    return message


def pack_of(study: StoredStudy, here: bool = True) -> dict[str, Any]:
    """The message for a process that trains this study; InputError where its task may not be made here."""
    making = making_of(study)
    return pack(study.task if making is None else None, making, here)


def making_of(study: StoredStudy) -> Making | None:
    """What makes the study's task in another process, None if the task itself must travel; InputError as `pack_of`."""
    return study.given if study.given_task is not None else study.making


def worker_words(study: StoredStudy) -> list[str]:
    """What `subtrain worker` must be told to make the same task: the one that was given, or that this process may run
    the study's own, as it is named now."""
    making = study.making
    if study.given is None or (study.source is not None and making.source.place == study.source.place):
        return ["--inherit", f"{'own' if making.own else 'trusted'}:{_digest(study.source)}"]
    params = [f"{key}={json.dumps(value)}" for key, value in making.source.params.items()]
    return ["--task", making.source.place, *(word for param in params for word in ("--param", param))]


def inherit(study: S, told: str) -> S:
    """The study with its own task as a parent process may run it; MismatchError if it names another task by now."""
    kind, _, digest = told.partition(":")
    if kind not in ("own", "trusted") or study.source is None or _digest(study.source) != digest:
        raise MismatchError(f"{study.location} names another task than when this job was submitted: collect again")
    if kind == "trusted":
        return replace(study, trust=True)
    return replace(study, given=Making(located(study.source, study.store), own=True))


def _digest(source: Source | None) -> str:
    about = json.dumps(source.to_json() if source else None, sort_keys=True)
    return hashlib.sha256(about.encode()).hexdigest()


def unpack(message: dict[str, Any]) -> Task | None:
    """Find modules where the sender does; the task, if there is one."""
    sys.path[:0] = [entry for entry in message["sys_path"] if entry not in sys.path]
    if message["making"] is not None:
        return Making.from_json(message["making"]).task()
    if message["task"] is None:
        return None
    import cloudpickle

    task: Task = cloudpickle.loads(base64.b64decode(message["task"]))
    return task


def open_study(path: str, message: dict[str, Any], kind: type[S]) -> S:
    """The study at `path`, of class `kind`, with the message's task at hand; InputError for a message without one."""
    task = unpack(message)
    if task is None:
        raise InputError(f"nobody said how to make the task of {path}")
    making = message["making"]
    return kind.open(path).made_by(task, Making.from_json(making) if making else None)
