"""What a new study begins with: its study.json, committed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from subtrain.designs.design_protocol import AnyDesign
from subtrain.errors import InputError
from subtrain.store.protocol import JSON_BYTES, Store, json_bytes
from subtrain.store.seal import sealed
from subtrain.studies.manifest import FORMAT, MANIFEST, check_size, identity_of, json_writer, package_versions
from subtrain.studies.trust import Making, beside, sign
from subtrain.studies.view.stored_view import INDEX, Bounded, bounded, put_view, shows
from subtrain.tasks.base import Source, Task
from subtrain.tasks.loading.load import load_task
from subtrain.tasks.watching.watched import recorded

if TYPE_CHECKING:
    from subtrain.studies.stored_study import StoredStudy

Kind = TypeVar("Kind", bound="StoredStudy")


@dataclass(frozen=True)
class NewStudy:
    """A study to be, of a task that is made and a design that is bound to its units.

    Args:
        store: where it will lie.
        task: what trains its models.
        found_source: what makes the task again, if anything does.
        design: who is in which subset.
        segment: models that are committed together.
        own: whether this user named the task, and so signs the study.
    """

    store: Store
    task: Task
    found_source: Source | None
    design: AnyDesign
    segment: int
    own: bool

    @property
    def source(self) -> Source | None:
        """What makes the task again, as seen from the study."""
        return beside(self.found_source, self.store) if self.found_source else None

    def commit(self, exist_ok: bool, view: bool) -> Bounded | None:
        """Write study.json, unless it is there and may be; returns what of the examples is to be stored beside it."""
        self._check_units()
        there = self.store.exists(MANIFEST)
        if there and not exist_ok:
            raise self._taken()
        shown = None
        if view and not there and shows(getattr(self.task, "view", None)):
            shown = bounded(self.task.view)  # type: ignore[attr-defined]
        manifest = self._manifest(shown is not None)
        check_size(self.design, self.segment)
        if len(json_bytes(manifest)) > JSON_BYTES:
            units = f"{self.task.n:,}"
            raise InputError(f"the groups of {units} examples make {MANIFEST} larger than {JSON_BYTES:,} bytes")
        self.store.prepare()
        self.design.save(self.store)
        if not self.store.commit_new(MANIFEST, json_writer(sealed(manifest))) and not exist_ok:
            raise self._taken()
        return shown

    def _check_units(self) -> None:
        if self.segment < 1:
            raise InputError(f"a segment needs at least one model, got {self.segment}")
        groups = self.design.groups
        units = self.design.n if groups is None else len(groups)
        if units != self.task.n:
            what = "the masks are over" if groups is None else "groups name the unit of"
            raise InputError(f"{what} {units} examples, but the task has {self.task.n}")

    def _taken(self) -> InputError:
        return InputError(f"{self.store.location()} is a study already: open or extend it, or choose another folder")

    def _manifest(self, shown: bool) -> dict[str, Any]:
        source, task = self.source, self.task
        identity = identity_of(self.design, task.fingerprint, task.outputs)
        return {
            "format": FORMAT,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": package_versions(),
            "design": self.design.to_json(),
            "task": {
                "source": source.to_json() if source else None,
                "fingerprint": task.fingerprint,
                **recorded(task),
                "signature": sign(identity, source) if source and self.own else None,
            },
            "outputs": {name: spec.to_json() for name, spec in task.outputs.items()},
            "segment": self.segment,
            "view": shown,
        }


def task_and_source(task: Task | str, params: Mapping[str, Any] | None) -> tuple[Task, Source | None]:
    """The task, by name or as it is, and what makes it again if anything does."""
    if isinstance(task, str):
        return load_task(task, params)
    if params:
        raise InputError("params go with a task's name; this task was made already")
    return task, getattr(task, "source", None)


def create_study(
    store: Store,
    task: Task,
    source: Source | None,
    design: AnyDesign,
    *,
    segment: int = 64,
    exist_ok: bool = False,
    view: bool = False,
    own: bool = True,
    kind: type[Kind],
) -> Kind:
    """As `Study.create`, of a task that is made and a design that is bound to its units.

    own: this user named it. kind: the class of what is returned.
    """
    new = NewStudy(store, task, source, design, segment, own)
    shown = new.commit(exist_ok, view)
    made = kind.open(store, design=design).made_by(task, Making(new.source, own) if new.source else None)
    if shown is not None and made.shows and not store.exists(INDEX):
        put_view(store, made.fingerprint, shown)
    return made
