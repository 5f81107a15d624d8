"""How a study shows its examples: by what is stored of them, or by a task that was given."""

from __future__ import annotations

from functools import cached_property

from subtrain.store.protocol import Store
from subtrain.studies.view.stored_view import INDEX, keep_view, read_view
from subtrain.tasks.base import Task, View


class ShowsExamples:
    """What `StoredStudy` tells of its examples; it has the fields that are named here."""

    store: Store
    fingerprint: str
    shows: bool | None
    given_task: Task | None

    @property
    def location(self) -> str:
        """The study's folder or bucket and prefix, as messages name it."""
        return self.store.location()

    @property
    def imported(self) -> bool:
        """Whether its models were trained elsewhere."""
        raise NotImplementedError

    @property
    def view(self) -> View | None:
        """How a person sees the examples, as it is stored in the study, or else as a task that was given shows it; None
        where neither is there, or the study was made without. The study's own task is never made for this."""
        if self._kept_view is not None:
            return self._kept_view
        given = getattr(self.given_task, "view", None)
        return given if given is not None else (View() if self.shows is False else None)

    @property
    def why_no_view(self) -> str:
        """Why `view` is None, as the end of a sentence."""
        if self.imported:
            return "the study was imported, and nothing was given to show of them"
        return (
            f"{self.location} stores nothing of them: collect it (subtrain collect, with --trust or --task) to store it"
        )

    @cached_property
    def _kept_view(self) -> View | None:
        return read_view(self.store, self.fingerprint)

    @property
    def has_view(self) -> bool:
        """Whether what its task shows is stored, or was not wanted when it was created."""
        return self.shows is False or self.store.exists(INDEX)

    def keep_view(self, task: Task) -> None:
        """Store what `task`, the study's own, shows of its examples, unless that is stored or not wanted."""
        if self.shows is not False and self._kept_view is None:
            keep_view(self.store, self.fingerprint, getattr(task, "view", None) or View())
            del vars(self)["_kept_view"]
