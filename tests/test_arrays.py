"""What training code may return or give in the place of an array: converted where nothing is lost, else said."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from subtrain import Design, Output, Study, margins
from subtrain.arrays import NoArrayError, as_array
from subtrain.errors import CollectError, InputError
from subtrain.outputs import SchemaError, check
from subtrain.tasks import batch, function

THREE = np.array([1.0, 2.0, 3.0])


class Stubborn:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("not today")


@pytest.mark.parametrize(
    "value",
    [
        [1, 2.0, np.float32(3)],
        (np.float64(1), np.array(2), 3),
        np.ma.array(THREE, mask=[False, False, False]),
        pd.Series(THREE, index=[7, 7, 8]),
        pd.Series([1, 2, 3], dtype="Int64"),
        pd.Categorical([1, 2, 3]),
        sparse.coo_array(THREE),
        range(1, 4),
        memoryview(THREE),
    ],
)
def test_what_holds_numbers_becomes_an_array(value):
    assert as_array(value).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "a NoneType"),
        ("abc", "a str"),
        ({"x": 1}, "a dict"),
        ({1, 2}, "a set"),
        ((x for x in range(3)), "a generator"),
        (Stubborn(), r"a Stubborn that does not become an array \(RuntimeError: not today\)"),
        ([np.ones(3), np.ones(2)], r"a list of unequal parts, of shapes \[3\] and \[2\]"),
        ([[1, 2], [3]], r"a list of unequal parts, of shapes \[2\] and \[1\]"),
        (np.ma.array(THREE, mask=[0, 1, 1]), "a masked array with 2 of 3 entries masked"),
        ([1.0, np.ma.masked], "a masked array with 1 of 1"),
        (np.array([1, None], object), r"an array \[2\] with 1 missing values"),
        (np.array([1, "x"], object), r"an array \[2\] with Python objects"),
        (pd.Categorical(["a", "b"]), "a Categorical"),
    ],
)
def test_what_holds_none_is_named(value, said):
    with pytest.raises(NoArrayError, match=f"^{said}"):
        as_array(value)


def test_tensors_of_every_kind():
    torch = pytest.importorskip("torch")
    one = torch.tensor(THREE)
    kinds = [
        one.float().requires_grad_(),
        one.to(torch.bfloat16),
        one.to_sparse(),
        [torch.tensor(v, requires_grad=True) for v in THREE],
        [torch.tensor(v, dtype=torch.bfloat16) for v in THREE],
        torch.nn.Parameter(one),
        torch.complex(one, one).conj().real,
    ]
    for kind in kinds:
        assert as_array(kind).tolist() == [1, 2, 3]
    assert as_array(one.to(torch.bfloat16)).dtype == np.float32
    with pytest.raises(NoArrayError, match=r"a Tensor that does not become an array .*meta"):
        as_array(torch.ones(3, device="meta"))
    with pytest.raises(NoArrayError, match=r"unequal parts, of shapes \[3\] and \[2\]"):
        as_array([torch.ones(3, requires_grad=True), torch.ones(2)])
    logits = torch.tensor([[1.0, 3.0], [5.0, 1.0]], requires_grad=True)
    assert margins(logits, torch.tensor([1, 1])).tolist() == [2, -4]


def test_margins_of_what_is_no_array():
    with pytest.raises(InputError, match="logits must be an array of numbers, got a NoneType"):
        margins(None, [0])


async def coroutine(indices, seed):
    return {"a": THREE}


def generator(indices, seed):
    yield {"a": THREE}


SCALAR = np.float64(3)
BAD = [
    (lambda i, s: {"a": THREE[:2]}, r"output a has shape \[2\], declared \[3\]"),
    (lambda i, s: {"a": THREE[:, None]}, r"output a has shape \[3, 1\], declared \[3\]"),
    (lambda i, s: {"a": SCALAR}, r"output a has shape \[\], declared \[3\]"),
    (lambda i, s: {"a": None}, r"output a is a NoneType; declared is an array \[3\] of float16"),
    (lambda i, s: {"a": THREE * 1j}, r"has dtype complex128, declared float16; its shape is \[3\], declared \[3\]"),
    (lambda i, s: {"a": THREE.astype("M8[s]")}, r"has dtype datetime64\[s\], declared float16"),
    (lambda i, s: {"a": ["x", "y", "z"]}, "has dtype <U1, declared float16"),
    (lambda i, s: {"b": THREE}, r"returned outputs \['b'\], but the task declares \['a'\]"),
    (lambda i, s: {"a": THREE, 7: THREE}, r"returned outputs \['7', 'a'\], but the task declares \['a'\]"),
    (lambda i, s: pd.DataFrame({"a": THREE}), "it returned DataFrame"),
    (coroutine, "it returned coroutine: it must not be async"),
    (generator, "it returned generator: it yields, where it should return"),
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("train", "said"), BAD)
def test_what_a_model_returns_is_checked_at_once(train, said):
    task = function(train, 4, {"a": [3]})
    with pytest.raises(SchemaError, match=said):
        task.train(np.ones((2, 4), bool), np.zeros(2, np.uint32))


def test_any_mapping_will_do():
    task = function(lambda i, s: OrderedDict(a=pd.Series(THREE)), 4, {"a": [3]})
    assert task.train(np.ones((2, 4), bool), np.zeros(2, np.uint32))["a"].tolist() == [[1, 2, 3]] * 2


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ([THREE, THREE[:2]], r"output a of model 5 is a list of unequal parts.*declared is an array \[3\] of float16"),
        (None, "output a of model 5 is a NoneType"),
        (np.ma.masked_greater(np.ones((2, 3)), 0), "output a of model 5 is a masked array with 6 of 6 entries masked"),
    ],
)
def test_many_at_once(returned, said):
    with pytest.raises(SchemaError, match=said):
        check({"a": Output([3])}, {"a": returned}, [5, 6])


@pytest.mark.parametrize("many", [False, True])
def test_a_bad_return_value_ends_the_collection_once(tmp_path, many):
    trained = tmp_path / "trained"

    def one(indices, seed):
        with open(trained, "a") as file:
            file.write("1\n")
        return {"a": [THREE, THREE[:2]]}

    task = batch(one, 10, {"a": [3]}, 4) if many else function(one, 10, {"a": [3]})
    study = Study.create(tmp_path / "study", task, Design(models=100, heldout=0), segment=10)
    with pytest.raises(CollectError, match=r"of unequal parts, of shapes \[3\] and \[2\]; declared is an array \[3\]"):
        study.collect(workers=1, progress=False)
    assert len(trained.read_text().split()) == 1
