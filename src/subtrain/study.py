"""A study, the face of everything: create or open it, collect its models, fit datamodels, export it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from numpy.typing import ArrayLike

from subtrain.collection import collect
from subtrain.collection.report import Collected
from subtrain.collection.status import Status, status
from subtrain.datamodels import Datamodels
from subtrain.regression import fit
from subtrain.studies.export import export
from subtrain.studies.imports.arrays import import_arrays, import_folder
from subtrain.studies.imports.reference import import_reference
from subtrain.studies.stored_study import StoredStudy


class Study(StoredStudy):
    """A design, a task and the outputs of every model so far, in one folder or bucket.

    Make one with `Study.create`, find it again with `Study.open`; `Study.from_arrays`, `from_folder` and
    `from_reference` make one of models that were trained elsewhere.

    >>> import subtrain as st
    >>> study = st.Study.create(":memory:", st.tasks.digits(n=50), st.Design(alpha=0.5, models=200, heldout=4))
    >>> study.collect(progress=False).done
    208
    >>> study.fit("test_margins")
    Datamodels(units=50, targets=300, nonzero=... a target, output='test_margins')
    """

    @property
    def where(self) -> str:
        """The name that version 0.1 had for `location`."""
        warnings.warn("Study.where is removed in the next release: write Study.location", FutureWarning, stacklevel=2)
        return self.location

    def collect(self, **options: Any) -> Collected:
        """Train what is missing; the options are those of `subtrain.collect`."""
        return collect(self, **options)

    def status(self) -> Status:
        """Models done, running and failed, disk used and to come, as the store shows it now."""
        return status(self)

    def fit(self, output: str | None = None, estimator: Any = None, **options: Any) -> Datamodels:
        """A datamodel for every target of one output; the options are those of `subtrain.fit`."""
        return fit(self, output, estimator, **options)

    def export(self, folder: str | Path, name: str | None = None) -> list[Path]:
        """Write masks and outputs in the public layout below `folder`; returns the paths written."""
        return export(self, folder, name)

    @classmethod
    def from_arrays(
        cls, path: str | Path, masks: str | Path | ArrayLike, outputs: Mapping[str, Any], **options: Any
    ) -> Self:
        """A study of masks and outputs made elsewhere; the options are those of `subtrain.import_arrays`."""
        import_arrays(path, masks, outputs, **options)
        return cls.open(path)

    @classmethod
    def from_folder(cls, path: str | Path, folder: str | Path, **options: Any) -> Self:
        """A study of a folder in the public layout; the options are those of `subtrain.import_folder`."""
        import_folder(path, folder, **options)
        return cls.open(path)

    @classmethod
    def from_reference(cls, logdir: str | Path, path: str | Path | None = None, **options: Any) -> Self:
        """A study of a logdir of the reference code; the options are those of `subtrain.import_reference`."""
        return cls.open(import_reference(logdir, path, **options).store)
