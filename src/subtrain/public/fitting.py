"""Datamodels straight from a bucket: masks and outputs stream by once, are packed and counted, and never stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from subtrain._version import __version__
from subtrain.errors import InputError
from subtrain.masks import Masks
from subtrain.public.collections import Published
from subtrain.public.remote.arrays import RemoteArray
from subtrain.studies.segments.segment_file import runs

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
    from subtrain.regression import Judges, Lasso, count, count_blocks
    from subtrain.regression.counting.shards import stack
    from subtrain.regression.estimators.lasso import with_judges
    from subtrain.regression.fit_warnings import kept_warnings

    model = estimator if estimator is not None else Lasso()
    _check(model)
    source = published.fitting
    masks = source.array("train_masks").part(models)
    outputs = source.array(output).part(models, targets)
    choosing = _choosing(model, len(masks))
    arrays = stack(masks, outputs)
    train, valid = _Sorted(arrays.read, choosing, _rows(arrays.n, outputs.shape[1])), None
    gram = "compact" if 4 * arrays.n**2 > 2**28 and isinstance(model, Lasso) else "dense"
    counts = count_blocks(
        _ahead(train.blocks()), models=int((~choosing).sum()), gram=gram, memory=memory, progress=progress
    )
    if train.held:
        bits, judged = zip(*train.held, strict=True)
        valid = Judges(Masks(np.concatenate([part.data for part in bits]), arrays.n), np.concatenate(judged))
    with kept_warnings() as said:
        if isinstance(model, Lasso) and model.takes_judges and valid is not None:
            model.fit_counts(counts, valid, lambda: with_judges(counts, valid, progress=progress), progress=progress)
        elif valid is None or getattr(model, "takes_judges", False):
            model.fit_counts(counts, valid, progress=progress)
        else:
            model.fit_counts(counts, count(valid.masks, valid.outputs), progress=progress)
    meta = _meta(published, model, output, masks, outputs, int(choosing.sum()))
    meta["notes"] = said
    return Datamodels(model.weight_.astype(np.float32, copy=False), model.bias_, model.lam_, meta)


class _Sorted:
    """Models as they come: those that choose lambda are held, the others passed on in blocks."""

    def __init__(self, read: Callable[[int, int], Any], choosing: NDArray[np.bool_], rows: int) -> None:
        self.read, self.choosing, self.rows = read, choosing, rows
        self.held: list[tuple[Masks, NDArray[Any]]] = []

    def blocks(self) -> Iterator[tuple[Masks, NDArray[Any]]]:
        for start in range(0, self.choosing.size, self.rows):
            at = self.choosing[start : start + self.rows]
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
    """Refuse an estimator that takes more than counts of all models and a look at those that choose."""
    from subtrain.regression import AME, LassoLarge

    if not hasattr(model, "fit_counts") or isinstance(model, (type, AME, LassoLarge)):
        name = model.__name__ if isinstance(model, type) else type(model).__name__
        what = f"give {name}(), not the class" if isinstance(model, type) else "download them for it"
        raise InputError(f"{name} does not fit from one pass over the models: {what}")


def _choosing(model: Any, models: int) -> NDArray[np.bool_]:
    """bool [models], those that choose lambda."""
    from subtrain.regression.lasso.sample_split import validation_rows

    share = getattr(model, "validation", None)
    if not share or not model._chooses():
        return np.zeros(models, np.bool_)
    if isinstance(share, (int, np.integer)):
        raise InputError("folds need every model several times: give validation as a share, for example 0.1")
    return validation_rows(models, share, model.seed)


def _meta(
    published: Published, model: Any, output: str, masks: RemoteArray, outputs: RemoteArray, choosing: int
) -> dict[str, Any]:
    params = model.get_params()
    return {
        "output": output,
        "scale": "raw masks",
        "sign": "a positive weight means that training on the unit raises the output",
        "alpha": published.pct / 100,
        "estimator": type(model).__name__,
        "params": {k: v.tolist() if isinstance(v, (np.ndarray, np.generic)) else v for k, v in params.items()},
        "gap_max": float(np.max(model.gap_)),
        "models": len(masks),
        "parts": {"fit": len(masks) - choosing, "validation": choosing},
        "models_used": [list(span) for span in runs(list(masks.rows))],
        "heldout": published.heldout,
        "targets": [outputs.columns.start, outputs.columns.stop, outputs.columns.step],
        "files": {array.file.location: array.file.version.tag for array in (masks, outputs)},
        "dollars": round(published.spent, 6),
        "subtrain": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
