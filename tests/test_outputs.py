"""Margins, losses and correctness by their formulas; what a task returns, checked before it is stored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from sklearn.metrics import log_loss

from subtrain import Output, correctness, cross_entropy, margins
from subtrain.errors import InputError
from subtrain.outputs import SchemaError, check, declare, from_logits
from subtrain.quantities import QUANTITIES, parse_name

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(scale=4, size=(5, 40, 7))
LABELS = RANDOM.integers(0, 7, 40)


def others(logits: np.ndarray, label: int) -> list[float]:
    return [float(z) for c, z in enumerate(logits) if c != label]


def test_margins_by_the_formula():
    largest, soft = margins(LOGITS, LABELS), margins(LOGITS, LABELS, "logsumexp")
    assert largest.shape == soft.shape == (5, 40)
    for m, t in np.ndindex(5, 40):
        z, y = LOGITS[m, t], LABELS[t]
        assert largest[m, t] == z[y] - max(others(z, y))
        assert np.isclose(soft[m, t], z[y] - logsumexp(others(z, y)), rtol=1e-12)
        assert soft[m, t] < largest[m, t]


def test_two_classes_leave_one_other():
    logits, labels = np.array([[1.0, 3.0], [2.0, -1.0]]), np.array([1, 1])
    for kind in ("max", "logsumexp"):
        assert margins(logits, labels, kind).tolist() == [2.0, -3.0]


def test_losses_are_cross_entropy():
    losses = cross_entropy(LOGITS, LABELS)
    for m in range(5):
        assert np.isclose(losses[m].mean(), log_loss(LABELS, softmax(LOGITS[m]), labels=range(7)))
    assert np.isclose(losses, -np.log(1 / (1 + np.exp(-margins(LOGITS, LABELS, "logsumexp"))))).all()


def softmax(z: np.ndarray) -> np.ndarray:
    return np.exp(z - logsumexp(z, axis=1, keepdims=True))


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 5), st.sampled_from([1.0, 30.0, 300.0]))
def test_large_logits_stay_finite(classes, scale):
    random = np.random.default_rng(classes)
    logits, labels = random.normal(scale=scale, size=(20, classes)), random.integers(0, classes, 20)
    for name in ("margins", "losses", "correctness"):
        assert np.isfinite(QUANTITIES[name](logits, labels)).all()
    assert np.allclose(
        margins(logits, labels, "logsumexp"),
        [z[y] - logsumexp(others(z, y)) for z, y in zip(logits, labels, strict=True)],
    )


def test_correctness_needs_the_strictly_largest_logit():
    logits = np.array([[1.0, 2.0, 0.0], [2.0, 2.0, 0.0], [0.0, 1.0, 3.0]])
    assert correctness(logits, np.array([1, 1, 1])).tolist() == [1.0, 0.0, 0.0]
    assert np.array_equal(correctness(LOGITS, LABELS), LOGITS.argmax(axis=-1) == LABELS)


def test_dtypes_and_inputs_are_kept():
    before = LOGITS.copy()
    assert margins(LOGITS.astype(np.float16), LABELS).dtype == np.float16
    assert margins(LOGITS.astype(np.float32), LABELS, "logsumexp").dtype == np.float32
    assert margins(np.array([[3, 1]]), np.array([0])).tolist() == [2.0]
    assert np.array_equal(LOGITS, before)


@pytest.mark.parametrize(
    ("logits", "labels", "sentence"),
    [
        (LOGITS, LABELS[:-1], "logits must be .* 39, classes. for 39 labels, got .5, 40, 7."),
        (LOGITS[..., :1], LABELS * 0, "at least two classes"),
        (LOGITS, LABELS + 1, r"labels must be in 0..6, found 1..7"),
        (LOGITS, LABELS - 1, r"labels must be in 0..6, found -1..5"),
        (LOGITS, LABELS.astype(float), "labels must be integers .N., got float64"),
        (LOGITS[0, :, 0], LABELS, "logits must be"),
    ],
)
def test_logits_and_labels_must_fit(logits, labels, sentence):
    for function in (margins, cross_entropy, correctness):
        with pytest.raises(InputError, match=sentence):
            function(logits, labels)


def test_unknown_margins_are_refused_before_training():
    for call in (
        lambda: margins(LOGITS, LABELS, "mean"),
        lambda: declare(["test_margins"], {"test": 3}, 2, "mean"),
    ):
        with pytest.raises(InputError, match="unknown margin 'mean'; choose from max, logsumexp"):
            call()


OF_LOGITS = [name for name, quantity in QUANTITIES.items() if not quantity.regression]


@pytest.mark.parametrize("quantity", OF_LOGITS)
def test_an_output_of_every_quantity_is_declared_made_and_stored(quantity):
    names = [f"test_{quantity}", f"train_{quantity}"]
    schema = declare(names, {"train": 3, "test": 40}, 7, "logsumexp")
    kind = QUANTITIES[quantity]
    for name, targets in zip(names, (40, 3), strict=True):
        assert schema[name].shape == kind.shape(targets, 7)
        assert schema[name].dtype == "float16"
        assert schema[name].meaning == kind.meaning(quantity, "logsumexp")
    found = from_logits(names, {"test": LOGITS, "train": LOGITS[:, :3]}, {"test": LABELS, "train": LABELS[:3]}, "max")
    assert np.array_equal(found[names[1]], found[names[0]][:, :3])
    stored = check(schema, found, range(5))
    assert list(stored) == names
    assert np.array_equal(stored[names[0]], found[names[0]].astype(np.float16))


def test_outputs_of_logits_are_these():
    names = ["test_margins", "test_logits", "test_correctness", "test_losses"]
    schema = declare(names, {"test": 40}, 7, "logsumexp")
    assert [schema[name].shape for name in names] == [(40,), (40, 7), (40,), (40,)]
    assert schema["test_margins"].meaning == "correct-class logit minus logsumexp of the other logits"
    found = from_logits(names, {"test": LOGITS}, {"test": LABELS}, "logsumexp")
    assert np.array_equal(found["test_margins"], margins(LOGITS, LABELS, "logsumexp"))
    assert np.array_equal(found["test_logits"], LOGITS)
    assert np.array_equal(found["test_correctness"], correctness(LOGITS, LABELS))
    assert np.array_equal(found["test_losses"], cross_entropy(LOGITS, LABELS))


def test_regression_declares_wide_predictions():
    schema = declare(["test_predictions"], {"test": 4}, None)
    assert schema == {"test_predictions": Output((4,), "float32", "predictions")}
    assert schema["test_predictions"].bytes == 16


@pytest.mark.parametrize(
    ("names", "classes", "sentence"),
    [
        (["test_predictions"], 3, "'test_predictions' does not suit a classification task"),
        (["test_margins"], None, "'test_margins' does not suit a regression task"),
        (["train_margins"], 3, "asks for the train split, but this task only has test"),
        (["margins"], 3, "unknown output 'margins'"),
        (["test_magic"], 3, "must be train_ or test_ followed by one of margins"),
        ([], 3, "no outputs were asked for"),
    ],
)
def test_outputs_that_cannot_be_declared(names, classes, sentence):
    with pytest.raises(InputError, match=sentence):
        declare(names, {"test": 4}, classes)


def test_names_are_split_once():
    assert parse_name("test_margins") == ("test", "margins")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (((0,),), r"shape \[0\] has no targets"),
        (((3, -1),), "cannot be negative"),
        (((3,), "complex64"), "numbers of at most 64 bits, got dtype complex64"),
        (((3,), "longdouble"), "at most 64 bits"),
        (((3,), "U4"), "must be numbers"),
        (((3,), "float99"), "must be one of numpy's, for example float16, got 'float99'"),
    ],
)
def test_outputs_that_cannot_be_stored(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        Output(*arguments)


def test_dtypes_have_one_name():
    assert {Output((2,), d).dtype for d in ("f4", ">f4", np.float32, "float32")} == {"float32"}
    assert Output((2,), ">f4") == Output((2,), "float32")
    assert Output(**Output((2, 3), bool, "x").to_json()) == Output((2, 3), "bool", "x")


SCHEMA = {"a": Output((3,), "float16"), "b": Output((), "int8")}


def returned(**changes: object) -> dict[str, object]:
    return {"a": np.zeros((2, 3)), "b": np.zeros(2)} | changes


def spoiled(place: tuple[int, int], value: float) -> np.ndarray:
    array = np.zeros((2, 3))
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ({"a": np.zeros((2, 3))}, r"returned outputs \['a'\], but the task declares \['a', 'b'\]"),
        (returned(c=np.zeros(2)), r"returned outputs \['a', 'b', 'c'\]"),
        (returned(a=np.zeros((2, 4))), r"output a of model 7 has shape \[4\], declared \[3\]"),
        (returned(a=np.zeros((3, 3))), r"output a has shape \[3, 3\] for 2 models, declared \[3\] each"),
        (returned(a=np.zeros(3)), r"output a has shape \[3\] for 2 models"),
        (returned(b=np.zeros((2, 1))), r"output b of model 7 has shape \[1\], declared \[\]"),
        (returned(a=np.full((2, 3), "x")), "output a of model 7 has dtype <U1, declared float16"),
        ([np.zeros((2, 3)), np.zeros(2)], "must return a dict of arrays, it returned list"),
        (None, "it returned NoneType"),
    ],
)
def test_what_was_not_declared_is_refused(bad, sentence):
    with pytest.raises(SchemaError, match=sentence):
        check(SCHEMA, bad, [7, 9])


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (returned(a=spoiled((1, 2), np.nan)), "output a of model 9 is nan at target 2"),
        (returned(a=spoiled((0, 1), -np.inf)), "output a of model 7 is -inf at target 1"),
        (returned(a=spoiled((1, 0), 65520.0)), "model 9 is 65520 at target 0, which float16 cannot hold"),
        (returned(a=spoiled((1, 0), -1e300)), "model 9 is -1e.300 at target 0, which float16 cannot hold"),
        (returned(b=np.array([1, 300])), "output b of model 9 is 300 at its only value, which int8 cannot hold"),
        (returned(b=np.array([1, 2.5])), "output b of model 9 is 2.5 at its only value, which int8 cannot hold"),
    ],
)
def test_values_that_cannot_be_held_are_never_stored(bad, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        check(SCHEMA, bad, [7, 9])
    assert not isinstance(caught.value, SchemaError), "another model may well do better"


def test_values_at_the_edge_of_float16():
    stored = check(SCHEMA, returned(a=np.array([[65504.0, -65504.0, 65519.0], [1e-9, 0.1, -0.0]])), [7, 9])
    assert stored["a"].dtype == np.float16
    assert stored["a"][0].tolist() == [65504.0, -65504.0, 65504.0]
    assert check(SCHEMA, returned(b=[True, False]), [7, 9])["b"].tolist() == [1, 0]
