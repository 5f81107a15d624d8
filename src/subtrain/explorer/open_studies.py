"""Studies and fits as the explorer holds them open: always a whole fit, a new one as soon as it is there."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.errors import InputError
from subtrain.explorer.data.examples import Viewer, viewer
from subtrain.explorer.data.sidecar import Progress, Sidecar, nothing, open_sidecar, version_of
from subtrain.explorer.data.words import Words, meaning
from subtrain.explorer.jobs import Jobs
from subtrain.study import Study
from subtrain.uses.kit.direction import quantity

Z = 1.959964
LOOK_AGAIN, LOOK_AGAIN_IN_BUCKET = 1.0, 30.0


@dataclass(frozen=True, eq=False)
class OpenFit:
    """A fit with all that is needed to show it. ref: its name in addresses, NAME or NAME@b of a second study;
    labels: class of every target, None where they have none."""

    ref: str
    name: str
    study: Study
    dm: Datamodels
    sidecar: Sidecar
    viewer: Viewer
    labels: list[str] | None
    words: Words

    @property
    def version(self) -> str:
        return self.sidecar.version

    @property
    def output(self) -> str:
        return str(self.sidecar.about["output"])

    @property
    def sign(self) -> int:
        """-1 where less of the output is better, else 1: weights times this help where they are positive."""
        return quantity(self.study, self.output).sign

    @property
    def alpha(self) -> float:
        """Mean share of the units in a subset."""
        return float(np.mean(self.study.design.alpha))

    def table(self, name: str) -> NDArray[Any]:
        return self.sidecar.tables[name]

    def whole(self, target: int) -> float:
        """Predicted output of a model trained on every unit."""
        total = float(self.dm.bias[target]) + float(self.table("total")[target])
        return total + float(self.dm.level_of([self.dm.n], [target])[0, 0])

    def without(self, target: int, units: Sequence[int]) -> float:
        """Predicted output of a model trained on every unit but these."""
        lost = float(self.sidecar.weight[target][list(units)].sum(dtype=np.float64))
        return self.whole(target) - lost + float(self.dm.level_lost([len(units)], [target])[0, 0])

    def half_width(self, target: int, units: Sequence[int]) -> float | None:
        """Half of the 95 % interval of the sum of these units' weights; None where their errors are not known.

        Errors of different units are taken to be independent, as masks nearly are.
        """
        if self.dm.error is not None:
            error = math.sqrt(np.square(self.dm.error[list(units), target], dtype=np.float64).sum())
        else:
            error = float(self.table("error")[target]) * math.sqrt(len(units))
        return Z * error if math.isfinite(error) else None


@dataclass(eq=False)
class Library:
    """The studies on show, the first of which is the one asked for, and their fits, opened when they are looked at.

    shown: datamodels to show first that are no fit of the study.

    Whether a fit on show was replaced is looked at once a second at most, in a bucket, where looking has its price,
    twice a minute.
    """

    studies: dict[str, Study]
    first: str | None = None
    shown: OpenFit | None = None
    progress: Progress = nothing
    jobs: Jobs = field(default_factory=Jobs)
    _openings: Jobs = field(default_factory=Jobs, repr=False)
    _fits: dict[str, tuple[float, OpenFit]] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _opening: dict[str, threading.Lock] = field(default_factory=dict, repr=False)
    _default: str = ""

    @property
    def study(self) -> Study:
        return self.studies[""]

    def refs(self) -> Iterator[tuple[str, str, Study]]:
        """(ref, name, study) of every whole fit."""
        for suffix, study in self.studies.items():
            for name in study.fits:
                yield name + suffix, name, study

    def versions(self) -> dict[str, str | None]:
        """Version of every whole fit as it lies in its study now, by ref."""
        return {ref: version_of(study, name) for ref, name, study in self.refs()}

    def default(self) -> str | None:
        """The fit that is shown when nobody says which; None while there is none."""
        if self.shown is not None:
            return self.shown.ref
        names = self.study.fits
        if self.first is not None and (self.first in names or self.first in self._fits):
            return self.first
        return "default" if "default" in names else (names[0] if names else None)

    def held(self, ref: str | None = None) -> OpenFit | None:
        """The fit if it is open and was looked for a moment ago; never waits."""
        if self.shown is not None and ref in (None, self.shown.ref):
            return self.shown
        with self._lock:
            looked, fit = self._fits.get(ref or self._default, (0.0, None))
        if fit is None:
            return None
        patience = LOOK_AGAIN_IN_BUCKET if fit.study.store.path() is None else LOOK_AGAIN
        return fit if time.monotonic() - looked < patience else None

    def fit(self, ref: str | None = None) -> OpenFit:
        """The fit of this ref, by default the study's first; InputError says which there are if it is none of them.

        A new one in place of one that is open is made ready in the background while the old one stays on show.
        """
        held = self.held(ref)
        if held is not None:
            return held
        if ref is None:
            ref = self._default = self._default or self.default() or ""
        if not ref:
            raise InputError(f"{self.study.location} has no fit yet: run subtrain fit {self.study.location}")
        with self._lock:
            opening = self._opening.setdefault(ref, threading.Lock())
        with opening:
            found = self.held(ref) or self._look(ref)
            with self._lock:
                self._fits[ref] = (time.monotonic(), found)
            return found

    def _look(self, ref: str) -> OpenFit:
        name, study = self._find(ref)
        with self._lock:
            _, held = self._fits.get(ref, (0.0, None))
        if held is None:
            return open_fit(study, name, ref, self.progress)
        version = version_of(study, name)
        if version in (None, held.version):
            return held
        job = self._openings.once((ref, version), lambda: open_fit(held.study.again(), name, ref))
        return job.value if job.state == "done" else held

    def stop(self) -> None:
        """Begin nothing more in the background."""
        self.jobs.stop()
        self._openings.stop()

    def _find(self, ref: str) -> tuple[str, Study]:
        for suffix, study in reversed(self.studies.items()):
            if ref.endswith(suffix):
                return ref.removesuffix(suffix), study
        raise AssertionError("the first study has no suffix")


def open_fit(study: Study, name: str, ref: str, progress: Progress = nothing) -> OpenFit:
    """Open a fit, making its sidecar if it has none of this version."""
    return opened(study, *open_sidecar(study, name, progress), name, ref)


def opened(study: Study, dm: Datamodels, sidecar: Sidecar, name: str, ref: str) -> OpenFit:
    """Datamodels and what was made of them to show them."""
    output = str(sidecar.about["output"])
    seen = viewer(study, output)
    words = meaning(quantity(study, output), output, study.outputs[output].meaning)
    return OpenFit(ref, name, study, dm, sidecar, seen, seen.labels(), words)
