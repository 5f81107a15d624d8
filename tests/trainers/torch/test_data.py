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
        ([], None, "this one is empty"),
        (({"a": IMAGES, "b": IMAGES[1:]}, LABELS), None, "inputs of a module must have one length, got 5 and 6"),
        (Rows(image=IMAGES, label=LABELS), "label", "keys must name the inputs and, last, the label"),
        (Rows(image=[None] * 6, label=LABELS), None, "the input of an example must be an array, got a NoneType"),
        ({"train": [], "test": []}, None, "one split, not a dict of train, test"),
    ],
)
def test_what_is_no_data(data, keys, said):
    with pytest.raises(InputError, match=said):
        as_pair(data, keys)


TOKENS = np.arange(18).reshape(6, 3)
SEEN = (TOKENS % 2).astype(np.int64)


@pytest.mark.parametrize(
    "data",
    [
        ({"input_ids": TOKENS, "attention_mask": SEEN}, LABELS),
        {"input_ids": TOKENS, "attention_mask": SEEN, "labels": LABELS},
        Rows(idx=range(6), input_ids=TOKENS.tolist(), attention_mask=SEEN.tolist(), label=LABELS.tolist()),
    ],
)
def test_several_inputs_by_name(data):
    x, y = as_pair(data)
    assert list(x) == ["input_ids", "attention_mask"]
    assert np.array_equal(x["input_ids"], TOKENS)
    assert np.array_equal(x["attention_mask"], SEEN)
    assert np.array_equal(y, LABELS)


def test_several_inputs_in_order():
    class Tensors:
        tensors = (TOKENS, SEEN, LABELS)

    for data in (((TOKENS, SEEN), LABELS), Tensors(), list(zip(TOKENS, SEEN, LABELS, strict=True))):
        x, y = as_pair(data)
        assert isinstance(x, tuple)
        assert np.array_equal(x[0], TOKENS)
        assert np.array_equal(x[1], SEEN)
        assert np.array_equal(y, LABELS)
    x, y = as_pair([(token, label, {"about": 1}) for token, label in zip(TOKENS, LABELS, strict=True)])
    assert np.array_equal(x, TOKENS)


def test_a_random_transform_is_refused():
    class Cropped(Rows):
        def __getitem__(self, i):
            random = np.random.default_rng()
            return {**super().__getitem__(i), "image": self.columns["image"][i] + random.integers(1, 200, (5, 4, 3))}

    with pytest.raises(InputError, match="example 0 of a dataset differs each time it is read: a random transform"):
        as_pair(Cropped(image=IMAGES.astype(int), label=LABELS))
