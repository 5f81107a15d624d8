"""Retraining on masks of one's choice: what every use that claims a cause is checked against."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.collection import collect
from subtrain.collection.keyword_checks import hands_on
from subtrain.collection.workers import task_message
from subtrain.designs.listed import ListedDesign
from subtrain.designs.model_rows import numbers_below, whole_numbers
from subtrain.errors import InputError, MismatchError
from subtrain.masks import Masks, pack
from subtrain.store.addresses import open_store
from subtrain.store.protocol import Store
from subtrain.studies.manifest import MANIFEST
from subtrain.studies.new_study import create_study
from subtrain.studies.trust import Making
from subtrain.study import Study
from subtrain.system.machine import cores
from subtrain.tasks.base import Source, Task

FOLDER = "retrained"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LARGEST_SEGMENT = 64


@dataclass(frozen=True, eq=False)
class Retrained:
    """Models trained on listed masks.

    study: where they are, a study of its own; index int64 [k]: for each mask as it was given, its number there (equal
    masks are trained once); runs: models of each mask, of which there may be more.
    """

    study: Study
    index: NDArray[np.int64] = field(repr=False)
    runs: int

    def __repr__(self) -> str:
        return f"Retrained({self.study.location!r}, masks={self.index.size}, runs={self.runs})"

    def outputs(self, output: str | None = None, targets: Sequence[int] | None = None) -> NDArray[np.float32]:
        """What the models answered, float32 [k, runs, T]; of some targets (flat numbers) only, if they are given."""
        numbers, at = np.unique(self.index, return_inverse=True)
        return self._read(output, targets, numbers)[at]

    def of_targets(self, targets: ArrayLike, output: str | None = None) -> NDArray[np.float32]:
        """The output of mask i on its own target targets[i], float32 [k, runs]."""
        own = whole_numbers("targets", targets)
        if own.size != self.index.size:
            raise InputError(f"{self.index.size} masks were retrained, but {own.size} targets are given: one a mask")
        columns, which = np.unique(own, return_inverse=True)
        numbers, at = np.unique(self.index, return_inverse=True)
        return self._read(output, columns.tolist(), numbers)[at, :, which]

    def _read(
        self, output: str | None, targets: Sequence[int] | None, numbers: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        name = output or next(iter(self.study.outputs))
        design = self.study.design
        count = design.rows // design.replicates
        found: list[NDArray[np.float32]] = []
        for run in range(self.runs):  # a run at a time, so that a few targets of many take little memory
            rows = self.study.read(name, run * count + numbers).reshape(numbers.size, -1)
            found.append(
                (rows if targets is None else rows[:, numbers_below("targets", targets, rows.shape[1])]).astype(
                    np.float32
                )
            )
        return np.stack(found, axis=1)


@hands_on("collect")
def retrain(
    study: Study,
    masks: Masks | ArrayLike,
    runs: int = 1,
    *,
    name: str | None = None,
    seed: int | None = None,
    same_seeds: bool = False,
    task: Task | None = None,
    source: Source | Making | None = None,
    progress: bool = True,
    **options: Any,
) -> Retrained:
    """Train `runs` models on each of these masks [k, n] (bool, 0/1 or packed), with the study's own task.

    They are kept in a study of their own below the study, `retrained/<name>/`, by default named by the masks: called
    again, it trains only what is missing, and more `runs` are added to those there. Equal masks are trained once.
    seed: what the training seeds follow from, by default another for every study and list of masks, so that no model
    repeats one of the study's. same_seeds: run r has one training seed on all masks, default False. task (and its
    source, or its making): another algorithm or data instead of the study's, with as many examples as the masks have
    bits. options: as `collect` takes them (engine, workers, …).

    Raises InputError for masks over other units, an empty mask, or a study whose task is not at hand; MismatchError if
    `name` is taken by other masks, seeds or task; CollectError when models fail.
    """
    made = pack(masks)
    parent = task or task_of(study)
    making = task_message.making_of(study) if task is None else _making(source)
    groups = study.groups if made.n == study.n else None
    if task is None and made.n != study.n:
        raise InputError(f"the masks are over {made.n} units, the study over {study.n}")
    unique, index = _distinct(made)
    design = ListedDesign(unique, runs, _seed(study, unique, seed), groups, same_seeds=same_seeds)
    label = _label(name, design, parent)
    found = _opened(open_store(f"{study.store.address.rstrip('/')}/{FOLDER}/{label}"), design, parent, making)
    collect(found, progress=progress, **options)
    return Retrained(found, index, runs)


def _making(source: Source | Making | None) -> Making | None:
    return Making(source, own=True) if isinstance(source, Source) else source


def _distinct(masks: Masks) -> tuple[Masks, NDArray[np.int64]]:
    """Each different mask once, in the order of its first appearance, and the number of each of those given."""
    _, first, inverse = np.unique(masks.data, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    place = np.empty(order.size, np.int64)
    place[order] = np.arange(order.size)
    return masks[first[order]], place[inverse.reshape(-1)]


def _seed(study: Study, masks: Masks, seed: int | None) -> int:
    if seed is not None:
        if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
            raise InputError(f"seed must be a whole number in 0..2**64 - 1, got {seed!r}")
        return int(seed)
    text = f"retrain {study.identity} {masks.sha256()}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def _label(name: str | None, design: ListedDesign, task: Task) -> str:
    if name is None:
        text = f"{design.listed.sha256()} {design.seed} {task.fingerprint}{' same seeds' if design.same_seeds else ''}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot name a folder: use letters, digits, dots, dashes and underscores")
    return name


def _opened(store: Store, design: ListedDesign, task: Task, making: Making | None) -> Study:
    """The study of these masks, with at least so many runs; made now if it is not there."""
    if not store.exists(MANIFEST):
        source, own = (making.source, making.own) if making else (None, True)
        return create_study(
            store, task, source, design, segment=_segment(design, task), exist_ok=True, own=own, kind=Study
        )
    found = Study.open(store)
    there = found.design
    if {**there.to_json(), "runs": 0} != {**design.to_json(), "runs": 0}:
        raise MismatchError(f"{store.location()} holds models of other masks or seeds: choose another name")
    found = found.made_by(task, making)
    missing = design.runs - there.replicates
    return found.extend(replicates=missing) if missing > 0 else found


def _segment(design: ListedDesign, task: Task) -> int:
    """So many models that every core gets some, in whole batches of the task."""
    share = -(-design.rows // (4 * cores()))
    batch = max(1, int(getattr(task, "batch", 1)))
    return min(_LARGEST_SEGMENT, -(-share // batch) * batch)


def task_of(study: Study) -> Task:
    """What the study's models are trained with; InputError for an imported study, which does not know."""
    if study.imported:
        raise InputError(
            f"{study.location} was imported, so there is nothing to retrain with: give the task that its models were "
            "trained with (task=…)"
        )
    return study.task
