"""Counts whose pieces are made elsewhere, of blocks of models.

The pieces are those of a fit on one machine, summed in the same order, so that every number is the same bit for bit
(on processors of one kind). What runs them is a `Mapper`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError, MismatchError
from subtrain.regression.counting.count_stream import BLOCK as PASS
from subtrain.regression.counting.count_stream import count_blocks, empty_counts
from subtrain.regression.counting.counts import OF_OUTPUTS, Counts
from subtrain.regression.counting.threads import Mapper, Progress
from subtrain.regression.counting.vector_loops import INTS
from subtrain.regression.designed_models import Adjustment, DesignedModels
from subtrain.regression.study_models import BLOCK, Models
from subtrain.studies.stored_study import StoredStudy


class Here:
    """A `Mapper` in this process."""

    slots = 1

    def map(self, function: Callable[..., Any], items: Sequence[Any], shared: Sequence[Any] = ()) -> Iterator[Any]:
        """One item after another."""
        return (function(item, *shared) for item in items)


@dataclass(frozen=True)
class Place:
    """Where the models are: a study's path and identity, the name of an output, and targets that are left out.

    adjustment: what is done to the outputs of pairs and of shared seeds, None for nothing.
    """

    study: str
    identity: str
    output: str
    blank: tuple[int, ...] = ()
    adjustment: Adjustment | None = None

    def models(self, rows: NDArray[np.int64]) -> Models:
        """The same models, on another machine."""
        study = StoredStudy.open(self.study)
        if study.identity != self.identity:
            raise MismatchError(f"{self.study} is another study on another machine of the cluster")
        if self.adjustment is not None:
            return DesignedModels(study, self.output, rows, self.blank, adjustment=self.adjustment)
        return Models(study, self.output, rows, self.blank)


@dataclass(frozen=True, eq=False)
class Piece:
    """Models to count, rows int64: their Gram, or, with some targets, the sums of these alone; before: models that are
    summed before these."""

    rows: NDArray[np.int64]
    targets: slice | None = None
    before: int = 0


def count_on(
    mapper: Mapper,
    models: Models,
    rows: NDArray[np.int64],
    gram: str,
    start: Counts | None = None,
    done: int = 0,
    progress: Progress | None = None,
) -> Counts:
    """Counts of these models but the first `done`, added to `start`; as `count_blocks` makes them.

    Gram counts are whole numbers, which any blocks of models add up to. Sums of outputs are rounded: their blocks are
    the passes of `count_blocks`, and panels of targets, each of which is summed for itself.
    """
    adjustment = models.adjustment if isinstance(models, DesignedModels) else None
    place = Place(models.study.store.address, models.study.identity, models.output, models.blank, adjustment)
    passes = _passes(rows.size, done)
    slices = _panels(models.targets, -(-mapper.slots // len(passes)))
    parts = min(mapper.slots, -(-(rows.size - done) // BLOCK))
    grams = [Piece(part) for part in np.array_split(rows[done:], parts)]
    ahead = (start.m if start else 0) - done
    sums = [Piece(rows[first:last], some, ahead + first) for first, last in passes for some in slices]
    pieces = grams + sums
    total = _own(start) if start else empty_counts(models.study.n, models.targets, "none")
    for k, found in enumerate(mapper.map(_counted, pieces, (place, gram))):
        total = _with(total, pieces[k], found)
        if progress:
            progress("counts", done + (rows.size - done) * (k + 1) // len(pieces), rows.size)
    return total


def _counted(piece: Piece, place: Place, gram: str) -> Counts:
    models = place.models(piece.rows)
    some = piece.targets
    if some is not None:
        sums = ((masks, outputs[:, some]) for masks, outputs in models.blocks(piece.rows))
        return count_blocks(sums, threads=1, gram="none")
    starts = range(0, piece.rows.size, BLOCK)
    masks = (models.study.masks(piece.rows[start : start + BLOCK]) for start in starts)
    return count_blocks(((some, np.zeros((len(some), 0))) for some in masks), threads=1, gram=gram)


def _with(total: Counts, piece: Piece, found: Counts) -> Counts:
    at = piece.targets
    if at is None:
        if total.m == 0:
            return replace(total, m=found.m, gram=found.gram, ones=found.ones)
        bare = replace(total, **{name: getattr(found, name) for name in ("xty", *OF_OUTPUTS)})
        both = bare + found
        return replace(total, m=both.m, gram=both.gram, ones=both.ones)
    total.xty[:, at] += found.xty
    total.add_outputs(at, piece.before, found.sums, found.y_sq, found.y_min, found.y_max)
    return total


def _own(start: Counts) -> Counts:
    return replace(start, **{name: getattr(start, name).copy() for name in ("xty", *OF_OUTPUTS)})


def _passes(count: int, done: int) -> list[tuple[int, int]]:
    """The models of each pass that `count_blocks` makes over blocks of BLOCK, of which `done` models are skipped."""
    passes = [(done, done)]
    for edge in (*range((done // BLOCK + 1) * BLOCK, count, BLOCK), count):
        first, last = passes[-1]
        if last > first and edge - first > PASS:
            passes.append((last, edge))
        else:
            passes[-1] = (first, edge)
    return passes


def _panels(targets: int, parts: int) -> list[slice]:
    """All targets in about this many slices of whole panels, each of which is scaled and summed for itself."""
    size = INTS * max(1, -(-targets // (INTS * parts)))
    return [slice(first, min(first + size, targets)) for first in range(0, targets, size)]


@contextmanager
def mapper_of(engine: str | Mapper, address: str | None = None) -> Iterator[Mapper | None]:
    """What runs the pieces of an engine; None for "local"."""
    if not isinstance(engine, str):
        yield engine
    elif engine == "local":
        if address is not None:
            raise InputError("an address is that of a Ray cluster: say engine ray (--engine ray) too")
        yield None
    elif engine == "ray":
        from subtrain.collection.engines.ray.cluster import RayMapper, RayOptions, connected

        with connected(RayOptions(address)) as cluster:
            yield RayMapper(cluster)
    else:
        raise InputError(f"a fit runs on the engine local or ray, got {engine!r}")
