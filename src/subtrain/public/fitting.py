"""Datamodels straight from a bucket: masks and outputs stream by once, are packed and counted, and never stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from subtrain.errors import InputError
from subtrain.masks import Masks
from subtrain.public.collections import Published
from subtrain.public.remote.arrays import RemoteArray

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from subtrain.datamodels import Datamodels
    from subtrain.regression.counting.threads import Progress

T = TypeVar("T")
# Bytes of packed masks and outputs in a block.
_BLOCK = 64 << 20


def fit(
    published: Published,
    output: str = "test_margins",
    targets: slice = slice(None),
    models: slice = slice(None),
    estimator: Any = None,
    *,
    memory: int | None = None,
    progress: Progress | None = None,
) -> Datamodels:
    """A datamodel for each of these targets (columns of `output`), from one pass over the published models.

    Evaluation models stay unseen. models: which of the others, all by default. estimator: by default `Lasso()`; any
    that fits from counts, with a share of the models to choose lambda by. memory: bytes that counting may take.
    progress(stage, done, total) as it goes. What it costs is set against the limit of `published` before it begins.
    Raises InputError for an estimator that needs the models more than once, for outputs that are not finite, and when
    the price or the memory passes the limit; CorruptError when a file changes meanwhile.
    """
    from subtrain.datamodels import Datamodels
    from subtrain.regression import ValidationModels, count_blocks
    from subtrain.regression.counting.counts import gram_kind
    from subtrain.regression.counting.shards import stack
    from subtrain.regression.estimators.kit.contract import COUNTS_AND_VALIDATION, estimator_of, fit_held
    from subtrain.regression.fit_study import about_fit
    from subtrain.regression.fit_warnings import kept_warnings

    model = estimator_of(estimator)
    _check(model)
    source = published.fitting
    masks = source.array("train_masks").part(models)
    outputs = source.array(output).part(models, targets)
    validating = _validating(model, len(masks))
    arrays = stack(masks, outputs)
    train, held = _Sorted(arrays.read, validating, _rows(arrays.n, outputs.shape[1])), None
    counts = count_blocks(
        _ahead(train.blocks()),
        models=int((~validating).sum()),
        gram=gram_kind(arrays.n) if model.reads == COUNTS_AND_VALIDATION else "dense",
        memory=memory,
        progress=progress,
    )
    if train.held:
        bits, ys = zip(*train.held, strict=True)
        held = ValidationModels(Masks(np.concatenate([part.data for part in bits]), arrays.n), np.concatenate(ys))
    with kept_warnings() as said:
        fit_held(model, counts, held, progress)
    meta = about_fit(model, np.asarray(masks.rows)) | _meta(published, output, masks, outputs, int(validating.sum()))
    meta["notes"] = said
    weight, error = model.weight_.astype(np.float32, copy=False), getattr(model, "error_", None)
    return Datamodels(weight, model.bias_, model.lam_, meta | model.choice(), error)


class _Sorted:
    """Models as they come: those that validate are held, the others passed on in blocks."""

    def __init__(self, read: Callable[[int, int], Any], validating: NDArray[np.bool_], rows: int) -> None:
        self.read, self.validating, self.rows = read, validating, rows
        self.held: list[tuple[Masks, NDArray[Any]]] = []

    def blocks(self) -> Iterator[tuple[Masks, NDArray[Any]]]:
        for start in range(0, self.validating.size, self.rows):
            at = self.validating[start : start + self.rows]
            masks, y = self.read(start, start + at.size)
            if at.any():
                self.held.append((masks[at], y[at]))
            if not at.all():
                yield masks[~at], y[~at]


def _rows(units: int, targets: int) -> int:
    return max(1, min(8192, _BLOCK // (units // 8 + 2 * targets + 1)))


def _ahead(blocks: Iterator[T], most: int = 4) -> Iterator[T]:
    """The same, with the next ones on their way while one is at work."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        coming = [pool.submit(next, blocks, end) for _ in range(most)]
        try:
            while (found := coming.pop(0).result()) is not end:
                coming.append(pool.submit(next, blocks, end))
                yield found  # type: ignore[misc]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _check(model: Any) -> None:
    """Refuse an estimator that takes more than counts of the models and a look at those that validate."""
    from subtrain.regression.estimators.kit.contract import MODELS, check_declared

    check_declared(model)
    if model.reads == MODELS:
        name = type(model).__name__
        raise InputError(f"{name} does not fit from one pass over the models: download them for it")


def _validating(model: Any, models: int) -> NDArray[np.bool_]:
    """bool [models], those that validate."""
    from subtrain.regression.estimators.kit.sample_split import validation_rows

    share, seed = model.splits_by
    if not share or not model.chooses:
        return np.zeros(models, np.bool_)
    if isinstance(share, (int, np.integer)):
        raise InputError("folds need every model several times: give validation as a share, for example 0.1")
    return validation_rows(models, share, seed)


def _meta(
    published: Published, output: str, masks: RemoteArray, outputs: RemoteArray, validating: int
) -> dict[str, Any]:
    return {
        "output": output,
        "alpha": published.pct / 100,
        "parts": {"fit": len(masks) - validating, "validation": validating},
        "heldout": published.heldout,
        "targets": [outputs.columns.start, outputs.columns.stop, outputs.columns.step],
        "files": {array.file.location: array.file.version.tag for array in (masks, outputs)},
        "dollars": round(published.spent, 6),
    }
