"""Finished blocks of targets in a folder: one .npz a block and stage, found again by what it was computed from."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from subtrain._version import __version__
from subtrain.errors import SubtrainError
from subtrain.regression.counting.counts import Counts
from subtrain.regression.lasso.lambda_choice import LassoFit, LassoOptions
from subtrain.regression.lasso.path_stopping import RULE
from subtrain.regression.lasso.validation_error import ValidationModels
from subtrain.store import atomic_files

REST = tuple(field.name for field in fields(LassoFit) if field.name != "weight")
SPARSE = ("unit", "value", "start")


@dataclass(frozen=True, eq=False)
class Sparse:
    """A `LassoFit` without its zeros. Target t has the weights value[start[t] : start[t + 1]], float64, at the units
    `unit`, int32; rest: the fit, its weights [n, 0]."""

    unit: NDArray[np.int32]
    value: NDArray[np.float64]
    start: NDArray[np.int64]
    rest: LassoFit

    @property
    def targets(self) -> int:
        """T."""
        return self.start.size - 1

    def weight(self) -> NDArray[np.float64]:
        """float64 [n, T]."""
        weight = np.zeros((self.targets, len(self.rest.weight)))
        weight[np.repeat(np.arange(self.targets), np.diff(self.start)), self.unit] = self.value
        return weight.T

    def dense(self) -> LassoFit:
        """The fit again."""
        return replace(self.rest, weight=self.weight())


def sparse(fit: LassoFit) -> Sparse:
    """The fit without its zeros."""
    target, unit = np.nonzero(fit.weight.T)
    start = np.searchsorted(target, np.arange(fit.weight.shape[1] + 1))
    value = np.asarray(fit.weight.T[target, unit], np.float64)
    return Sparse(unit.astype(np.int32), value, start, replace(fit, weight=fit.weight[:, :0]))


class KeptBlocks:
    """Blocks of one set of options and validation models; without a folder nothing is kept."""

    def __init__(
        self, folder: Path | None, options: LassoOptions, validation: Counts | ValidationModels | None
    ) -> None:
        self.folder = folder
        self.common = "" if folder is None else _common(options, validation)

    def find(self, stage: str, counts: Counts) -> Sparse | None:
        """What was made of these counts before, if it is kept."""
        if self.folder is None:
            return None
        path = self._file(self.folder, stage, counts)
        held = load(path, path.name)
        with suppress(KeyError):
            if held is not None:
                rest = LassoFit(weight=np.zeros((counts.n, 0)), **{name: held[name] for name in REST})
                return Sparse(**{name: held[name] for name in SPARSE}, rest=rest)
        return None

    def put(self, stage: str, counts: Counts, fit: Sparse) -> Sparse:
        """Keep what was made of these counts."""
        if self.folder is not None:
            path = self._file(self.folder, stage, counts)
            arrays = {name: getattr(fit, name) for name in SPARSE}
            save(path, path.name, arrays | {name: getattr(fit.rest, name) for name in REST})
        return fit

    def _file(self, folder: Path, stage: str, counts: Counts) -> Path:
        sums = (counts.ones, counts.xty, counts.y_sum, counts.y_sq, counts.y_dev)
        return folder / f"{stage}-{digest(stage, counts.m, self.common, *sums)[:32]}.npz"


def _common(options: LassoOptions, validation: Counts | ValidationModels | None) -> str:
    how = {name: _listed(value) for name, value in asdict(options).items()}
    held: tuple[Any, ...] = ()
    if isinstance(validation, ValidationModels):
        held = (validation.masks.data, validation.outputs)
    elif validation is not None:
        held = (validation.xty,)
    return digest(how | {"threads": None, "version": __version__, "stop": RULE}, *held)


def _listed(value: Any) -> Any:
    """An array as a list of numbers."""
    return value.tolist() if isinstance(value, np.ndarray) else value


# Whatever is wrong with a file, it is only computed again.
UNREADABLE = (OSError, SubtrainError, KeyError, ValueError, EOFError, MemoryError, BadZipFile)


def digest(*parts: Any) -> str:
    """One name for arrays and anything that JSON can hold."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype} {part.shape}".encode())
            found.update(np.ascontiguousarray(part).data)
        else:
            found.update(json.dumps(part, sort_keys=True, default=repr).encode())
    return found.hexdigest()


def load(path: Path, key: str) -> dict[str, Any] | None:
    """The arrays in the file; None if there is none, or one of another key, or a damaged one."""
    try:
        with atomic_files.open_regular(path) as file, np.load(file, allow_pickle=False) as data:
            return {name: data[name] for name in data.files} if str(data["key"]) == key else None
    except UNREADABLE:
        return None


def save(path: Path, key: str, arrays: dict[str, Any]) -> None:
    """Put the arrays there, in place of any file, so that whoever reads meanwhile finds the old or the new one."""
    atomic_files.make_inside(path.parent)
    atomic_files.replace(path, lambda file: np.savez(file, key=np.array(key), **arrays))
