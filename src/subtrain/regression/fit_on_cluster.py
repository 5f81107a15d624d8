"""A fit whose pieces are computed elsewhere: counts of blocks of models and paths of blocks of targets.

The pieces are those of a fit on one machine, summed in the same order, so that every number is the same bit for bit
(on processors of one kind). What runs them is a `Mapper`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError, MismatchError
from subtrain.regression.counting.compact_gram import CompactGram
from subtrain.regression.counting.count_stream import BLOCK as PASS
from subtrain.regression.counting.count_stream import count_blocks
from subtrain.regression.counting.counts import OF_OUTPUTS, Counts, Sums, joint_deviation
from subtrain.regression.counting.threads import Progress
from subtrain.regression.counting.vector_loops import INTS
from subtrain.regression.lasso.lambda_choice import LassoFit, LassoOptions, chosen_lambdas, of_targets, refit
from subtrain.regression.lasso.saved_blocks import KeptBlocks, Sparse, sparse
from subtrain.regression.lasso.target_blocks import block_size, joined, target_blocks
from subtrain.regression.lasso.validation_error import ValidationModels
from subtrain.regression.lasso.zero_targets import warn_of
from subtrain.regression.study_models import BLOCK, Models
from subtrain.studies.stored_study import StoredStudy

# Blocks of targets a slot, so that a slow one does not keep the others waiting for long.
TURNS = 4


class Mapper(Protocol):
    """Runs pieces of work that know nothing of each other.

    slots: pieces at a time. map: function(item, *shared) of every item, in the order of the items; what is shared
    travels once, and arrives with arrays that may not be written to.
    """

    slots: int

    def map(self, function: Callable[..., Any], items: Sequence[Any], shared: Sequence[Any] = ()) -> Iterator[Any]: ...


class Here:
    """A `Mapper` in this process."""

    slots = 1

    def map(self, function: Callable[..., Any], items: Sequence[Any], shared: Sequence[Any] = ()) -> Iterator[Any]:
        """One item after another."""
        return (function(item, *shared) for item in items)


@dataclass(frozen=True)
class Place:
    """Where the models are: a study's path and identity, the name of an output, and targets that are left out."""

    study: str
    identity: str
    output: str
    blank: tuple[int, ...] = ()

    def models(self, rows: NDArray[np.int64]) -> Models:
        """The same models, on another machine."""
        study = StoredStudy.open(self.study)
        if study.identity != self.identity:
            raise MismatchError(f"{self.study} is another study on another machine of the cluster")
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
    place = Place(models.study.store.address, models.study.identity, models.output, models.blank)
    passes = _passes(rows.size, done)
    slices = _panels(models.targets, -(-mapper.slots // len(passes)))
    parts = min(mapper.slots, -(-(rows.size - done) // BLOCK))
    grams = [Piece(part) for part in np.array_split(rows[done:], parts)]
    ahead = (start.m if start else 0) - done
    sums = [Piece(rows[first:last], some, ahead + first) for first, last in passes for some in slices]
    pieces = grams + sums
    total = _own(start) if start else _nothing(models)
    for k, found in enumerate(mapper.map(_counted, pieces, (place, gram))):
        total = _with(total, pieces[k], found)
        if progress:
            progress("counts", done + (rows.size - done) * (k + 1) // len(pieces), rows.size)
    return total


def lasso_on(
    mapper: Mapper,
    train: Counts,
    validation: Counts | ValidationModels | None,
    total: Counts | Callable[[], Counts] | None,
    options: LassoOptions,
    progress: Progress | None = None,
    keep: Any = None,
) -> LassoFit:
    """`lasso_from_counts` with every block of targets a piece of work; the counts are shared."""
    how = replace(options, threads=1)
    blocks = target_blocks(range(train.targets), min(block_size(train.n), -(-train.targets // (TURNS * mapper.slots))))
    kept = KeptBlocks(keep, how, validation)
    if isinstance(validation, ValidationModels):
        # Turned here, once for all pieces: they travel along.
        _ = validation.bits
    # `total` may use up `train`, but not these.
    bounds = replace(train, **{name: getattr(train, name).copy() for name in OF_OUTPUTS})
    jobs = [(part, None) for part in blocks]
    done = _blocks(mapper, kept, "path", train, jobs, (train, validation, how), progress)
    if validation is not None and how.refit:
        whole = total() if callable(total) else total
        if whole is None:
            assert isinstance(validation, Counts)
            whole = train + validation
        done = _blocks(mapper, kept, "refit", whole, list(zip(blocks, done, strict=True)), (whole, None, how), progress)
    fit = joined(done, train.n)
    warn_of(fit, how, bounds, validation is not None)
    return fit


Job = tuple[slice, Sparse | None]


def _blocks(
    mapper: Mapper,
    kept: KeptBlocks,
    stage: str,
    counts: Counts,
    jobs: Sequence[Job],
    shared: tuple[Any, ...],
    progress: Progress | None,
) -> list[Sparse]:
    """The fits of all blocks, of which those kept from before are not solved again."""
    some = [of_targets(counts, part) for part, _ in jobs]
    found = [kept.find(stage, part) for part in some]
    solved = mapper.map(_solved, [job for job, fit in zip(jobs, found, strict=True) if fit is None], shared)
    fits = []
    for (part, _), of_part, fit in zip(jobs, some, found, strict=True):
        fits.append(fit if fit is not None else kept.put(stage, of_part, next(solved)))
        if progress:
            progress(stage, part.stop, counts.targets)
    return fits


def _solved(job: Job, counts: Counts, validation: Counts | ValidationModels | None, how: LassoOptions) -> Sparse:
    """The paths of a block of targets, or, where there is a fit already, the same lambdas on other counts."""
    part, fit = job
    models = _writable(counts)
    if fit is not None:
        return sparse(refit(of_targets(models, part), fit.dense(), how))
    return sparse(chosen_lambdas(models, _writable(validation), how, None, part))


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
    before = Sums(piece.before, total.y_sum[at], total.y_dev[at])
    total.y_dev[at] = joint_deviation(before, found.sums)
    total.xty[:, at] += found.xty
    total.y_sum[at] += found.y_sum
    total.y_sq[at] += found.y_sq
    np.minimum(total.y_min[at], found.y_min, out=total.y_min[at])
    np.maximum(total.y_max[at], found.y_max, out=total.y_max[at])
    return total


def _nothing(models: Models) -> Counts:
    n, targets = models.study.n, models.targets
    zeros, none = np.zeros(targets), np.zeros(n, np.int64)
    least, most = np.full(targets, np.inf), np.full(targets, -np.inf)
    return Counts(0, n, np.zeros((0, 0), np.int32), none, np.zeros((n, targets)), zeros, zeros.copy(), least, most)


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


def _writable(models: Any) -> Any:
    """The same Gram or bits as memory that says it can be written to.

    Kernels are compiled for such, none writes into these, and a copy for every piece might not fit.
    """
    if isinstance(models, ValidationModels):
        some = ValidationModels(models.masks, models.outputs)
        some.__dict__["bits"] = _unlocked(models.bits)
        return some
    if not isinstance(models, Counts):
        return models
    gram = models.gram
    if isinstance(gram, CompactGram):
        names = ("deviation", "rate", "ones", "key", "value")
        unlocked: dict[str, Any] = {name: _unlocked(getattr(gram, name)) for name in names}
        return replace(models, gram=replace(gram, **unlocked))
    return replace(models, gram=_unlocked(gram))


def _unlocked(array: NDArray[Any]) -> NDArray[Any]:
    if array.flags.writeable or not array.flags.c_contiguous or not array.nbytes:
        return array
    memory = (ctypes.c_char * array.nbytes).from_address(array.ctypes.data)
    memory.owner = array  # type: ignore[attr-defined]
    view: NDArray[Any] = np.frombuffer(memory, array.dtype).reshape(array.shape)  # type: ignore[call-overload]
    return view


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
