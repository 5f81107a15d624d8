"""`st.guess`: influence tables of some of a study's own models, computed as models are trained, by any engine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.collection import collect
from subtrain.collection.keyword_checks import hands_on
from subtrain.collection.workers import task_message
from subtrain.designs.drawn import FIT, whole_numbers
from subtrain.designs.listed import ListedDesign
from subtrain.errors import InputError, MismatchError
from subtrain.fingerprint import fingerprint
from subtrain.guesses import Guess, guess_names, guess_prefix, load_guess, save_guess
from subtrain.masks import Masks
from subtrain.outputs import Output
from subtrain.store.addresses import open_store
from subtrain.store.memory import Memory
from subtrain.store.protocol import Store
from subtrain.studies.manifest import MANIFEST
from subtrain.studies.new_study import create_study
from subtrain.studies.stored_study import StoredStudy
from subtrain.studies.trust import Making
from subtrain.study import Study
from subtrain.system.machine import cores
from subtrain.tasks.base import Source, Task
from subtrain.tasks.loading.task_factory import marked
from subtrain.tasks.watching.watched import Watched

# A change of how tables are computed makes another guess.
VERSION = 1
FOLDER = "models"
# Sums of tables that wait on the disk at once, in bytes.
DISK = 1 << 31


@hands_on("collect")
def guess(
    study: Study,
    models: int | Sequence[int] = 50,
    output: str | None = None,
    *,
    name: str = "default",
    progress: bool = True,
    **options: Any,
) -> Guess:
    """Compute influence tables of some models that fit, and keep their sums in the study: a guess of every weight.

    Each model is trained once more from its mask and seed, and linearized around what it came to. A guess that is there
    already only gets the models it lacks. It can be interrupted and called again.

    Args:
        study: The study; some of its models are finished.
        models: How many, the first that are finished; or their numbers. Default 50.
        output: Name of the recorded output. Default None, the study's first.
        name: Name of the guess, a folder below STUDY/guesses. Default "default".
        progress: Whether to show progress. Default True.
        options: As `collect` takes them (engine, workers, …).

    Returns:
        The guess, for `SharedPrior(guess=…)`.

    Raises:
        InputError: where the task knows no influence, too few models are finished, or a model is held out.

    Example:
        >>> task = st.tasks.digits(n=30, targets=8)
        >>> study = st.Study.create(":memory:", task, st.Design(models=40))
        >>> _ = study.collect(progress=False)
        >>> made = st.guess(study, models=4, progress=False)
        >>> study.fit(estimator=st.SharedPrior(guess=made)).meta["chosen"][:5]
        'guess'
    """
    output = output or next(iter(study.outputs))
    if output not in study.outputs:
        raise InputError(f"{study.location} records no output {output!r}; it has {', '.join(study.outputs)}")
    check_task(study)
    rows = chosen_models(study, models)
    there = _kept(study, name, output, rows)
    lacking = np.setdiff1d(rows, there.meta["models"]) if there else rows
    if there is not None and not lacking.size:
        return there
    made = _made(study, output, lacking, name, progress, options)
    found = made if there is None else there + made
    save_guess(study, found, name)
    return found


def check_task(study: Study) -> None:
    """InputError unless the study's task can say how training on an example moves its outputs."""
    if study.imported:
        raise InputError(f"{study.location} was imported: without its task no model can be trained again for a guess")
    if getattr(study.task, "influence", None) is None:
        raise InputError(
            f"the task of {study.location} knows no influence: those of digits, mlp, cnn, logistic and ridge heads and "
            "torch_module do; give your own task a method influence(mask, seed, output), or make a table elsewhere and "
            "fit with SharedPrior(guess=TABLE) (--guess TABLE.npy)"
        )


def own_influence(task: Any) -> str:
    """A digest of the code and data of an influence function that is not ours; "" for ours, which VERSION stands for.

    It does not belong to the task's fingerprint: a study whose models are trained can be given one.
    """
    function = task.influence
    while isinstance(function, partial):
        function = function.func
    if (getattr(function, "__module__", None) or "").partition(".")[0] == "subtrain":
        return ""
    return Watched({"influence": task.influence}).fingerprint


def chosen_models(study: Study, models: int | Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of the models, ascending; InputError for held-out ones, and for more than are finished."""
    done = study.done(FIT)
    if isinstance(models, (int, np.integer)):
        if not 1 <= models <= done.size:
            raise InputError(
                f"a guess takes at least one finished model that fits, {models} asked for, {study.location} has "
                f"{done.size}"
            )
        return done[: int(models)]
    rows = np.unique(whole_numbers("models", models))
    wrong = np.setdiff1d(rows, done)
    if wrong.size or not rows.size:
        which = f"model {wrong[0]} is held out or not finished" if wrong.size else "none is given"
        raise InputError(f"a guess takes finished models that fit, {which}: held-out models stay unseen")
    return rows


def _kept(study: Study, name: str, output: str, rows: NDArray[np.int64]) -> Guess | None:
    """The guess of this name, if it is of this output, made the same way, and of no other models."""
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
    return there if np.isin(there.meta["models"], rows).all() else None


def _made(
    study: Study, output: str, rows: NDArray[np.int64], name: str, progress: bool, options: Mapping[str, Any]
) -> Guess:
    """Sums of the tables of these models, by a study of their own whose every row is one part of the sum."""
    task = TablesTask.of(study, study.task, output, rows)
    parts = task.masks[np.arange(task.parts)]
    design = ListedDesign(parts, 1, 0)
    label = hashlib.sha256(f"{task.fingerprint} {study.identity}".encode()).hexdigest()[:12]
    store = open_store(f"{study.store.address.rstrip('/')}/{guess_prefix(name)}/{FOLDER}/{label}")
    found = _opened(store, design, task, _making(study, output, rows))
    collect(found, progress=progress, **options)
    sums = [np.zeros((study.n, task.targets), np.float32) for _ in range(2)]
    for part in range(task.parts):
        for total, key in zip(sums, task.outputs, strict=True):
            total += found.read(key, [part])[0]
    study.store.clear(f"{guess_prefix(name)}/{FOLDER}")
    holding = task.masks.unpack().sum(axis=0, dtype=np.int64)
    meta = {"models": rows.tolist(), "study": study.location, **_made_by(study, output)}
    return Guess(sums[0], sums[1], holding, meta)


def _made_by(study: Study, output: str) -> dict[str, Any]:
    """What two guesses must have in common to be added."""
    own = own_influence(study.task)
    return {"output": output, "study_id": study.identity, "version": VERSION, **({"influence": own} if own else {})}


def _opened(store: Store, design: ListedDesign, task: Task, making: Making | None) -> Study:
    if store.exists(MANIFEST):
        return Study.open(store).made_by(task, making)
    source, own = (making.source, making.own) if making else (None, True)
    return create_study(store, task, source, design, segment=1, exist_ok=True, own=own, kind=Study)


def _making(study: Study, output: str, rows: NDArray[np.int64]) -> Making | None:
    """What makes the task of the tables in another process, if something makes the study's own task there."""
    making = task_message.making_of(study)
    if making is None or isinstance(study.store, Memory):
        return None
    params = {
        "name": making.source.place,
        "params": dict(making.source.params),
        "study": study.store.address,
        "output": output,
        "rows": rows.tolist(),
    }
    return replace(making, source=Source(f"{__name__}:from_source", params))


@marked
def from_source(name: str, params: dict[str, Any], study: str, output: str, rows: list[int]) -> Task:
    """The task of the tables of these models of the study at this address, whose own task has this name."""
    from subtrain.tasks.loading.load import load_task

    return TablesTask.of(StoredStudy.open(study), load_task(name, params)[0], output, np.array(rows, np.int64))


@dataclass(frozen=True, eq=False)
class TablesTask:
    """A task whose row p is the sum of the influence tables of models p, p + parts, p + 2 parts, … of K models.

    task: the study's own, which trains them; output: which of its outputs; models [K]: their numbers in the study;
    masks [K, n] and seeds [K]: theirs; parts: rows; own: as `own_influence` finds it, before it is sent elsewhere;
    groups: the unit of each training example, if units are groups.
    """

    task: Any = field(repr=False)
    output: str
    models: NDArray[np.int64] = field(repr=False)
    masks: Masks
    seeds: NDArray[np.uint32] = field(repr=False)
    parts: int
    targets: int
    own: str = ""
    groups: NDArray[np.int64] | None = field(default=None, repr=False)
    batch: int = 1

    @classmethod
    def of(cls, study: StoredStudy, task: Any, output: str, rows: NDArray[np.int64]) -> TablesTask:
        """For these models of a study."""
        targets = int(np.prod(study.outputs[output].shape, dtype=np.int64))
        least = min(rows.size, 2 * cores())
        parts = int(np.clip(DISK // (8 * study.n * targets), least, rows.size))
        groups = None if study.groups is None else np.asarray(study.groups, np.int64)
        design = study.design
        return cls(
            task, output, rows, design.masks(rows), design.seeds(rows), parts, targets, own_influence(task), groups
        )

    @property
    def n(self) -> int:
        """Units."""
        return self.masks.n

    @property
    def outputs(self) -> Mapping[str, Output]:
        """The sums over models with the unit and without it, [n, T] each."""
        return {key: Output((self.n, self.targets), "float32", "influence") for key in ("inside", "outside")}

    @property
    def fingerprint(self) -> str:
        """Of the study's own task, and of the models."""
        digest = self.masks.sha256()
        return fingerprint(self.task.fingerprint, VERSION, self.output, digest, self.seeds, self.parts, self.own)

    @property
    def device(self) -> str | None:
        """That of the study's own task."""
        return getattr(self.task, "device", None)

    def train(self, masks: NDArray[np.bool_], seeds: NDArray[np.uint32]) -> Mapping[str, ArrayLike]:
        """Not called: `train_rows` is there."""
        raise NotImplementedError

    def train_rows(self, rows: Sequence[int]) -> Mapping[str, ArrayLike]:
        """Parts of the sums."""
        found = {key: np.zeros((len(rows), self.n, self.targets), np.float32) for key in self.outputs}
        for k, part in enumerate(rows):
            for i in range(part, len(self.masks), self.parts):
                mask = self.masks[np.array([i])].unpack()[0]
                try:
                    table = self._table(mask, int(self.seeds[i]))
                except InputError as error:
                    raise InputError(f"the table of model {self.models[i]} of the study: {error}") from None
                found["inside"][k][mask] += table[mask]
                found["outside"][k][~mask] += table[~mask]
        return found

    def _table(self, mask: NDArray[np.bool_], seed: int) -> NDArray[np.floating[Any]]:
        examples = mask if self.groups is None else mask[self.groups]
        table = np.asarray(self.task.influence(examples, seed, self.output))
        expected = (examples.size, self.targets)
        if table.shape != expected or table.dtype.kind != "f":
            raise InputError(
                f"influence() must return floats {list(expected)}, it returned {table.dtype} {list(table.shape)}"
            )
        if not np.isfinite(table).all():
            raise InputError("influence() returned numbers that are inf or NaN")
        if self.groups is None:
            return table
        found = np.zeros((mask.size, self.targets), table.dtype)
        np.add.at(found, self.groups, table)
        return found
