"""What a fit will need, before it starts: memory, disk, and whether they are there."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from subtrain.errors import InputError, StorageError
from subtrain.formatting import size
from subtrain.regression.counting.count_stream import BLOCK, peak_bytes
from subtrain.regression.counting.counts import gram_kind
from subtrain.regression.lasso.target_blocks import MANY, block_size
from subtrain.system.machine import available_memory

# Target-major float64 arrays of a block's paths: rho, start, coefficients, weights and their parts.
_PATH_ARRAYS = 10
# The same of estimators that solve all targets at once.
_WHOLE_ARRAYS = 5


@dataclass(frozen=True)
class FitPlan:
    """What fitting `models` models over n units and T targets needs, in bytes.

    counts: what is held while paths are solved, the validation models included; path: their arrays and the weights;
    reading: the peak while models are counted, counts included; rows: what is fitted, in words, where it is not simply
    `models` models.
    """

    models: int
    n: int
    targets: int
    counts: int
    path: int
    reading: int
    disk: int
    rows: str = ""

    @property
    def memory(self) -> int:
        """Peak memory: reading is over when the paths are solved."""
        return max(self.counts + self.path, self.reading)

    def __str__(self) -> str:
        return (
            f"{self.size_said}: about {size(self.memory)} of memory at peak (counts {size(self.counts)}, "
            f"paths {size(self.path)}), {size(self.disk)} to write"
        )

    @property
    def size_said(self) -> str:
        """Models, units and targets in words."""
        return f"{self.rows or f'{self.models:,} models'} x {self.n:,} units x {self.targets:,} targets"

    def shortage(self, free: int) -> str:
        """What to say where so many bytes are free, which are too few."""
        return (
            f"this fit needs about {size(self.memory)} of memory ({size(self.counts)} of it for counts of "
            f"{self.n:,} x {self.n:,} units), but only {size(free)} are free; fit on a larger machine, "
            "or by LassoLarge (--estimator lasso-large), which keeps within a given memory"
        )

    def check(self, folder: Path | None = None) -> None:
        """Raise InputError, or StorageError for `folder`'s disk, with the numbers, if it will not fit."""
        free = available_memory()
        if free is not None and self.memory > free:
            raise InputError(self.shortage(free))
        if folder is not None:
            check_disk(folder, self.disk, f"this fit writes {size(self.disk)} to {folder}")


def check_disk(folder: Path, needed: int, what: str) -> None:
    """Raise StorageError, which begins with `what`, when `needed` bytes do not fit on the folder's disk."""
    there = next(parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise StorageError(f"{what}, but the disk has {size(free)} left")


def plan_fit(
    parts: Sequence[int], n: int, targets: int, held: bool, keep_counts: bool = True, itemsize: int = 2
) -> FitPlan:
    """The plan for models in these parts, whose sizes are given.

    held: whether the last part is held as it is and only the first is counted; else each is counted, and summed.
    itemsize: bytes of one output.
    """
    kind = gram_kind(n) if held else "dense"
    one = {"dense": 4, "compact": 2}[kind] * n * n + 8 * n * targets
    copies = 1 if held else len(parts) + (len(parts) > 1)
    validation = parts[-1] * (2 * (n // 8) + targets * itemsize) if held else 0
    block = min(targets, block_size(n)) if held else targets
    wide = 8 if n * targets <= MANY else 4
    arrays = _PATH_ARRAYS * block if held else _WHOLE_ARRAYS * targets
    return FitPlan(
        models=sum(parts),
        n=n,
        targets=targets,
        counts=copies * one + validation,
        path=8 * n * arrays + (wide + 4) * n * targets,
        reading=peak_bytes(n, targets, kind, min(max(parts), BLOCK), itemsize) + (copies - 1) * one,
        disk=2 * 4 * n * targets + 32 * targets + keep_counts * (1 if held else len(parts)) * one,
    )
