"""A study: a design, a task and the outputs of every model so far, in one store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from subtrain.designs.design_protocol import AnyDesign
from subtrain.designs.model_rows import ROLES, Span, row_numbers, whole
from subtrain.designs.model_rows import Rows as RowSpec
from subtrain.errors import InputError
from subtrain.masks import Masks
from subtrain.outputs import Output
from subtrain.store.addresses import local_folder, open_store
from subtrain.store.folder import Folder
from subtrain.store.protocol import Store
from subtrain.store.seal import sealed
from subtrain.studies.imports.imported_outputs import imported_rows
from subtrain.studies.manifest import (
    EXTENSIONS,
    FORMAT,
    MANIFEST,
    check_size,
    extension_files,
    fields_of,
    identity_of,
    json_writer,
    must_make_sense,
    read_manifest,
)
from subtrain.studies.new_study import create_study, task_and_source
from subtrain.studies.segments.output_rows import Rows, SegmentRows, plan_segments
from subtrain.studies.segments.segment_file import WHOLE, file_name
from subtrain.studies.task_agreement import agreed, check_design
from subtrain.studies.task_design import bound
from subtrain.studies.trust import Making, making_of
from subtrain.studies.view.shows_examples import ShowsExamples
from subtrain.tasks.base import Source, Task

SEGMENTS, FAILURES, FITS = "segments", "failures", "fits"
PARTIAL, LOGS = "partial", "logs"
FIT_META = "datamodels.json"

S = TypeVar("S", bound="StoredStudy")


def segment_name(span: Span, kind: str = WHOLE) -> str:
    """Name in the store of the file of models start..stop-1."""
    return f"{SEGMENTS}/{file_name(*span, kind)}"


@dataclass(frozen=True, eq=False)
class StoredStudy(ShowsExamples):
    """What a study keeps in its store, and how its parts are read; `subtrain.Study` adds what is done with it.

    Attributes:
        store: the folder, bucket or memory that it lies in.
        design: who is in which subset.
        outputs: what is recorded of each model, by name.
        segment: models that are committed together.
        fingerprint: of the task.
        source: what makes the task again; None if nothing does.
        format: of its files.
        given_task: the task, if it was given.
        shows: whether it stores a view of its examples; None if a version made it that stored none.
        given: what makes the task that was given.
        signature: what shows whose study it is.
        trust: whether its user trusts the code of a stranger's study.
    """

    store: Store
    design: AnyDesign
    outputs: dict[str, Output]
    segment: int
    fingerprint: str
    source: Source | None = None
    format: int = FORMAT
    given_task: Task | None = field(default=None, repr=False)
    shows: bool | None = None
    given: Making | None = field(default=None, repr=False)
    signature: object = field(default=None, repr=False)
    trust: bool = False
    rows: Rows = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_size(self.design, self.segment)
        object.__setattr__(self, "rows", self._find_rows())

    def __repr__(self) -> str:
        return (
            f"Study({self.location!r}, models={self.models_done()}/{self.models}, units={self.n}, "
            f"alpha={self.design.alpha}, outputs={list(self.outputs)})"
        )

    @classmethod
    def create(
        cls,
        path: str | Path | Store,
        task: Task | str,
        design: AnyDesign,
        *,
        params: Mapping[str, Any] | None = None,
        segment: int = 64,
        exist_ok: bool = False,
        view: bool = True,
    ) -> Self:
        """Make a new study; nothing is trained yet.

        Args:
            path: a folder, `s3://bucket/prefix`, or `:memory:` for a study that ends with this process.
            task: a Task, or its name: "module:name", "file.py:name", or one of `TASKS`, as "digits".
            design: who is in which subset; its units are taken from the task.
            params: parameters of a task that is given by name.
            segment: models that are committed together; fewer lose less when a worker dies.
            exist_ok: open the study if it is there already.
            view: store what the task shows of its examples (images, labels, texts, tables), at most 512 MiB, so that
                the study can be looked at without its code.

        Returns:
            The study, with its task at hand.

        Raises:
            InputError: there is a study already, or design and task do not fit.
            MismatchError: the study that is there has another task or design.

        Example:
            >>> import subtrain as st
            >>> st.Study.create(":memory:", st.tasks.digits(n=50), st.Design(models=40, heldout=4)).models
            48
        """
        found, source = task_and_source(task, params)
        store = open_store(path)
        design = bound(design, found)
        return create_study(store, found, source, design, segment=segment, exist_ok=exist_ok, view=view, kind=cls)

    @classmethod
    def open(
        cls,
        path: str | Path | Store,
        task: Task | str | None = None,
        design: AnyDesign | None = None,
        params: Mapping[str, Any] | None = None,
        trust: bool = False,
    ) -> Self:
        """Open a study; nothing of its code is run.

        Args:
            path: the folder, `s3://bucket/prefix`, or store.
            task: the study's task, where its own name does not lead to it.
            design: the study's design, to make sure of it.
            params: parameters of a task that is given by name.
            trust: let training run the code that study.json names although somebody else created the study.

        Returns:
            The study as it is now.

        Raises:
            InputError: there is no study.
            MismatchError: the task or design is not the study's own.
            CorruptError: one of its files is damaged.

        Example:
            >>> import subtrain as st
            >>> study = st.Study.create(":memory:", st.tasks.digits(n=50), st.Design(models=40, heldout=4))
            >>> st.Study.open(study.store).models_done()
            0
        """
        store = open_store(path)
        data = read_manifest(store)
        if isinstance(store, Folder):
            store = store.bound_to(MANIFEST)
        with must_make_sense(store):
            study = cls(store=store, **fields_of(store, data))
        if design is not None:
            check_design(study, design)
        study = replace(study, trust=trust)
        return study if task is None else study.with_task(task, params)

    def with_task(self, task: Task | str, params: Mapping[str, Any] | None = None) -> Self:
        """This study with its task at hand; MismatchError shows what differs if it is not the study's own."""
        found, source = task_and_source(task, params)
        return self.made_by(found, Making(source, own=True) if source else None)

    def made_by(self, task: Task, making: Making | None) -> Self:
        """This study with its task at hand and what makes it again, if anything does; else MismatchError."""
        return replace(self, given_task=agreed(self, task, None if making is None else making.task), given=making)

    def extend(
        self, models: int = 0, heldout: int = 0, replicates: int | None = None, validation: int = 0, anchors: int = 0
    ) -> Self:
        """Plan more models; everything that is there stays as it is.

        Args:
            models: further subsets to fit on.
            heldout: further subsets to evaluate on.
            replicates: models on each further held-out subset, or further runs of each listed mask; by default as the
                design has it.
            validation: further random subsets with seeds of their own, one model each, which choose lambda.
            anchors: further models on all units and on more of them than alpha has, which tell the level of outputs.

        Returns:
            The longer study; collect it.
        """
        if not self.design.can_extend:
            raise InputError(f"{self.location} was imported: there is no design to draw more models from")
        # Kinds of design that have no such models need not know the words.
        asked = ("validation", "validation models", validation), ("anchors", "anchors", anchors)
        own = {word: whole(f"{name} to add", count) for word, name, count in asked if count}
        check_size(self.design.extend(models, heldout, replicates, **own), self.segment)
        more = int(replicates or self.design.replicates)
        entry = {"models": int(models), "heldout": int(heldout), "replicates": more, **own}
        while True:
            numbered = f"{EXTENSIONS}/{len(extension_files(self.store)) + 1:06d}.json"
            now = type(self).open(self.store)
            if self.store.commit_new(numbered, json_writer(sealed({**entry, "after": now.models}))):
                return self.again()

    def again(self) -> Self:
        """The study as it is now, with what was given for it."""
        fresh = replace(type(self).open(self.store), given_task=self.given_task, given=self.given, trust=self.trust)
        if "task" in vars(self):
            vars(fresh)["task"] = self.task
        return fresh

    def _find_rows(self) -> Rows:
        if self.design.trained_elsewhere:
            manifest = self.manifest
            return imported_rows(
                self.path, manifest["arrays"], self.design, self.fingerprint, manifest.get("sha256", {})
            )
        return SegmentRows(self.store, SEGMENTS, self.outputs, frozenset(self.segments), self.identity)

    @property
    def name(self) -> str:
        """The last part of where it lies."""
        return self.store.address.rstrip("/").rpartition("/")[2]

    @property
    def path(self) -> Path:
        """The study's folder; InputError for a study in a bucket or in memory, which has none."""
        found = self.store.path()
        if found is None:
            raise InputError(f"{self.location} does not lie in a folder, and this needs one")
        return found

    @property
    def local(self) -> Path:
        """The folder of this machine for what stays on it, the logs of workers and counts."""
        return local_folder(self.store)

    @property
    def manifest(self) -> dict[str, Any]:
        """What study.json says."""
        return read_manifest(self.store)

    @property
    def n(self) -> int:
        """Units: what one mask bit stands for."""
        assert self.design.n is not None
        return self.design.n

    @cached_property
    def identity(self) -> str:
        """Which study this is, wherever its folder lies: the same design, task and outputs give the same identity."""
        return identity_of(self.design, self.fingerprint, self.outputs)

    @property
    def groups(self) -> tuple[int, ...] | None:
        """The unit of each training example, when units are groups of them."""
        return self.design.groups

    @property
    def imported(self) -> bool:
        """Whether its models were trained elsewhere."""
        return self.design.trained_elsewhere

    @property
    def models(self) -> int:
        """Models in all, done or not."""
        return self.design.rows

    @property
    def making(self) -> Making:
        """How its task is made here: as it was given, else from its own source, if its user created or trusts it.

        InputError, with the task's name and parameters, if neither is so, or nothing makes the task again.
        """
        if self.given is not None:
            return self.given
        return making_of(self.store, self.identity, self.source, self.signature, self.trust)

    @cached_property
    def task(self) -> Task:
        """The task, made as `making` says if it was not given; MismatchError if it has changed since.

        This runs its code: whatever only looks at a study takes `view` instead.
        """
        if self.given_task is not None:
            return self.given_task
        making = self.making
        found = self.made_by(making.task(), making).given_task
        assert found is not None
        return found

    @property
    def task_at_hand(self) -> Task | None:
        """The task, if it was given or has been made already."""
        return vars(self).get("task") or self.given_task

    @cached_property
    def segments(self) -> list[Span]:
        """Every segment (start, stop) of the study, committed or not."""
        return plan_segments(self.design.blocks, self.segment)

    def models_done(self) -> int:
        """Models whose outputs are committed."""
        return sum(stop - start for start, stop in self.rows.committed())

    def done(self, role: str | None = None) -> NDArray[np.int64]:
        """Numbers of the models whose outputs are there, ascending; of all, or of one role ("fit", "validation",
        "evaluation", "anchor")."""
        ranges = self.rows.committed()
        flags = np.zeros(self.models, bool)
        for start, stop in ranges:
            flags[start:stop] = True
        if role is None:
            return np.flatnonzero(flags)
        if role not in ROLES:
            raise InputError(f"a role is {', '.join(map(repr, ROLES))}, got {role!r}")
        numbers = self.design.role_rows(role)
        return numbers[flags[numbers]]

    def masks(self, rows: RowSpec | None = None) -> Masks:
        """Packed masks of these models (all by default)."""
        return self.design.masks(rows)

    def read(self, output: str, rows: RowSpec | None = None) -> NDArray[Any]:
        """One output's rows [k, *shape]; all finished models by default, else exactly those asked for, in order."""
        if output not in self.outputs:
            raise InputError(f"{self.location} records no output {output!r}; it has {', '.join(self.outputs)}")
        return self.rows.read(output, self.done() if rows is None else row_numbers(rows, self.models))

    @property
    def fits(self) -> tuple[str, ...]:
        """Names of the fits that are whole."""
        names = (name.split("/") for name in self.store.names(FITS))
        return tuple(name[1] for name in names if len(name) == 3 and name[2] == FIT_META)
