"""Image classification data from local files, arrays of pixels or JPEG bytes, and tasks of networks on them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.store.npy_files import npz_arrays
from subtrain.system.paths import local_path
from subtrain.tasks.base import FunctionTask, View
from subtrain.tasks.kit.convert import check_known
from subtrain.tasks.torch import torch_module
from subtrain.trainers.torch.recipe import TorchRecipe

NAMES = ("x_train", "y_train", "x_test", "y_test")
JPEG_NAMES = ("data", "offsets", "labels")

Split = tuple[NDArray[np.uint8], NDArray[np.int64]]


def image_data(data: str | Sequence[Any], n: int | None = None, targets: int | None = None) -> dict[str, Split]:
    """The splits "train" and "test" of image data, images uint8 [N, H, W, C]: the first n and the first `targets`.

    data: the arrays (x_train, y_train, x_test, y_test); the path of an .npz file that holds them; CIFAR-10's official
    archive or folder; a WILDS folder of FMoW (its splits train and id_test); or a path with "{split}" in it that leads
    to two .npz files of JPEG bytes: data uint8 (all files in a row), offsets int64 [N + 1] and labels [N]. Raises
    InputError for anything else.
    """
    if not isinstance(data, str):
        if len(data) != len(NAMES):
            raise InputError(f"data must be a path or the arrays {', '.join(NAMES)}; got {len(data)} things")
        arrays = [np.asarray(array) for array in data]
    elif "{split}" in data:
        arrays = []
        for split, most in (("train", n), ("test", targets)):
            arrays += _decoded(_arrays(local_path(data.format(split=split)), JPEG_NAMES), most)
    else:
        arrays = _collection(local_path(data), n, targets)
    x, y, x_test, y_test = arrays
    if not isinstance(data, str) or data.endswith(".npz"):
        _check_labels(y, y_test[:targets])
    return {"train": _split("train", x, y, n), "test": _split("test", x_test, y_test, targets)}


def image_task(
    network: Callable[..., Any],
    data: Mapping[str, Split],
    recipe: TorchRecipe,
    width: int,
    outputs: Sequence[str],
    margin: str,
    dtype: str | None = None,
) -> FunctionTask:
    """A task of `network(classes, width)` on image data, which a person sees as images and class numbers."""
    classes = int(max(y.max() for _, y in data.values())) + 1
    view = View(
        images={split: x for split, (x, _) in data.items()},
        labels={split: [str(v) for v in y] for split, (_, y) in data.items()},
    )
    make = partial(network, classes=classes, width=width)
    return torch_module(make, data["train"], data["test"], recipe, outputs, margin, view, dtype=dtype, classes=classes)


def _split(name: str, x: NDArray[Any], y: NDArray[Any], most: int | None) -> Split:
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[3] not in (1, 3) or y.shape != (len(x),):
        raise InputError(
            f"{name} images must be uint8 [N, H, W, C] with a label each; got {x.dtype} {list(x.shape)} and labels "
            f"{list(y.shape)}"
        )
    if most is not None and not 1 <= most <= len(x):
        raise InputError(f"{most} {name} images were asked for, there are {len(x)}")
    return x[:most], y[:most].astype(np.int64)


def _check_labels(y: NDArray[Any], y_test: NDArray[Any]) -> None:
    """Of a person's own images: the first n may lack a class that all of them have."""
    if y.ndim == y_test.ndim == 1:
        check_known(y, y_test)


def _collection(path: Path, n: int | None, targets: int | None) -> list[NDArray[Any]]:
    from subtrain.datasets import FMoW, cifar10, fmow

    if path.suffix == ".npz":
        found = _arrays(path, NAMES)
        return [found[name] for name in NAMES]
    if fmow.find(path) is not None:
        splits = [FMoW.open(path, "train").arrays(n), FMoW.open(path, "id_test").arrays(targets)]
    else:
        splits = list(cifar10(path).values())
    return [array for split in splits for array in split]


def _arrays(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    if path.suffix != ".npz" or not path.is_file():
        raise InputError(f"data must be the path of an .npz file; there is no {path}")
    return npz_arrays(path, lambda _: names)


def _decoded(file: Mapping[str, NDArray[Any]], most: int | None) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    from PIL import Image

    data, offsets, labels = (file[name] for name in JPEG_NAMES)
    starts = offsets[:-1] if most is None else offsets[:-1][:most]
    images = [
        np.asarray(Image.open(io.BytesIO(data[a:b].tobytes())).convert("RGB"))
        for a, b in zip(starts, offsets[1:], strict=False)
    ]
    return np.stack(images), labels[: len(images)]
