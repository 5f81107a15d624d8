"""The study of the influence tables of some models of another study, and the guess that it ends in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.collection import collect
from subtrain.collection.workers import task_message
from subtrain.designs.listed import ListedDesign
from subtrain.errors import InputError, MismatchError
from subtrain.guess_models.tables_task import SIDES, VERSION, TablesTask, from_source, own_influence
from subtrain.guesses import Guess, guess_names, guess_prefix, load_guess, save_guess
from subtrain.store.addresses import open_store
from subtrain.store.memory import Memory
from subtrain.store.protocol import Store
from subtrain.studies.manifest import MANIFEST
from subtrain.studies.new_study import create_study
from subtrain.studies.segments.segment_file import read_about
from subtrain.studies.stored_study import StoredStudy, segment_name
from subtrain.studies.trust import Making
from subtrain.tasks.base import Source, Task

FOLDER = "models"


@dataclass(frozen=True, eq=False)
class Tables:
    """The tables of some models, as a study of their own whose every row is one part of their sum.

    study: whose models they are; output: which of its outputs; name: of the guess; task: what computes the parts;
    inner: the study of the parts.
    """

    study: StoredStudy
    output: str
    name: str
    task: TablesTask
    inner: StoredStudy

    @classmethod
    def of(cls, study: StoredStudy, output: str, rows: NDArray[np.int64], name: str, recorded: bool = False) -> Tables:
        """Tables of these models; recorded: the parts also hold all outputs of the models, as the study would."""
        task = TablesTask.of(study, study.task, output, rows, recorded)
        parts = task.masks[np.arange(task.parts)]
        label = hashlib.sha256(f"{task.fingerprint} {study.identity}".encode()).hexdigest()[:12]
        store = open_store(f"{study.store.address.rstrip('/')}/{guess_prefix(name)}/{FOLDER}/{label}")
        making = _making(study, task, recorded)
        return cls(study, output, name, task, _opened(store, ListedDesign(parts, 1, 0), task, making))

    def compute(self, progress: bool, options: Mapping[str, Any]) -> None:
        """Train the models and compute their tables, as far as they are not there yet."""
        if options.get("detach"):
            raise InputError("a guess is made of tables that it waits for: leave out detach (--detach)")
        collect(self.inner, progress=progress, **options)

    def recorded(self) -> dict[int, dict[str, NDArray[Any]]]:
        """What is recorded of the models, by their numbers."""
        found: dict[int, dict[str, NDArray[Any]]] = {}
        for part in range(self.task.parts):
            values = {name: self.inner.read(name, [part])[0] for name in self.task.outputs if name not in SIDES}
            found |= self.task.of_models(part, values)
        return found

    def keep(self, there: Guess | None) -> Guess:
        """Save the guess, with the models of the one that is there; its parts are then deleted."""
        sums = [np.zeros((self.study.n, self.task.targets), np.float32) for _ in SIDES]
        seconds = []
        for part in range(self.task.parts):
            took = read_about(self.inner.store, segment_name((part, part + 1)))["seconds"]
            seconds.append(took / len(self.task.models[part :: self.task.parts]))
            for total, key in zip(sums, SIDES, strict=True):
                total += self.inner.read(key, [part])[0]
        holding = self.task.masks.unpack().sum(axis=0, dtype=np.int64)
        # The median, for the first of each worker also load and compile.
        each = round(float(np.median(seconds)), 4)
        meta = {"models": self.task.models.tolist(), "study": self.study.location, "seconds_each": each}
        made = Guess(sums[0], sums[1], holding, meta | _made_by(self.study, self.output))
        found = made if there is None else there + made
        save_guess(self.study, found, self.name)
        self.study.store.clear(f"{guess_prefix(self.name)}/{FOLDER}")
        return found


def kept(study: StoredStudy, name: str, output: str) -> Guess | None:
    """The guess of this name, if there is one; MismatchError if it is of another output, or made in another way."""
    if name not in guess_names(study.store):
        return None
    there = load_guess(study, name)
    wanted = _made_by(study, output)
    other = [f"{key} {there.meta.get(key)!r}" for key, value in wanted.items() if there.meta.get(key) != value]
    if other:
        raise MismatchError(
            f"{study.location} has another guess named {name!r}, made with {', '.join(other)}: choose another name "
            f"(--name), or delete {study.store.location(guess_prefix(name))}"
        )
    return there


def _made_by(study: StoredStudy, output: str) -> dict[str, Any]:
    """What two guesses must have in common to be added."""
    own = own_influence(study.task)
    return {"output": output, "study_id": study.identity, "version": VERSION, **({"influence": own} if own else {})}


def _opened(store: Store, design: ListedDesign, task: Task, making: Making | None) -> StoredStudy:
    if store.exists(MANIFEST):
        return StoredStudy.open(store).made_by(task, making)
    source, own = (making.source, making.own) if making else (None, True)
    return create_study(store, task, source, design, segment=1, exist_ok=True, own=own, kind=StoredStudy)


def _making(study: StoredStudy, task: TablesTask, recorded: bool) -> Making | None:
    """What makes the task of the tables in another process, if something makes the study's own task there."""
    making = task_message.making_of(study)
    if making is None or isinstance(study.store, Memory):
        return None
    params = {
        "name": making.source.place,
        "params": dict(making.source.params),
        "study": study.store.address,
        "output": task.output,
        "rows": task.models.tolist(),
        "parts": task.parts,
        "recorded": recorded,
    }
    return replace(making, source=Source(f"{from_source.__module__}:from_source", params))
