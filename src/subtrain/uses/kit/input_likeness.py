"""How alike the inputs of units and targets are: pictures also mirrored, cropped and moved, texts, tables, numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.quantities import split_of
from subtrain.regression.estimators.kit.pairs import units_and_targets
from subtrain.study import Study
from subtrain.system.types import Floats

Ints = NDArray[np.int64]
Inputs = tuple[Any, Any]
# Pictures are compared at most so large, so that 50,000 x 10,000 of them take minutes.
SIDE, SIDE_OF_MANY, MANY = 32, 16, 10**7
MOVES = -1, 0, 1
# Words for how a picture was changed.
WAYS = "pixels", "mirrored pixels", "cropped or moved pixels"


@dataclass(frozen=True, eq=False)
class Likeness:
    """distances: from all n units to some targets [k], float64 [n, k], and which of `ways` is the nearest, [n, k]."""

    ways: tuple[str, ...]
    distances: Callable[[Ints], tuple[Floats, NDArray[np.int64]]]


def likeness_of_study(study: Study | None, output: str, targets: int) -> Likeness | None:
    """Of the pictures, texts or rows that the study shows of its units and targets; None where it shows neither."""
    if study is None or study.groups is not None or study.view is None:
        return None
    split = split_of(output)
    for kind in ("images", "texts", "tables"):
        both = units_and_targets(getattr(study.view, kind), split, study.n, targets)
        if both is not None:
            return likeness(both, pictures=kind == "images", same=split == "train")
    return None


def likeness(inputs: Inputs, pictures: bool | None = None, same: bool = False) -> Likeness:
    """Of the inputs of units and of targets.

    inputs: pictures uint8 [N, H, W] or [N, H, W, 3], numbers [N, …] (pixels, features or embeddings), texts, or columns
    by name. pictures: whether arrays are pictures, by default those of uint8 with 3 or 4 axes. same: whether units and
    targets are the same examples, each of which is no copy of itself. Raises InputError for inputs that do not match.
    """
    units, targets = inputs
    if isinstance(units, Mapping):
        found = _of_numbers(*_table(units, targets), "columns")
    elif _are_texts(units):
        found = _of_texts(units, targets)
    else:
        x, z = np.asarray(units), np.asarray(targets)
        if x.shape[1:] != z.shape[1:] or x.dtype.kind not in "biuf":
            what = f"inputs of units are {x.dtype} {list(x.shape)}, those of targets {z.dtype} {list(z.shape)}"
            raise InputError(f"{what}: give numbers of one shape, or texts")
        if pictures is None:
            pictures = x.dtype == np.uint8 and x.ndim in (3, 4)
        found = _of_pictures(x, z) if pictures else _of_numbers(_flat(x), _flat(z), "inputs")
    return _without_itself(found) if same else found


def _of_pictures(x: NDArray[Any], z: NDArray[Any]) -> Likeness:
    """1 minus the correlation of what is left of two pictures without the units' mean picture.

    Of the target as it is and mirrored, cropped and moved by a pixel; and of the unit cropped and mirrored.
    """
    side = SIDE_OF_MANY if len(x) * len(z) > MANY else SIDE
    x, z = _small(x, side), _small(z, side)
    mean = x.mean(axis=0)
    height = x.shape[1]
    crops = sorted({0, max(1, height // 14), max(1, height // 7)})
    of_targets = list(product(crops, MOVES, MOVES, (False, True)))
    of_units = [(crop, 0, 0, mirrored) for crop in crops[1:] for mirrored in (False, True)]
    changed = [(_way(change), _unit_length(_changed(x, change), mean)) for change in of_units]
    plain = _unit_length(x, mean)

    def distances(targets: Ints) -> tuple[Floats, NDArray[np.int64]]:
        best, way = np.full((len(x), targets.size), np.inf), np.zeros((len(x), targets.size), np.int64)
        own = _unit_length(z[targets], mean)
        # One at a time: all of a block's targets, changed in all ways, would fill the memory.
        pairs = ((_way(change), plain, _unit_length(_changed(z[targets], change), mean)) for change in of_targets)
        for number, left, right in chain(pairs, ((number, units, own) for number, units in changed)):
            far = 1.0 - (left @ right.T).astype(np.float64)
            nearer = far < best
            best[nearer], way[nearer] = far[nearer], number
        return best, way

    return Likeness(WAYS, distances)


def _way(change: tuple[int, int, int, bool]) -> int:
    crop, down, right, mirrored = change
    if crop or down or right:
        return 2
    return int(mirrored)


def _changed(pictures: Floats, change: tuple[int, int, int, bool]) -> Floats:
    crop, down, right, mirrored = change
    found = pictures
    if crop:
        rows, columns = (
            np.clip(np.round(np.linspace(crop, side - 1 - crop, side)).astype(int), 0, side - 1)
            for side in pictures.shape[1:3]
        )
        found = found[:, rows][:, :, columns]
    for axis, by in ((1, down), (2, right)):
        if by:
            at = np.clip(np.arange(found.shape[axis]) - by, 0, found.shape[axis] - 1)
            found = np.take(found, at, axis=axis)
    return found[:, :, ::-1] if mirrored else found


def _small(pictures: NDArray[Any], side: int) -> Floats:
    """float32 pictures of at most `side` rows and columns, means of blocks of pixels."""
    by = max(1, -(-max(pictures.shape[1:3]) // side))
    height, width = (size // by * by for size in pictures.shape[1:3])
    cut = pictures[:, :height, :width].astype(np.float32)
    shape = len(cut), height // by, by, width // by, by, *cut.shape[3:]
    found: Floats = cut.reshape(shape).mean(axis=(2, 4))
    return found


def _unit_length(pictures: Floats, mean: Floats) -> Floats:
    left = _flat(pictures - mean)
    left = left - left.mean(axis=1, keepdims=True)
    return np.asarray(left / np.maximum(np.linalg.norm(left, axis=1, keepdims=True), 1e-9), np.float32)


def _of_numbers(x: NDArray[Any], z: NDArray[Any], name: str) -> Likeness:
    """Squared distances of numbers, each standardized by the units'."""
    x, z = np.asarray(x, np.float64), np.asarray(z, np.float64)
    if not (np.isfinite(x).all() and np.isfinite(z).all()):
        raise InputError("inputs of units and targets must be finite numbers")
    mean, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    x, z = (x - mean) / spread, (z - mean) / spread
    square = (x**2).sum(axis=1)

    def distances(targets: Ints) -> tuple[Floats, NDArray[np.int64]]:
        own = z[targets]
        far = np.maximum(square[:, None] + (own**2).sum(axis=1) - 2 * x @ own.T, 0.0)
        return far / max(1, x.shape[1]), np.zeros(far.shape, np.int64)

    return Likeness((name,), distances)


def _of_texts(units: Sequence[str], targets: Sequence[str]) -> Likeness:
    """1 minus the cosine of the weights of runs of 3 to 5 characters (tf-idf)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    maker = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    try:
        x = maker.fit_transform([str(text or "") for text in units])
    except ValueError as error:
        raise InputError(f"the texts of the units have no characters to compare: {error}") from error
    z = maker.transform([str(text or "") for text in targets])

    def distances(some: Ints) -> tuple[Floats, NDArray[np.int64]]:
        far = 1.0 - np.asarray((x @ z[some].T).todense(), np.float64)
        return far, np.zeros(far.shape, np.int64)

    return Likeness(("texts",), distances)


def _without_itself(found: Likeness) -> Likeness:
    def distances(targets: Ints) -> tuple[Floats, NDArray[np.int64]]:
        far, way = found.distances(targets)
        far[targets, np.arange(targets.size)] = np.inf
        return far, way

    return Likeness(found.ways, distances)


def _table(units: Mapping[str, Any], targets: Mapping[str, Any]) -> tuple[Floats, Floats]:
    """Numbers of both tables: columns of numbers as they are, gaps at the mean; of others a 0 or 1 for each value."""
    if list(units) != list(targets):
        raise InputError("the tables of units and targets have other columns")
    both: list[tuple[Any, Any]] = []
    for name in units:
        one, other = np.asarray(units[name]), np.asarray(targets[name])
        if one.dtype.kind in "biuf" and other.dtype.kind in "biuf":
            middle = np.nanmean(one.astype(np.float64)) if np.isfinite(one).any() else 0.0
            both.append(tuple(np.where(np.isfinite(part), part, middle)[:, None] for part in (one, other)))  # type: ignore[arg-type]
        else:
            values = np.unique(one.astype(str))
            both.append((one.astype(str)[:, None] == values, other.astype(str)[:, None] == values))
    x, z = (np.concatenate([pair[side] for pair in both], axis=1).astype(np.float64) for side in (0, 1))
    return x, z


def _are_texts(part: Any) -> bool:
    return isinstance(next((one for one in part if one is not None), None), str)


def _flat(numbers: ArrayLike) -> NDArray[Any]:
    found = np.asarray(numbers)
    return found.reshape(len(found), -1)
