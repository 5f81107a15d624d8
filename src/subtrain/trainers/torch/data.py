"""Training data of any common kind as a pair of arrays; torch and datasets are recognised by what they offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError

Pair = tuple[NDArray[Any], NDArray[np.int64]]

INPUT_KEYS = ("image", "img", "pixel_values", "input_ids", "x")
LABEL_KEYS = ("label", "labels", "y")


def as_pair(dataset: Any, keys: Sequence[str] | None = None) -> Pair:
    """(x, y) of a pair of arrays or tensors, a map-style set of (x, y) pairs, or one of dicts.

    keys: names of the input and the label in the dicts; without them the first known name that is there. Labels become
    int64; uint8 images (3 or 4 axes) come out channels first. Raises InputError for anything else.
    """
    if isinstance(dataset, Mapping):
        raise InputError(f"a dataset must be one split, not a dict of {', '.join(map(str, dataset))}")
    if isinstance(dataset, (tuple, list)) and len(dataset) == 2 and not isinstance(dataset[0], (Mapping, tuple)):
        x, y = (np.asarray(part) for part in dataset)
    elif hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__"):
        x, y = _read(dataset, keys)
    else:
        raise InputError(f"train and test must be datasets or pairs (x, y), got {type(dataset).__name__}")
    if len(x) != len(y) or y.ndim != 1:
        raise InputError(f"{len(x)} examples do not fit labels of shape {list(y.shape)}")
    if y.dtype.kind not in "iufb" or (y.size and (y.min() < 0 or (y != np.floor(y)).any())):
        raise InputError("labels must be integers 0, 1, 2, …")
    return channels_first(x), y.astype(np.int64)


def channels_first(x: NDArray[Any]) -> NDArray[Any]:
    """uint8 images [N, H, W] and [N, H, W, C] as [N, C, H, W]; all else as it is."""
    if x.dtype != np.uint8 or x.ndim not in (3, 4):
        return x
    if x.ndim == 3:
        return x[:, None]
    last = x.shape[3] in (1, 3, 4) and x.shape[1] not in (1, 3, 4)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if last else x


def _read(dataset: Any, keys: Sequence[str] | None) -> tuple[NDArray[Any], NDArray[Any]]:
    items = [dataset[i] for i in range(len(dataset))]
    if items and isinstance(items[0], Mapping):
        at, label = keys or (_first(items[0], INPUT_KEYS, "input"), _first(items[0], LABEL_KEYS, "label"))
        missing = [key for key in (at, label) if key not in items[0]]
        if missing:
            raise InputError(f"the dataset's examples have no {', '.join(missing)}, only {', '.join(items[0])}")
        pairs = [(item[at], item[label]) for item in items]
    elif items and isinstance(items[0], (tuple, list)) and len(items[0]) >= 2:
        pairs = [(item[0], item[1]) for item in items]
    else:
        raise InputError("a dataset must give (x, y) pairs or dicts with an input and a label")
    inputs = [np.asarray(x) for x, _ in pairs]
    shapes = sorted({x.shape for x in inputs})
    if len(shapes) > 1:
        raise InputError(f"examples must all have one shape, found {list(shapes[0])} and {list(shapes[1])}")
    return np.stack(inputs), np.asarray([int(y) for _, y in pairs])


def _first(item: Mapping[str, Any], known: Sequence[str], what: str) -> str:
    for key in known:
        if key in item:
            return key
    raise InputError(f'say which key is the {what}, keys=("input", "label"); the examples have {", ".join(item)}')
