"""A label that only test examples have is refused when the task is made, unless the classes are declared."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import subtrain as st
from subtrain.errors import InputError
from subtrain.tasks.kit.pixels import image_data

UNKNOWN = [0, 1, 2, 1] * 3, [0, 3, 2, 3]


@pytest.mark.parametrize("kind", ["ridge_head", "logistic_head", "mlp", "cnn", "torch_module"])
def test_a_test_label_that_no_model_can_know_is_refused_unless_the_classes_are_declared(kind):
    y, y_test = map(np.array, UNKNOWN)
    x, x_test = (np.arange(size * 16.0).reshape(size, 4, 4) / 100 for size in (12, 4))
    flat = (x.reshape(12, 16), y, x_test.reshape(4, 16), y_test)

    def made(**options):
        if kind == "torch_module":
            return st.tasks.torch_module(lambda: None, flat[:2], flat[2:], outputs=["test_logits"], **options)
        return getattr(st.tasks, kind)(
            *((x, y, x_test, y_test) if kind == "cnn" else flat), outputs=["test_logits"], **options
        )

    with pytest.raises(
        InputError, match=r"^test label 3 never occurs in the training labels \(row 1 of y_test, 2 in all\)"
    ) as caught:
        made()
    assert "say classes=4" in str(caught.value)
    assert made(classes=4).outputs["test_logits"].shape == (4, 4)
    assert made(classes=6).outputs["test_logits"].shape == (4, 6)
    with pytest.raises(InputError, match=r"^y_test holds the label 3 \(row 1\), but classes=3 are numbered 0 to 2$"):
        made(classes=3)
    with pytest.raises(InputError, match="classes must be a whole number of at least 2, got 1"):
        made(classes=1)


def test_float_labels_and_texts_that_no_model_can_know_are_refused_too():
    x = np.arange(8.0).reshape(4, 2)
    with pytest.raises(InputError, match=r"^test label 2 never occurs"):
        st.tasks.ridge_head(x, [0.0, 1.0, 0.0, 1.0], x, [0.0, 1.0, 2.0, 1.0])
    with pytest.raises(InputError, match=r"^test label 'c' never occurs in the training labels"):
        st.tasks.mlp(x, list("abab"), x, list("abac"))
    with pytest.raises(InputError, match="classes=3 needs labels 0 to 2, y holds 'a'"):
        st.tasks.mlp(x, list("abab"), x, list("abac"), classes=3)


class Named:
    """A set as torchvision's are: it says what its classes are."""

    def __init__(self, labels):
        self.labels, self.classes = labels, ["a", "b", "c", "d"]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, k):
        return np.float32([k, 1]), int(self.labels[k])


def test_sets_that_declare_their_classes_may_lack_some_of_them():
    y, y_test = UNKNOWN
    train, test = Named(y), Named(y_test)
    for some in (train, torch.utils.data.Subset(train, range(12))):
        assert st.tasks.torch_module(lambda: None, some, test, outputs=["test_logits"]).outputs[
            "test_logits"
        ].shape == (4, 4)
    train.classes = ["a", "b", "c"]
    with pytest.raises(InputError, match=r"^test label 3 never occurs"):
        st.tasks.torch_module(lambda: None, train, test)


def test_built_in_digits_may_be_few():
    few = st.tasks.digits(n=4, targets=30)
    assert set(few.labels) < set(range(10))
    assert few.outputs["test_margins"].shape == (30,)


def test_own_images_that_hold_an_unknown_label_are_refused_however_few_are_taken(tmp_path):
    x = np.zeros((6, 4, 4, 3), np.uint8)
    y = np.array([0, 1, 2, 0, 1, 2])
    assert set(image_data([x, y, x, y], n=2)) == {"train", "test"}, "the others have it"
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y % 2, x_test=x, y_test=y)
    with pytest.raises(
        InputError, match=r"^test label 2 never occurs in the training labels \(row 2 of y_test, 2 in all\)"
    ):
        image_data(str(tmp_path / "own.npz"))
    assert image_data(str(tmp_path / "own.npz"), targets=2)["test"][1].tolist() == [0, 1]
