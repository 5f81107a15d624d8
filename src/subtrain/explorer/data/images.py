"""Example pictures as PNG files and data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TINY = 48


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI; a tiny one is to be enlarged with its pixels kept square and sharp."""

    uri: str
    width: int
    height: int

    @property
    def tiny(self) -> bool:
        return max(self.width, self.height) <= TINY


def picture(pixels: NDArray[Any], side: int = 64) -> Picture | None:
    """A picture at most `side` pixels wide and high of uint8 [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]; else None."""
    content = png(pixels, side)
    if content is None:
        return None
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    return Picture(f"data:image/png;base64,{base64.b64encode(content).decode()}", width, height)


def png(pixels: NDArray[Any], side: int) -> bytes | None:
    """The same picture as a PNG file."""
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
