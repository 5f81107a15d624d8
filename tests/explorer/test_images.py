import io

import numpy as np
import pytest
from PIL import Image

from subtrain.explorer.data.examples import png


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)))


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (28, 20, 3), (5, 9, 4)])
def test_small_pictures_keep_every_pixel(shape):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    shown = pixels(png(array, 64))
    np.testing.assert_array_equal(shown, array[:, :, 0] if shape[2:] == (1,) else array)


def test_large_pictures_become_small_ones():
    gradient = np.tile(np.linspace(0, 255, 200).astype(np.uint8), (100, 1))
    shown = pixels(png(gradient, 64))
    assert shown.shape == (32, 64)
    assert np.all(np.diff(shown[16].astype(int)) >= 0)


@pytest.mark.parametrize(
    "array", [np.zeros((8, 8)), np.zeros((8, 8, 2), np.uint8), np.zeros(8, np.uint8), np.zeros((0, 8), np.uint8)]
)
def test_what_is_no_picture_is_none(array):
    assert png(array, 64) is None
