"""Finished groups of targets of a large fit, kept so that an interrupted one goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.regression.large.mask_passes import Source, pieces
from subtrain.regression.large.options import LargePath
from subtrain.regression.lasso.lambda_choice import LassoOptions
from subtrain.regression.lasso.path_stopping import RULE
from subtrain.regression.lasso.saved_blocks import digest, load, save

ARRAYS = ("lambdas", "bias", "gap", "error", "best", "constant")
NUMBERS = ("n", "passes", "working", "full")


def masks_digest(source: Source) -> str:
    """The packed bits of all models, by one pass over them."""
    found = hashlib.sha256()
    for piece in pieces(source):
        found.update(f"{piece.n}".encode())
        found.update(np.ascontiguousarray(piece.data).data)
    return found.hexdigest()


def rules_digest(rules: LassoOptions) -> str:
    """What holds for all targets, but for the threads, which change nothing."""
    values = {name: getattr(rules, name) for name in ("objective", "positive", "tol", "max_iter", "early_stop")}
    values |= {"threads": 0, "penalty": None, "stop": RULE}
    return digest(values, np.zeros(0) if rules.penalty is None else rules.penalty)


def kept(path: Path, key: str, solve: Callable[[], LargePath]) -> LargePath:
    """What `solve` returns, from the file at `path` if that was written for the same key."""
    found = load(path, key)
    with suppress(KeyError, ValueError):
        if found is not None:
            return _path(found)
    solved = solve()
    save(path, key, _arrays(solved))
    return solved


def _arrays(path: LargePath) -> dict[str, NDArray[Any]]:
    entries = [entry for target in path.entries for entry in target]
    return {
        **{name: getattr(path, name) for name in ARRAYS},
        **{name: np.array(getattr(path, name)) for name in NUMBERS},
        "sizes": np.array([units.size for units, _ in entries]),
        "units": np.concatenate([units for units, _ in entries]),
        "values": np.concatenate([values for _, values in entries]),
    }


def _path(data: dict[str, Any]) -> LargePath:
    cuts = np.cumsum(data["sizes"])[:-1]
    entries = list(zip(np.split(data["units"], cuts), np.split(data["values"], cuts), strict=True))
    targets, k = data["lambdas"].shape
    return LargePath(
        **{name: data[name] for name in ARRAYS},
        **{name: data[name].item() for name in NUMBERS},
        entries=[entries[t * k : (t + 1) * k] for t in range(targets)],
    )
