"""What a fit will need, before it starts: memory, disk, and whether they are there."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from subtrain.errors import InputError, StorageError
from subtrain.machine import available_memory, size

# Target-major float64 arrays of the path: coefficients, start, and covariances with both parts of the models.
_PATH_ARRAYS = 5
_BLOCK_MODELS = 32_768


@dataclass(frozen=True)
class FitPlan:
    """What fitting `models` models over n units and T targets needs, in bytes."""

    models: int
    n: int
    targets: int
    counts: int
    path: int
    reading: int
    disk: int

    @property
    def memory(self) -> int:
        """Peak memory: counts stay while the paths are solved, reading is over by then."""
        return self.counts + max(self.path, self.reading)

    def __str__(self) -> str:
        return (
            f"{self.models:,} models x {self.n:,} units x {self.targets:,} targets: about {size(self.memory)} of "
            f"memory at peak (counts {size(self.counts)}, paths {size(self.path)}), {size(self.disk)} to write"
        )

    def check(self, folder: Path | None = None) -> None:
        """Raise InputError, or StorageError for `folder`'s disk, with the numbers, if it will not fit."""
        free = available_memory()
        if free is not None and self.memory > free:
            raise InputError(
                f"this fit needs about {size(self.memory)} of memory ({size(self.counts)} of it for counts of "
                f"{self.n:,} x {self.n:,} units), but only {size(free)} are free; fit on a larger machine"
            )
        if folder is not None:
            there = next(parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.exists())
            left = shutil.disk_usage(there).free
            if self.disk > left:
                raise StorageError(f"this fit writes {size(self.disk)} to {folder}, but the disk has {size(left)} left")


def plan_fit(models: int, n: int, targets: int, parts: int = 2, keep_counts: bool = True) -> FitPlan:
    """The plan for an estimator on counts of `parts` parts of the models; of several there is also a sum."""
    counts = 4 * n * n + 8 * n * targets
    row = n // 8 + targets * 10
    return FitPlan(
        models=models,
        n=n,
        targets=targets,
        counts=(parts + (parts > 1)) * counts,
        path=_PATH_ARRAYS * 8 * n * targets,
        reading=min(models, _BLOCK_MODELS) * 2 * row,
        disk=2 * 4 * n * targets + 32 * targets + keep_counts * parts * counts,
    )
