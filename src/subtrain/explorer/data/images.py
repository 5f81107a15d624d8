"""Example pictures as PNG files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

TINY = 48


def png(pixels: NDArray[Any], side: int) -> bytes | None:
    """A picture at most `side` pixels wide and high of uint8 [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], else None.

    Tiny ones keep every pixel: the page enlarges them with their pixels square and sharp.
    """
    from PIL import Image

    array = np.asarray(pixels)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype != np.uint8 or array.size == 0 or not (array.ndim == 2 or array.shape[2:] in ((3,), (4,))):
        return None
    image = Image.fromarray(np.ascontiguousarray(array))
    if max(image.size) > max(side, TINY):
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
