"""How a study's models behave on every target: means, spreads and histograms, in two passes over their outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.study import Study
from subtrain.uses.kit.direction import quantity

BINS = 30
BYTES = 64 << 20
Floats = NDArray[np.float32]
Progress = Callable[[str, int, int], None]


def behavior(study: Study, output: str, progress: Progress) -> tuple[dict[str, NDArray[Any]], int]:
    """mean, sd, low, high [T], counts [T, BINS] (from low to high) and correct [T] (share of models that were right,
    NaN where the output does not tell) over all finished models, and how many these are. Answers that are no finite
    number are left out."""
    rows, targets = study.done(), int(np.prod(study.outputs[output].shape))
    step = max(1, BYTES // (4 * targets))
    parts = [rows[start : start + step] for start in range(0, rows.size, step)]

    def values() -> Iterator[tuple[Floats, NDArray[np.bool_]]]:
        for number, part in enumerate(parts):
            some = study.read(output, part).reshape(len(part), -1).astype(np.float32)
            yield some, np.isfinite(some)
            progress("outputs", number + 1, len(parts))

    low, high = np.full(targets, np.inf, np.float32), np.full(targets, -np.inf, np.float32)
    m, total, squares, right = np.zeros(targets), np.zeros(targets), np.zeros(targets), np.zeros(targets)
    threshold = quantity(study, output).right_above
    for some, there in values():
        low = np.fmin(low, some.min(axis=0, where=there, initial=np.inf))
        high = np.fmax(high, some.max(axis=0, where=there, initial=-np.inf))
        m += there.sum(axis=0)
        total += some.sum(axis=0, dtype=np.float64, where=there)
        squares += (some.astype(np.float64) ** 2).sum(axis=0, where=there)
        right += (some > (threshold or 0.0)).sum(axis=0, where=there)
    counts = np.zeros((targets, BINS), np.uint32)
    width = np.where(high > low, high - low, 1)
    for some, there in values():
        places = np.clip((np.where(there, some, low) - low) / width * BINS, 0, BINS - 1).astype(np.int64)
        flat = np.bincount((places + np.arange(targets) * BINS)[there], minlength=targets * BINS)
        counts += flat.reshape(targets, BINS).astype(np.uint32)
    m = np.where(m > 0, m, np.nan)
    mean = total / m
    return {
        "mean": mean,
        "sd": np.sqrt(np.maximum(0, squares / m - mean**2)),
        "low": low,
        "high": high,
        "counts": counts,
        "correct": right / m if threshold is not None else np.full(targets, np.nan),
    }, int(rows.size)
