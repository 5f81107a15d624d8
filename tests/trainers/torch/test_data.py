"""Data sets of every kind; the dicts are duck-typed, as a Hugging Face data set gives them."""

import numpy as np
import pytest
from PIL import Image

from subtrain.errors import InputError
from subtrain.trainers.torch.data import as_pair

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
LABELS = np.array([0, 2, 1, 1, 0, 2])


class Rows:
    """A map-style data set of dicts."""

    def __init__(self, **columns):
        self.columns = columns

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, i):
        return {name: column[i] for name, column in self.columns.items()}


def test_dicts_of_pictures():
    pictures = [Image.fromarray(image) for image in IMAGES]
    for rows in (
        Rows(image=pictures, label=LABELS.tolist()),
        Rows(idx=range(6), img=IMAGES, label=LABELS),
        Rows(pixel_values=IMAGES, labels=LABELS),
        [{"x": image, "y": label} for image, label in zip(IMAGES, LABELS, strict=True)],
    ):
        x, y = as_pair(rows)
        assert x.dtype == np.uint8
        assert np.array_equal(x, IMAGES.transpose(0, 3, 1, 2))
        assert np.array_equal(y, LABELS)
        assert y.dtype == np.int64


def test_dicts_of_tokens_and_named_keys():
    tokens = np.arange(18).reshape(6, 3)
    x, _ = as_pair(Rows(input_ids=tokens, label=LABELS))
    assert np.array_equal(x, tokens)
    x, y = as_pair(Rows(image=IMAGES, other=tokens, label=LABELS, fine=LABELS[::-1]), keys=("other", "fine"))
    assert np.array_equal(x, tokens)
    assert np.array_equal(y, LABELS[::-1])


def test_grey_images_get_a_channel_and_channels_come_first():
    grey, _ = as_pair((IMAGES[..., 0], LABELS))
    assert grey.shape == (6, 1, 5, 4)
    first = IMAGES.transpose(0, 3, 1, 2)
    assert np.array_equal(as_pair((first, LABELS))[0], first)
    numbers = IMAGES.astype(np.float32)
    assert as_pair((numbers, LABELS))[0].shape == numbers.shape


@pytest.mark.parametrize(
    ("data", "keys", "said"),
    [
        (Rows(thing=IMAGES, label=LABELS), None, "say which key is the input.*thing, label"),
        (Rows(image=IMAGES, kind=LABELS), None, "say which key is the label"),
        (Rows(image=IMAGES, label=LABELS), ("image", "kind"), "have no kind, only image, label"),
        ([(np.zeros(3), 0), (np.zeros(4), 1), (np.zeros(3), 0)], None, "one shape, found .3. and .4."),
        ((IMAGES, LABELS - 1), None, "labels must be integers"),
        ((IMAGES, LABELS + 0.5), None, "labels must be integers"),
        ({"train": [], "test": []}, None, "one split, not a dict of train, test"),
    ],
)
def test_what_is_no_data(data, keys, said):
    with pytest.raises(InputError, match=said):
        as_pair(data, keys)
