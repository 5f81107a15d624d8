"""Training data of any common kind as a pair of arrays; torch and datasets are recognized by what they offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.arrays import NoArrayError, as_array, matrix
from subtrain.errors import InputError
from subtrain.trainers.torch.inputs import each, parts

# Inputs (an array, or several as a dict or a tuple) and a label each.
Pair = tuple[Any, NDArray[Any]]

INPUT_KEYS = ("image", "img", "pixel_values", "input_ids", "x")
BESIDE = ("attention_mask", "token_type_ids")
LABEL_KEYS = ("label", "labels", "y")
# Examples that are read a second time, to see whether they are the same again.
READ_AGAIN = 8
# Sets within sets that are looked into for their classes.
_DEEP = 8


def as_pair(dataset: Any, keys: Sequence[str] | None = None) -> Pair:
    """(x, y) of a pair of arrays or tensors, a map-style set of (x, y) pairs or of dicts, or a dict of arrays.

    x may be several inputs: a dict of arrays, which a module gets by name, or a tuple of them, which it gets in order.
    keys: names of the inputs and, last, of the label in the dicts; without them the first known names that are there.
    uint8 images (3 or 4 axes) come out channels first. Raises InputError for anything else, and for a set whose
    examples differ each time they are read.
    """
    if isinstance(dataset, Mapping):
        x, y = _columns(dataset, keys)
    elif isinstance(dataset, (tuple, list)) and len(dataset) == 2 and _is_pair(*dataset):
        x, y = dataset
    elif hasattr(dataset, "tensors"):
        *inputs, y = dataset.tensors
        x = inputs[0] if len(inputs) == 1 else tuple(inputs)
    elif hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__"):
        x, y = _read(dataset, keys)
    else:
        raise InputError(f"train and test must be datasets or pairs (x, y), got {type(dataset).__name__}")
    x = dict(x) if isinstance(x, Mapping) else x
    x = each(lambda part: channels_first(matrix("x", part)), x)
    lengths = sorted({len(part) for part in parts(x)})
    if len(lengths) > 1:
        raise InputError(f"the inputs of a module must have one length, got {lengths[0]} and {lengths[-1]} examples")
    return x, y


def classes_of(data: Mapping[str, Pair]) -> int | None:
    """One more than the largest class number; None where numbers are to be predicted."""
    labels = [np.asarray(y) for _, y in data.values()]
    return None if labels[0].dtype.kind == "f" else int(max(y.max() for y in labels)) + 1


def declared_classes(dataset: Any) -> int | None:
    """How many classes a set says it has, as those of torchvision and of datasets do, also through a Subset of it."""
    for _ in range(_DEEP):
        if isinstance(getattr(dataset, "classes", None), Sized):
            return len(dataset.classes)
        if isinstance(getattr(dataset, "num_classes", None), int):
            return int(dataset.num_classes)
        labels = getattr(dataset, "features", None)
        if isinstance(labels, Mapping):
            counts = [getattr(labels.get(key), "num_classes", None) for key in LABEL_KEYS]
            return next((count for count in counts if isinstance(count, int)), None)
        dataset = getattr(dataset, "dataset", None)
    return None


def channels_first(x: NDArray[Any]) -> NDArray[Any]:
    """uint8 images [N, H, W] and [N, H, W, C] as [N, C, H, W]; all else as it is."""
    if x.dtype != np.uint8 or x.ndim not in (3, 4):
        return x
    if x.ndim == 3:
        return x[:, None]
    last = x.shape[3] in (1, 3, 4) and x.shape[1] not in (1, 3, 4)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if last else x


def _is_pair(x: Any, y: Any) -> bool:
    """Whether two things are inputs and labels, and not two examples."""
    if isinstance(x, (Mapping, tuple)):
        inputs = list(x.values()) if isinstance(x, Mapping) else list(x)
        whole = not isinstance(y, (Mapping, tuple)) and hasattr(y, "__len__")
        return whole and all(hasattr(part, "__len__") for part in inputs)
    return True


def _columns(dataset: Mapping[str, Any], keys: Sequence[str] | None) -> tuple[Any, Any]:
    """Of a dict of arrays; a dict of splits is refused."""
    splits = [name for name in dataset if str(name) in ("train", "test", "validation")]
    if splits or not dataset:
        raise InputError(
            f"a dataset must be one split, not a dict of {', '.join(map(str, dataset))}: give train=data['train'] and "
            "test=data['test']"
        )
    inputs, label = _names(dataset, keys)
    return _one_or_named({name: dataset[name] for name in inputs}), dataset[label]


def _one_or_named(inputs: dict[str, Any]) -> Any:
    return next(iter(inputs.values())) if len(inputs) == 1 else inputs


def _names(item: Mapping[str, Any], keys: Sequence[str] | None) -> tuple[list[str], str]:
    """The names of the inputs and of the label."""
    if keys is None:
        first = _first(item, INPUT_KEYS, "input")
        found = [first, *(name for name in BESIDE if first == "input_ids" and name in item)]
        return found, _first(item, LABEL_KEYS, "label")
    if isinstance(keys, str) or len(keys) < 2:
        raise InputError(
            f'keys must name the inputs and, last, the label, for example ("image", "label"); got {keys!r}'
        )
    missing = [key for key in keys if key not in item]
    if missing:
        raise InputError(f"the dataset's examples have no {', '.join(missing)}, only {', '.join(item)}")
    return list(keys[:-1]), keys[-1]


def _read(dataset: Any, keys: Sequence[str] | None) -> tuple[Any, Any]:
    pairs = [_pair(dataset[i], keys) for i in range(len(dataset))]
    if not pairs:
        raise InputError("a dataset must give (x, y) pairs or dicts with an input and a label, this one is empty")
    for i in range(min(READ_AGAIN, len(pairs))):
        if not _same(pairs[i], _pair(dataset[i], keys)):
            raise InputError(
                f"example {i} of a dataset differs each time it is read: a random transform would be drawn once and "
                "kept for all models and epochs; take it out, and say augment=Augment(...) in the recipe, or do it in "
                "your own training function"
            )
    first = pairs[0][0]
    if isinstance(first, dict):
        x: Any = {name: _stacked([x[name] for x, _ in pairs]) for name in first}
    elif isinstance(first, tuple):
        x = tuple(_stacked([x[k] for x, _ in pairs]) for k in range(len(first)))
    else:
        x = _stacked([x for x, _ in pairs])
    try:
        return x, np.asarray([y for _, y in pairs])
    except ValueError:
        raise InputError(
            "the labels of a dataset's examples differ in length: a task has one label an example; for several "
            "(multi-label) write the training as tasks.function"
        ) from None


def _pair(item: Any, keys: Sequence[str] | None) -> tuple[Any, Any]:
    """Inputs of one example as arrays, and its label as a plain value."""
    if isinstance(item, Mapping):
        inputs, label = _names(item, keys)
        x, y = _one_or_named({name: item[name] for name in inputs}), item[label]
    elif isinstance(item, (tuple, list)) and len(item) >= 2:
        # A third member of an example is often something about it; a second one with axes is an input.
        several = len(item) > 2 and np.ndim(item[1]) > 0
        x, y = (tuple(item[:-1]), item[-1]) if several else (item[0], item[1])
    else:
        raise InputError("a dataset must give (x, y) pairs or dicts with an input and a label")
    x = dict(x) if isinstance(x, Mapping) else x
    return each(_example, x), y.item() if hasattr(y, "item") and np.size(y) == 1 else y


def _example(value: Any) -> NDArray[Any]:
    try:
        return as_array(value)
    except NoArrayError as error:
        raise InputError(f"the input of an example must be an array, got {error}") from None


def _same(one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    ours, theirs = parts(one[0]), parts(other[0])
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(ours, theirs, strict=True))


def _stacked(examples: list[NDArray[Any]]) -> NDArray[Any]:
    shapes = sorted({x.shape for x in examples})
    if len(shapes) > 1:
        raise InputError(
            f"examples must all have one shape, found {list(shapes[0])} and {list(shapes[1])}: crop images, pad texts "
            "(padding='max_length')"
        )
    return np.stack(examples)


def _first(item: Mapping[str, Any], known: Sequence[str], what: str) -> str:
    for key in known:
        if key in item:
            return key
    raise InputError(f'say which key is the {what}, keys=("input", "label"); the examples have {", ".join(item)}')
