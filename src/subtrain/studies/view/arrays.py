"""Arrays of a view: images small enough to be stored, and their files, checked and read as memory maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from subtrain.arrays import as_array, is_tensor
from subtrain.errors import CorruptError, InputError, StorageError
from subtrain.store import atomic_files
from subtrain.store.addresses import local_folder
from subtrain.store.npy_files import npy_header, open_verified, parse_npy
from subtrain.store.protocol import Store
from subtrain.store.seal import verify_bytes, verify_file

Images = NDArray[np.uint8]
_BLOCK, _IMAGES = 1 << 22, 1024
_CHANNELS = (1, 3, 4)


def images_within(
    images: Mapping[str, Any], most: int, sides: Sequence[int]
) -> tuple[dict[str, Images], int | None, int]:
    """Images of each split as uint8 [N, H, W] or [N, H, W, C], the longest side they were shrunk to, and their bytes.

    Shrunk, to the first of `sides` that does, only if they take more than `most` bytes as they are; not shrunk at all
    if none does.
    """
    images = {split: _even(split, array, sides[0]) for split, array in images.items()}
    shapes = {split: _shape(split, array) for split, array in images.items()}
    for side in (None, *sides):
        total = sum(_bytes(shape, side) for shape in shapes.values())
        if total <= most:
            return {split: _stored(array, shapes[split], side) for split, array in images.items()}, side, total
    return {}, None, total


def _even(split: str, images: Any, side: int) -> Any:
    """One array of images; of a list of images of several sizes, each shrunk to `side` and put on a canvas of zeros."""
    if is_tensor(images):
        return as_array(images)
    if hasattr(images, "dtype"):
        return images
    each = [as_array(image) if is_tensor(image) else np.asarray(image) for image in images]
    if len({image.shape for image in each}) <= 1:
        return np.stack(each) if each else np.zeros((0, 1, 1), np.uint8)
    if any(
        image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] != each[0].shape[2:] for image in each
    ):
        raise InputError(f"the images of {split} in the task's view must be uint8 [H, W] or [H, W, 3], all of one kind")
    fitted = [_resized(image, _fitted(image.shape[0], image.shape[1], side)) for image in each]
    height, width = (max(image.shape[k] for image in fitted) for k in (0, 1))
    canvas = np.zeros((len(each), height, width, *each[0].shape[2:]), np.uint8)
    for place, image in zip(canvas, fitted, strict=True):
        place[: image.shape[0], : image.shape[1]] = image
    return canvas


def _shape(split: str, array: Any) -> tuple[int, ...]:
    """[N, H, W] or [N, H, W, C] of images; InputError for what are no images."""
    shape = tuple(np.shape(array))
    if len(shape) == 4 and shape[3] not in _CHANNELS and shape[1] in _CHANNELS:
        shape = (shape[0], *shape[2:], shape[1])
    plain = getattr(array, "dtype", None) is not None and array.dtype.kind in "biuf"
    if not plain or not (len(shape) == 3 or (len(shape) == 4 and shape[3] in _CHANNELS)):
        raise InputError(
            f"the images of {split} in the task's view must be one array uint8 [N, H, W] or [N, H, W, 3], "
            f"got {getattr(array, 'dtype', type(array).__name__)} {list(shape)}"
        )
    return shape


def _bytes(shape: tuple[int, ...], side: int | None) -> int:
    height, width = _fitted(shape[1], shape[2], side)
    return shape[0] * height * width * (shape[3] if len(shape) == 4 else 1)


def _fitted(height: int, width: int, side: int | None) -> tuple[int, int]:
    longest = max(height, width)
    if side is None or longest <= side:
        return height, width
    return max(1, round(height * side / longest)), max(1, round(width * side / longest))


def _stored(array: Any, shape: tuple[int, ...], side: int | None) -> Images:
    fitted = _fitted(shape[1], shape[2], side)
    if array.dtype == np.uint8 and array.shape == shape and fitted == shape[1:3]:
        return np.asarray(array)
    unit = array.dtype.kind in "bf" and (shape[0] == 0 or float(np.nanmax(np.asarray(array))) <= 1.0)
    out = np.empty((shape[0], *fitted, *shape[3:]), np.uint8)
    for start in range(0, shape[0], _IMAGES):
        part = np.asarray(array[start : start + _IMAGES])
        if array.shape != shape:
            part = part.transpose(0, 2, 3, 1)
        if part.dtype != np.uint8:
            part = np.clip(np.nan_to_num(part * 255.0 if unit else part), 0, 255).round().astype(np.uint8)
        for k, image in enumerate(part):
            out[start + k] = image if fitted == shape[1:3] else _resized(image, fitted)
    return out


def _resized(image: Images, fitted: tuple[int, int]) -> Images:
    from PIL import Image

    flat = image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image
    made = Image.fromarray(np.ascontiguousarray(flat)).resize(fitted[::-1], Image.Resampling.BOX)
    return np.asarray(made, np.uint8).reshape(*fitted, *image.shape[2:])


def write_array(file: BinaryIO, array: NDArray[Any]) -> None:
    """The array as a .npy file, a block at a time."""
    file.write(npy_header(array.dtype, array.shape))
    rows = max(1, _BLOCK // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        file.write(np.ascontiguousarray(array[start : start + rows]).tobytes())


def open_array(store: Store, name: str, digest: str, most: int) -> NDArray[Any]:
    """The array of numbers in a .npy file of the store, memory-mapped; CorruptError unless its sha256 is `digest`."""
    location = store.location(name)
    try:
        path = store.path(name) or _copy(store, name, digest, most)
        if path is None:
            array = parse_npy(_read(store, name, digest, most), location)
        elif path.stat().st_size > most + _BLOCK:
            raise CorruptError(f"{location} is damaged: it is no file of at most {most + _BLOCK:,} bytes")
        else:
            array = open_verified(path, digest)
    except FileNotFoundError:
        raise CorruptError(f"{location} is missing, and the study's view names it") from None
    except InputError as error:
        raise CorruptError(str(error)) from error
    if array.dtype.kind not in "biuf":
        raise CorruptError(f"{location} is damaged: it holds no numbers")
    return array


def _copy(store: Store, name: str, digest: str, most: int) -> Path | None:
    """The file of a bucket on this machine, copied once; None where there is no place for it."""
    try:
        path = local_folder(store) / name
        with suppress(CorruptError, FileNotFoundError):
            verify_file(path, digest)
            return path
        content = _read(store, name, digest, most)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_files.replace(path, lambda file: file.write(content), durable=False)
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError, StorageError):
        return None
    return path


def _read(store: Store, name: str, digest: str, most: int) -> bytes:
    content = store.read_range(name, 0, most + _BLOCK)
    verify_bytes(content, digest, store.location(name))
    return content
