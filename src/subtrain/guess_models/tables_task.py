"""The task of influence tables: it trains some of a study's models once more and adds up their tables."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.fingerprint import fingerprint
from subtrain.masks import Masks
from subtrain.outputs import Output, check, one_model
from subtrain.studies.stored_study import StoredStudy
from subtrain.system.machine import cores
from subtrain.tasks.base import Task
from subtrain.tasks.loading.task_factory import marked
from subtrain.tasks.watching.watched import Watched

# A change of how tables are computed makes another guess.
VERSION = 1
SIDES = ("inside", "outside")
# Before the name of an output of the study, what it is called beside the sums.
RECORDED = "recorded_"
# Sums of tables that wait on the disk at once, in bytes.
DISK = 1 << 31


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


@marked
def from_source(
    name: str, params: dict[str, Any], study: str, output: str, rows: list[int], parts: int, recorded: bool
) -> Task:
    """The task of the tables of these models of the study at this address, whose own task has this name."""
    from subtrain.tasks.loading.load import load_task

    found = StoredStudy.open(study).made_by(load_task(name, params)[0], None)
    return TablesTask.of(found, found.task, output, np.array(rows, np.int64), recorded, parts)


@dataclass(frozen=True, eq=False)
class TablesTask:
    """A task whose row p is the sum of the influence tables of models p, p + parts, p + 2 parts, … of K models.

    task: the study's own, which trains them; output: which of its outputs; models [K]: their numbers in the study;
    masks [K, n] and seeds [K]: theirs; parts: rows; own: as `own_influence` finds it, before it is sent elsewhere;
    groups: the unit of each training example, if units are groups; schema: the study's outputs, if they are recorded.
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
    schema: Mapping[str, Output] | None = field(default=None, repr=False)
    batch: int = 1

    @classmethod
    def of(
        cls,
        study: StoredStudy,
        task: Any,
        output: str,
        rows: NDArray[np.int64],
        recorded: bool = False,
        parts: int | None = None,
    ) -> TablesTask:
        """For these models of a study; parts: by default as suits this machine."""
        targets = int(np.prod(study.outputs[output].shape, dtype=np.int64))
        least = min(rows.size, 2 * cores())
        parts = parts or int(np.clip(DISK // (8 * study.n * targets), least, rows.size))
        groups = None if study.groups is None else np.asarray(study.groups, np.int64)
        design, own = study.design, own_influence(task)
        schema = study.outputs if recorded else None
        return cls(task, output, rows, design.masks(rows), design.seeds(rows), parts, targets, own, groups, schema)

    @property
    def n(self) -> int:
        """Units."""
        return self.masks.n

    @property
    def outputs(self) -> Mapping[str, Output]:
        """The sums over models with the unit and without it, [n, T] each; and, by model, what the study records."""
        sums = {key: Output((self.n, self.targets), "float32", "influence") for key in SIDES}
        models = -(-len(self.masks) // self.parts)
        own = (self.schema or {}).items()
        return sums | {f"{RECORDED}{name}": Output((models, *spec.shape), spec.dtype) for name, spec in own}

    @property
    def fingerprint(self) -> str:
        """Of the study's own task, and of the models."""
        digest, more = self.masks.sha256(), [] if self.schema is None else [RECORDED]
        return fingerprint(self.task.fingerprint, VERSION, self.output, digest, self.seeds, self.parts, self.own, *more)

    @property
    def device(self) -> str | None:
        """That of the study's own task."""
        return getattr(self.task, "device", None)

    def train(self, masks: NDArray[np.bool_], seeds: NDArray[np.uint32]) -> Mapping[str, ArrayLike]:
        """Not called: `train_rows` is there."""
        raise NotImplementedError

    def train_rows(self, rows: Sequence[int]) -> Mapping[str, ArrayLike]:
        """Parts of the sums."""
        found: dict[str, NDArray[Any]] = {
            key: np.zeros((len(rows), *spec.shape), spec.dtype) for key, spec in self.outputs.items()
        }
        for k, part in enumerate(rows):
            for place, i in enumerate(range(part, len(self.masks), self.parts)):
                mask = self.masks[np.array([i])].unpack()[0]
                try:
                    table, recorded = self._table(i, mask)
                except InputError as error:
                    raise InputError(f"the table of model {self.models[i]} of the study: {error}") from None
                found["inside"][k][mask] += table[mask]
                found["outside"][k][~mask] += table[~mask]
                for name, value in recorded.items():
                    found[f"{RECORDED}{name}"][k, place] = value
        return found

    def of_models(self, part: int, found: Mapping[str, NDArray[Any]]) -> dict[int, dict[str, NDArray[Any]]]:
        """What is recorded of the models of this part, by their numbers; found: this row of the parts by output."""
        places = enumerate(range(part, len(self.masks), self.parts))
        return {
            int(self.models[i]): {name: found[f"{RECORDED}{name}"][place] for name in self.schema or {}}
            for place, i in places
        }

    def _table(self, i: int, mask: NDArray[np.bool_]) -> tuple[NDArray[np.floating[Any]], Mapping[str, NDArray[Any]]]:
        """The table of one model and, if they are recorded, its outputs."""
        examples, seed = mask if self.groups is None else mask[self.groups], self.seeds[i : i + 1]
        if self.schema is None:
            return self._by_unit(self.task.influence(examples, int(seed[0]), self.output), examples), {}
        if "outputs" in inspect.signature(self.task.influence).parameters:
            table, said = self.task.influence(examples, int(seed[0]), self.output, outputs=True)
            one = one_model(self.schema, said, "influence()")
            returned: Mapping[str, Any] = {name: value[None] for name, value in one.items()}
        else:
            returned = self.task.train(examples[None], seed)
            table = self.task.influence(examples, int(seed[0]), self.output)
        recorded = check(self.schema, returned, [int(self.models[i])])
        return self._by_unit(table, examples), {name: value[0] for name, value in recorded.items()}

    def _by_unit(self, found: Any, examples: NDArray[np.bool_]) -> NDArray[np.floating[Any]]:
        """A table of these examples, checked, as one of units."""
        table = np.asarray(found)
        expected = (examples.size, self.targets)
        if table.shape != expected or table.dtype.kind != "f":
            raise InputError(
                f"influence() must return floats {list(expected)}, it returned {table.dtype} {list(table.shape)}"
            )
        if not np.isfinite(table).all():
            raise InputError("influence() returned numbers that are inf or NaN")
        if self.groups is None:
            return table
        total = np.zeros((self.n, self.targets), table.dtype)
        np.add.at(total, self.groups, table)
        return total
