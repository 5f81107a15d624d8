"""Searching, filtering and sorting the targets of a fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from subtrain.explorer.data.examples import About
from subtrain.explorer.open_studies import OpenFit

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TargetColumns:
    """What targets are found and sorted by."""

    fit: OpenFit = field(repr=False)

    @cached_property
    def words(self) -> list[str]:
        """Name, label, text and row of each target, in small letters; made when somebody searches first."""
        return [_words(self.fit.viewer.about_target(target)) for target in range(self.fit.dm.targets)]

    def matching(
        self,
        q: str = "",
        label: str | None = None,
        correct: bool | None = None,
        bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
        only: Collection[int] | None = None,
    ) -> Index:
        """Targets that answer to all of it. bounds: least and most of a column, None for none; a target without a
        figure is outside any."""
        keep = np.ones(self.fit.dm.targets, bool) if only is None else np.isin(np.arange(self.fit.dm.targets), [*only])
        if q:
            wanted = q.casefold().split()
            keep &= np.array([all(word in words for word in wanted) for words in self.words])
        if label is not None:
            labels = self.fit.labels
            keep &= np.array(labels) == label if labels else False
        if correct is not None:
            share = self.fit.table("correct")
            keep &= (share > 0.5) if correct else (share <= 0.5)
        for name, (least, most) in (bounds or {}).items():
            values = self._column(name)
            keep &= (values >= least) if least is not None else True
            keep &= (values <= most) if most is not None else True
        return np.flatnonzero(keep)

    def ordered(self, found: Index, sort: str) -> Index:
        """Sorted by a column, by number where it is the same; those without a figure last; `-` for falling order."""
        down, name = sort.startswith("-"), sort.lstrip("-")
        if name == "target":
            return found[::-1] if down else found
        values = self._column(name)[found]
        if down:
            values = -values
        return found[np.argsort(values, kind="stable")]

    def _column(self, name: str) -> NDArray[np.float64]:
        if name == "label":
            labels = self.fit.labels or [""] * self.fit.dm.targets
            return np.unique(np.array(labels), return_inverse=True)[1].astype(np.float64)
        values = np.asarray(self.fit.table({"margin": "mean"}.get(name, name)), np.float64)
        return np.where(values < 0, np.nan, values) if name == "support" else values


@lru_cache(maxsize=8)
def columns(fit: OpenFit) -> TargetColumns:
    return TargetColumns(fit)


@lru_cache(maxsize=8)
def unit_labels(fit: OpenFit) -> list[str]:
    """Label of every unit, "" for one that has none."""
    return [fit.viewer.about_unit(unit).label or "" for unit in range(fit.dm.n)]


def _words(about: About) -> str:
    row = " ".join((about.row or {}).values())
    return " ".join((about.name, str(about.number), about.label or "", about.text or "", row)).casefold()
