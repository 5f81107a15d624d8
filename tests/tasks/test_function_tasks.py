"""Tasks from plain functions, one model or many a call, and the words for what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest

from subtrain import Output
from subtrain.errors import InputError
from subtrain.outputs import SchemaError, check
from subtrain.tasks import batch, function
from subtrain.tasks.loading.load import is_task

MASKS = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
SEEDS = np.array([5, 2**32 - 1, 0], np.uint32)


def test_a_function_gets_the_indices_and_the_seed_of_each_model():
    calls = []

    def train(indices, seed):
        calls.append((indices.tolist(), indices.dtype, seed, type(seed)))
        return {"test_margins": [float(seed), len(indices)], "loss": 1.0}

    task = function(train, 4, {"test_margins": [2], "loss": Output((), "float64")})
    assert is_task(task)
    assert (task.n, task.batch) == (4, 1)
    assert task.outputs["test_margins"] == Output((2,), "float16")
    found = task.train(MASKS, SEEDS)
    assert calls == [
        ([0, 2, 3], np.int64, 5, int),
        ([], np.int64, 2**32 - 1, int),
        ([0, 1, 2, 3], np.int64, 0, int),
    ]
    assert found["test_margins"].tolist() == [[5.0, 3.0], [2.0**32 - 1, 0.0], [0.0, 4.0]]
    assert found["loss"].shape == (3,)
    assert check(task.outputs, task.train(MASKS[:1], SEEDS[:1]), [0])["loss"].tolist() == [1.0]


def test_a_batch_function_gets_the_masks_as_they_are():
    def train(masks, seeds):
        return {"a": masks.sum(axis=1)[:, None] + seeds[:, None]}

    task = batch(train, 4, {"a": (1,)}, size=32)
    assert (task.n, task.batch) == (4, 32)
    assert task.train(MASKS, np.array([1, 2, 3], np.uint32))["a"].tolist() == [[4], [2], [7]]


@pytest.mark.parametrize("returned", [[1.0, 2.0], None, np.zeros(2), 3.0])
def test_a_function_must_return_a_dict(returned):
    task = function(lambda indices, seed: returned, 4, {"a": (2,)})
    with pytest.raises(SchemaError, match=f"must return a dict of arrays, it returned {type(returned).__name__}"):
        task.train(MASKS, SEEDS)


@pytest.mark.parametrize("make", [function, batch])
@pytest.mark.parametrize(
    ("n", "outputs", "sentence"),
    [
        (1, {"a": (2,)}, "at least 2 training examples, got n = 1"),
        (2.5, {"a": (2,)}, "at least 2 training examples, got n = 2.5"),
        (4, {}, "must declare at least one output"),
        (4, ["test_margins"], "must declare at least one output with its shape"),
        (4, {"a": "wide"}, "output 'a' must be declared by its shape, for example .100., not 'wide'"),
        (4, {"a": None}, "output 'a' must be declared by its shape"),
        (4, {"a": {"size": 3}}, "output 'a' must be declared by its shape"),
        (4, {3: (2,)}, "output name 3 must be a plain word"),
        (4, {"test margins": (2,)}, "output name 'test margins' must be a plain word"),
        (4, {"../a": (2,)}, "must be a plain word"),
        (4, {"a": (0,)}, "no targets"),
    ],
)
def test_tasks_that_cannot_be(make, n, outputs, sentence):
    with pytest.raises(InputError, match=sentence):
        make(lambda a, b: {}, n, outputs)


def test_outputs_may_be_declared_in_every_form():
    forms = {"a": 3, "b": np.int64(3), "c": [3], "d": {"shape": [3], "dtype": "float16"}, "e": Output((3,))}
    task = function(lambda indices, seed: {}, 4, forms)
    assert set(task.outputs.values()) == {Output((3,), "float16")}
