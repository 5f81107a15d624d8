"""Finished groups of targets of a large fit, kept so that an interrupted one goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import SubtrainError
from subtrain.regression.large.mask_passes import Source, pieces
from subtrain.regression.large.options import LargePath, Rules
from subtrain.regression.lasso.path_stopping import RULE
from subtrain.store import atomic_files

ARRAYS = ("lambdas", "bias", "gap", "error", "best", "constant")
NUMBERS = ("n", "passes", "working", "full")


def digest(*parts: Any) -> str:
    """One name for masks (a `Source`), arrays and anything that JSON can hold."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype} {part.shape}".encode())
            found.update(np.ascontiguousarray(part).data)
        else:
            found.update(json.dumps(part, sort_keys=True, default=repr).encode())
    return found.hexdigest()


def masks_digest(source: Source) -> str:
    """The packed bits of all models, by one pass over them."""
    found = hashlib.sha256()
    for piece in pieces(source):
        found.update(f"{piece.n}".encode())
        found.update(np.ascontiguousarray(piece.data).data)
    return found.hexdigest()


def rules_digest(rules: Rules) -> str:
    """What holds for all targets, but for the threads, which change nothing."""
    values = asdict(rules) | {"threads": 0, "penalty": None, "stop": RULE}
    return digest(values, np.zeros(0) if rules.penalty is None else rules.penalty)


def kept(path: Path, key: str, solve: Callable[[], LargePath]) -> LargePath:
    """What `solve` returns, from the file at `path` if that was written for the same key."""
    found = _load(path, key)
    if found is None:
        found = solve()
        atomic_files.make_inside(path.parent)
        arrays: dict[str, Any] = _arrays(found) | {"key": np.array(key)}
        atomic_files.replace(path, lambda file: np.savez(file, **arrays))
    return found


def _arrays(path: LargePath) -> dict[str, NDArray[Any]]:
    entries = [entry for target in path.entries for entry in target]
    return {
        **{name: getattr(path, name) for name in ARRAYS},
        **{name: np.array(getattr(path, name)) for name in NUMBERS},
        "sizes": np.array([units.size for units, _ in entries]),
        "units": np.concatenate([units for units, _ in entries]),
        "values": np.concatenate([values for _, values in entries]),
    }


def _load(path: Path, key: str) -> LargePath | None:
    try:
        with atomic_files.open_regular(path) as file, np.load(file, allow_pickle=False) as data:
            if str(data["key"]) != key:
                return None
            cuts = np.cumsum(data["sizes"])[:-1]
            entries = list(zip(np.split(data["units"], cuts), np.split(data["values"], cuts), strict=True))
            targets, k = data["lambdas"].shape
            return LargePath(
                **{name: data[name] for name in ARRAYS},
                **{name: data[name].item() for name in NUMBERS},
                entries=[entries[t * k : (t + 1) * k] for t in range(targets)],
            )
    except (OSError, SubtrainError, ValueError, KeyError, EOFError, MemoryError, BadZipFile):
        return None
