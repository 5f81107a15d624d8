"""Validation from packed masks, against predictions made with numpy; grouped lambdas against lambdas one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from subtrain.errors import InputError
from subtrain.masks import pack
from subtrain.regression.counting.count_stream import count
from subtrain.regression.lasso.path import lasso_path, solve_at
from subtrain.regression.lasso.validation_error import ValidationModels, by_unit, validation_models


def sparse_world(m: int, n: int, targets: int, seed: int = 0):
    random = np.random.default_rng(seed)
    masks = random.random((m, n)) < 0.5
    weight = np.zeros((n, targets))
    for t in range(targets):
        weight[random.choice(n, 8, replace=False), t] = random.normal(size=8)
    return masks, masks @ weight + 0.7 * random.normal(size=(m, targets)) + 50.0


@pytest.mark.parametrize(("m", "n"), [(1, 5), (63, 64), (256, 130), (700, 513)])
def test_bits_are_turned(m: int, n: int) -> None:
    masks = np.random.default_rng(m).random((m, n)) < 0.5
    turned = by_unit(pack(masks))
    bits = np.unpackbits(turned.view(np.uint8), axis=1, bitorder="little")
    np.testing.assert_array_equal(bits[:, :m], masks.T)
    assert not bits[:, m:].any()


@pytest.mark.parametrize("size", [40, 256, 700])
def test_the_error_of_validation_models_is_that_of_the_predictions(size: int) -> None:
    masks, y = sparse_world(1000 + size, 300, 3)
    y[:1000, 1] = 4.0
    got = lasso_path(count(masks[size:], y[size:]), validation_models(pack(masks[:size]), y[:size]), 20, keep=True)
    for t in range(3):
        predicted = masks[:size] @ got.weights[t].T + got.biases[t]
        want = ((y[:size, t, None] - predicted) ** 2).mean(axis=0)
        np.testing.assert_allclose(got.error[t], want, rtol=1e-5)
        assert got.best[t] == np.argmin(want)


def test_judges_choose_as_their_counts_do() -> None:
    masks, y = sparse_world(1500, 200, 6)
    train = count(masks[300:], y[300:])
    counted = lasso_path(train, count(masks[:300], y[:300]), 60, early_stop=5)
    held = lasso_path(train, validation_models(pack(masks[:300]), y[:300]), 60, early_stop=5)
    np.testing.assert_array_equal(held.best, counted.best)
    np.testing.assert_array_equal(held.weight, counted.weight)
    np.testing.assert_allclose(held.error, counted.error, rtol=1e-5)


@pytest.mark.parametrize("tol", [1e-3, 1e-6, 1e-11])
def test_lambdas_solved_together_are_the_lambdas_solved_alone(tol: float) -> None:
    """At 400 units and few non-zero weights lambdas go in groups; one at a time they cannot."""
    masks, y = sparse_world(1200, 400, 2)
    counts = count(masks, y)
    path = lasso_path(counts, lambdas=24, eps=0.1, tol=tol, keep=True)
    assert path.gap.max() <= tol
    for k in range(0, 24, 5):
        alone = solve_at(counts, path.lambdas[:, k], tol=1e-13)
        error = np.abs(path.weights[:, k] - alone.weight).max()
        assert error <= 3 * np.sqrt(tol) * np.abs(alone.weight).max() + 1e-9


def test_judges_of_something_else_are_refused() -> None:
    masks, y = sparse_world(60, 20, 2)
    counts = count(masks, y)
    with pytest.raises(InputError, match="60 masks but outputs of 59 models"):
        validation_models(pack(masks), y[:59])
    with pytest.raises(InputError, match="target 1 is nan in the model at position 3"):
        validation_models(pack(masks), np.where(np.arange(120).reshape(60, 2) == 7, np.nan, y))
    with pytest.raises(InputError, match="do not match"):
        lasso_path(counts, validation_models(pack(masks[:, :19]), y))
    with pytest.raises(InputError, match="no validation models"):
        lasso_path(counts, ValidationModels(pack(masks)[:0], y[:0]))


def test_counts_without_a_gram_have_no_path() -> None:
    masks, y = sparse_world(60, 20, 1)
    with pytest.raises(InputError, match="made without a Gram"):
        lasso_path(replace(count(masks, y), gram=np.zeros((0, 0), np.int32)))
