"""Whether every model that was tried failed of the same cause: then the task is broken, and no other model is tried."""

from __future__ import annotations

import re
from collections.abc import Mapping

from subtrain.collection.workers.train_segment import ALIKE, failure_file
from subtrain.studies.stored_study import StoredStudy

# What differs between two failures of the same cause: numbers, addresses, names of temporary files.
_PASSING = re.compile(r"0x[0-9a-f]+|tmp\w{6,}|\d+")


class Alike:
    """The failures of a collection in which nothing has succeeded."""

    def __init__(self) -> None:
        self.count = 0
        self.model = -1
        self.why = ""
        self._kinds: set[str] = set()

    def add(self, model: int, why: str) -> None:
        """Another training has failed."""
        if not self.count:
            self.model, self.why = model, why
        self.count += 1
        if len(self._kinds) < 2:
            self._kinds.add(_PASSING.sub("#", why))

    def add_all(self, models: Mapping[int, str]) -> None:
        """Several models have failed."""
        for model, why in models.items():
            self.add(model, why)

    def enough(self, study: StoredStudy) -> bool:
        """Whether that many of one kind say it of all; never if the study has a model, whoever trained it."""
        return self.count >= ALIKE and len(self._kinds) == 1 and not study.done().size

    def sentence(self, study: StoredStudy) -> str:
        """The cause, and where to read more."""
        name = failure_file(self.model)
        see = f"; see {study.store.location(name)}" if study.store.exists(name) else ""
        return (
            f"{study.models} of {study.models} models are missing: all {self.count} trainings so far failed alike, so "
            f"no more are tried: {self.why}{see}"
        )
