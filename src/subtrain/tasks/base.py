"""The plug-in point: what a task must offer, and the two forms most tasks take."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.fingerprint import fingerprint
from subtrain.outputs import Output, one_model
from subtrain.system.paths import read_back
from subtrain.tasks.watching.fingerprint_0_1 import source_of
from subtrain.tasks.watching.watched import LOOKED_AT, Fingerprint, Watched

Arrays = Mapping[str, ArrayLike]
Influence = Callable[[NDArray[np.bool_], int, str], NDArray[np.float32]]
T = TypeVar("T")


class Task(Protocol):
    """A learning algorithm and its data: given masks and seeds, it trains and returns outputs.

    A worker process makes the task once, from its `source` or from a pickle, and calls `train` from one thread, for
    models in any order. A model may be trained twice, here or elsewhere, and must come out the same; so what `train`
    returns for it depends on its own mask and seed alone. `train` may raise anything: the models of the call are then
    tried one by one, and each that raises again fails with that sentence. Memory that runs out leads to fewer workers.
    `subtrain.testing.tasks` holds checks of that; `subtrain.check` tries a task as `collect` would.

    Attributes:
        n: training examples to choose from.
        outputs: what `train` returns for each model, by name, declared before anything is trained.
        fingerprint: changes whenever the data or the recipe change.
        batch: optional: models that one call of `train` likes to have; default 1.
        view: optional: how a person sees the examples, a View.
        source: optional: how another process makes this task again, a Source.
        device: optional: "cuda" if it trains on the GPU that the environment variable SUBTRAIN_DEVICE names, where
            there is one; else "cpu" or None.
        labels: optional: the class number of each training example, so that `check` sees subsets that lack a class.
        minibatch: optional: the examples that a step trains on, so that `check` sees subsets that leave one over.
        train_rows: optional, instead of `train`: `train_rows(rows)` is told the numbers of the models; for foreign code
            that draws its own masks.
        relabelled: optional: `relabelled(units, labels)` returns a task of n + q examples and the same outputs, whose
            example n + k is example units[k] with label labels[k] (`tasks.relabel`).
        influence: optional: `influence(mask, seed, output)` trains that model again and returns its influence table,
            float32 [n, T]: how far training on each example moves each target's output, to first order (`st.guess`). If
            it also takes `outputs`, then with outputs=True it returns that table and what the model records, arrays by
            output name, so that `collect(guess=…)` trains the model once; else it is trained for both.
        earlier: optional: `earlier()` returns the task as an earlier version of subtrain trained it, for studies that
            were begun with that.

    Example:
        >>> import subtrain as st
        >>> def train(indices, seed):
        ...     return {"test_margins": [float(len(indices))]}
        >>> task = st.tasks.function(train, n=10, outputs={"test_margins": [1]})
        >>> task.train(np.ones((1, 10), bool), np.zeros(1, np.uint32))
        {'test_margins': array([[10.]])}
    """

    @property
    def n(self) -> int: ...

    @property
    def outputs(self) -> Mapping[str, Output]: ...

    @property
    def fingerprint(self) -> str: ...

    def train(self, masks: NDArray[np.bool_], seeds: NDArray[np.uint32]) -> Arrays:
        """Train one model a row of `masks` bool [k, n], seeded by `seeds` [k]; arrays [k, *shape] by output name.

        What a model returns may depend on its own mask and seed only, not on its neighbors in the call.
        """
        ...


@dataclass(frozen=True)
class Source:
    """Where a task comes from: "module:name" or "file.py:name" as it was written, and the parameters it was made with.

    Of a file also file: where it was then, an absolute path; beside: the same as seen from the study; sha256: of it.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""
    beside: str = ""
    sha256: str = ""

    @property
    def place(self) -> str:
        """The name by which it is found from any folder."""
        return f"{self.file}:{self.name.rpartition(':')[2]}" if self.file else self.name

    def to_json(self) -> dict[str, Any]:
        more = {"file": self.file, "beside": self.beside, "sha256": self.sha256} if self.file else {}
        return {"name": self.name, "params": dict(self.params), **more}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Source:
        """TypeError for what is none."""
        texts = {key: data.get(key, "") for key in ("file", "beside", "sha256")}
        if not all(isinstance(value, str) for value in (data["name"], *texts.values())):
            raise TypeError(f"the name of a task and its places must be texts, got {dict(data)}")
        places = {key: read_back(value) for key, value in texts.items()}
        return Source(read_back(data["name"]), dict(data["params"]), **places)


@dataclass(frozen=True, eq=False)
class View:
    """How a person sees the examples of each split ("train", "test"): images uint8 [N, H, W(, 3)], labels, texts, and
    tables: columns by name, with a value for each example."""

    images: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, Sequence[Any] | NDArray[Any]]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class BatchTask:
    """A task from a function `train(masks, seeds)` that trains many models in one call."""

    train_batch: Callable[[NDArray[np.bool_], NDArray[np.uint32]], Arrays] = field(repr=False)
    n: int
    outputs: Mapping[str, Output]
    fingerprint: Fingerprint = LOOKED_AT
    batch: int = 16
    view: View | None = field(default=None, repr=False)
    source: Source | None = None
    device: str | None = None
    needs: str | None = None
    labels: NDArray[np.int64] | None = field(default=None, repr=False)
    relabel: Callable[[Sequence[int], Sequence[int]], Task] | None = field(default=None, repr=False)
    influence: Influence | None = field(default=None, repr=False)
    watched: Watched | None = field(default=None, repr=False)
    earlier: Callable[[], Task] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _bind(self, self.train_batch)

    def train(self, masks: NDArray[np.bool_], seeds: NDArray[np.uint32]) -> Arrays:
        _ = self.fingerprint  # before training may change what it is made of
        return self.train_batch(masks, seeds)

    def relabelled(self, units: Sequence[int], labels: Sequence[int]) -> Task:
        """The task with relabeled twins behind its examples; InputError if it has no labels of its own."""
        return _relabelled(self, units, labels)


@dataclass(frozen=True, eq=False)
class FunctionTask:
    """A task from a function `train(indices, seed)` that trains one model and returns {"name": array, …}."""

    train_one: Callable[[NDArray[np.int64], int], Arrays] = field(repr=False)
    n: int
    outputs: Mapping[str, Output]
    fingerprint: Fingerprint = LOOKED_AT
    batch: int = 1
    view: View | None = field(default=None, repr=False)
    source: Source | None = None
    device: str | None = None
    needs: str | None = None
    labels: NDArray[np.int64] | None = field(default=None, repr=False)
    minibatch: int | None = None
    relabel: Callable[[Sequence[int], Sequence[int]], Task] | None = field(default=None, repr=False)
    influence: Influence | None = field(default=None, repr=False)
    watched: Watched | None = field(default=None, repr=False)
    earlier: Callable[[], Task] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _bind(self, self.train_one)

    def relabelled(self, units: Sequence[int], labels: Sequence[int]) -> Task:
        """The task with relabeled twins behind its examples; InputError if it has no labels of its own."""
        return _relabelled(self, units, labels)

    def train(self, masks: NDArray[np.bool_], seeds: NDArray[np.uint32]) -> Arrays:
        _ = self.fingerprint  # before training may change what it is made of
        each = [
            one_model(self.outputs, self.train_one(np.flatnonzero(mask), int(seed)))
            for mask, seed in zip(masks, seeds, strict=True)
        ]
        return {name: np.stack([one[name] for one in each]) for name in self.outputs}


def _bind(task: BatchTask | FunctionTask, train: Callable[..., Any]) -> None:
    """Watch what a task is made of: `dataclasses.replace` hands on what was watched of the one before.

    Another function or other outputs are watched in place of those; a fingerprint that somebody wrote himself stays.
    """
    watched, given = task.watched, vars(task)["_fingerprint"]
    if watched is None:
        return
    if given and given != watched.fingerprint:
        object.__setattr__(task, "watched", None)
        object.__setattr__(task, "earlier", None)
        return
    if watched.subject is not None:
        before, outputs = watched.subject
        shapes = {} if task.outputs is outputs or task.outputs == outputs else shapes_of(task.outputs)
        if before is train and not shapes:
            return
        watched = watched.of(train, shapes)
        object.__setattr__(task, "watched", watched)
        object.__setattr__(task, "earlier", None)
    watched.subject = (train, task.outputs)


def _relabelled(task: BatchTask | FunctionTask, units: Sequence[int], labels: Sequence[int]) -> Task:
    if task.relabel is None:
        raise InputError(
            "this task cannot relabel its examples, for it does not know their labels: build it with relabel=, a "
            "function (units, labels) that returns the task with those twins behind its own examples"
        )
    found = task.relabel(units, labels)
    if task.earlier is None:
        return found
    return with_changes(found, earlier=partial(_earlier_relabelled, task.earlier, units, labels))


def _earlier_relabelled(earlier: Callable[[], Any], units: Sequence[int], labels: Sequence[int]) -> Task:
    found: Task = earlier().relabelled(units, labels)
    return found


def function(
    train: Callable[[NDArray[np.int64], int], Arrays],
    n: int,
    outputs: Mapping[str, Output | Sequence[int] | int | Mapping[str, Any]],
    data: Any = (),
    view: View | None = None,
    influence: Influence | None = None,
) -> FunctionTask:
    """A task from plain training code: `train(indices, seed) -> {"test_margins": array, …}`.

    n: training examples; outputs: name → Output, or just a shape (then float16). The study notices when the function
    changes, or anything it names: constants, arrays, helpers and classes, in this file and in others of your own. data:
    what it uses besides, a list or a dict of arrays and tables of any kind and of paths of files and folders, which
    count by their content; or one array, table or path. influence: as that of `Task`, for `st.guess`; it can be added
    to a study's task, or changed, at any time.
    """
    schema = output_schema(outputs)
    watched = _watched(train, schema, data)
    return FunctionTask(train, checked_n(n), schema, "", view=view, influence=influence, watched=watched)


def batch(
    train: Callable[[NDArray[np.bool_], NDArray[np.uint32]], Arrays],
    n: int,
    outputs: Mapping[str, Output | Sequence[int] | int | Mapping[str, Any]],
    size: int = 16,
    data: Any = (),
    view: View | None = None,
    influence: Influence | None = None,
) -> BatchTask:
    """Many models a call: `train(masks bool [k, n], seeds [k])`, at most `size` a call; else as `function`."""
    schema = output_schema(outputs)
    watched = _watched(train, schema, data)
    return BatchTask(train, checked_n(n), schema, "", batch=size, view=view, influence=influence, watched=watched)


def _watched(train: Callable[..., Any], schema: Mapping[str, Output], data: Any) -> Watched:
    shapes = shapes_of(schema)
    listed = [data] if isinstance(data, (str, Path)) else data
    return Watched(
        {"train": train, "outputs": shapes, "data": data}, lambda: fingerprint(source_of(train), schema, *listed)
    )


def shapes_of(outputs: Mapping[str, Output]) -> dict[str, Any]:
    """What of the outputs counts: shape and dtype by name."""
    return {name: [list(spec.shape), spec.dtype] for name, spec in outputs.items()}


def with_changes(task: T, **changes: Any) -> T:
    """A copy of a task of these two classes with other fields; what it watches is not looked at for that."""
    made = copy.copy(task)
    for name, value in changes.items():
        object.__setattr__(made, name, value)
    return made


def checked_n(n: int) -> int:
    """n as an int; InputError unless it is at least 2."""
    if int(n) != n or n < 2:
        raise InputError(f"a task needs at least 2 training examples, got n = {n}")
    return int(n)


def output_schema(outputs: Mapping[str, Output | Sequence[int] | int | Mapping[str, Any]]) -> dict[str, Output]:
    """Outputs by name: an Output, its fields as a dict, or just a shape, which means float16."""
    if not isinstance(outputs, Mapping) or not outputs:
        raise InputError("a task must declare at least one output with its shape, for example {'test_margins': [100]}")
    for name in outputs:
        if not isinstance(name, str) or not name.isidentifier():
            raise InputError(f"output name {name!r} must be a plain word, it becomes a file name")
    return {name: _declared(name, spec) for name, spec in outputs.items()}


def _declared(name: str, spec: Any) -> Output:
    if isinstance(spec, Output):
        return spec
    try:
        if isinstance(spec, str):
            raise TypeError
        if isinstance(spec, Mapping):
            return Output(**spec)
        return Output((int(spec),) if isinstance(spec, (int, np.integer)) else tuple(spec))
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"output {name!r} must be declared by its shape, for example [100], not {spec!r}") from None
