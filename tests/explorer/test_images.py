import base64
import io

import numpy as np
import pytest
from PIL import Image

from subtrain.explorer.data.images import picture


def pixels(shown):
    head, _, body = shown.uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (28, 20, 3), (5, 9, 4)])
def test_small_pictures_keep_every_pixel(shape):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    shown = picture(array)
    assert shown.tiny
    assert (shown.height, shown.width) == shape[:2]
    np.testing.assert_array_equal(pixels(shown), array[:, :, 0] if shape[2:] == (1,) else array)


def test_large_pictures_become_small_ones():
    gradient = np.tile(np.linspace(0, 255, 200).astype(np.uint8), (100, 1))
    shown = picture(gradient, side=64)
    assert (shown.width, shown.height) == (64, 32)
    assert not shown.tiny
    assert np.all(np.diff(pixels(shown)[16].astype(int)) >= 0)


@pytest.mark.parametrize(
    "array", [np.zeros((8, 8)), np.zeros((8, 8, 2), np.uint8), np.zeros(8, np.uint8), np.zeros((0, 8), np.uint8)]
)
def test_what_is_no_picture_is_none(array):
    assert picture(array) is None
