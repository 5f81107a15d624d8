"""Paths from a compact Gram are those from the dense one: rates far apart, escaped counts, many models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from subtrain.masks import pack
from subtrain.regression.counting.compact_gram import ESCAPED, CompactGram
from subtrain.regression.counting.count_stream import count
from subtrain.regression.counting.counts import Counts, gram_kind
from subtrain.regression.lasso.path import lasso_path, solve_at
from subtrain.regression.lasso.validation_error import validation_models


def world(m: int = 900, n: int = 130, targets: int = 3, even: bool = False):
    random = np.random.default_rng(11)
    masks = random.random((m, n)) < (0.5 if even else random.uniform(0.05, 0.95, n))
    masks[:, 7] = masks[:, 3] ^ (random.random(m) < 0.02)
    weight = random.normal(size=(n, targets)) * (random.random((n, targets)) < 0.2)
    return masks, masks @ weight + random.normal(size=(m, targets))


def with_escapes(counts: Counts, pairs: list[tuple[int, int]]) -> Counts:
    """The same counts, some of them kept apart as those of a larger study would be."""
    gram = counts.gram
    deviation = gram.deviation.copy()
    exact = np.asarray(gram)
    keys = sorted(max(i, j) * gram.n + min(i, j) for i, j in pairs)
    for i, j in pairs:
        deviation[i, j] = deviation[j, i] = ESCAPED
    value = np.array([exact[key // gram.n, key % gram.n] for key in keys], np.int64)
    held = CompactGram(gram.m, deviation, gram.rate, gram.ones, np.array(keys, np.int64), value)
    np.testing.assert_array_equal(np.asarray(held), exact)
    return replace(counts, gram=held)


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("pairs", [[], [(3, 7), (5, 90), (129, 0), (64, 65)]])
def test_every_lambda_is_that_of_the_dense_gram(even: bool, pairs: list[tuple[int, int]]) -> None:
    masks, y = world(even=even)
    train, valid = slice(200, None), validation_models(pack(masks[:200]), y[:200])
    dense = lasso_path(count(masks[train], y[train]), valid, 40, tol=1e-7, keep=True)
    counts = with_escapes(count(masks[train], y[train], gram="compact"), pairs)
    compact = lasso_path(counts, valid, 40, tol=1e-7, keep=True)
    assert compact.gap.max() <= 1e-7
    np.testing.assert_array_equal(compact.best, dense.best)
    np.testing.assert_allclose(compact.weights, dense.weights, atol=2e-3 * np.abs(dense.weights).max())
    np.testing.assert_allclose(compact.error, dense.error, rtol=1e-4)


def test_the_certificate_of_a_compact_gram_holds_on_the_masks() -> None:
    masks, y = world()
    counts = with_escapes(count(masks, y, gram="compact"), [(3, 7), (10, 11), (100, 20)])
    path = solve_at(counts, 0.05, tol=1e-6)
    scale = masks.std(axis=0)
    x = (masks - masks.mean(axis=0)) / scale
    for t in range(3):
        centered = y[:, t] - y[:, t].mean()
        coef = path.weight[t] * scale
        left = centered - x @ coef
        pull = np.abs(x.T @ left).max() / len(x)
        dual = min(left @ centered / (left @ left), 0.05 / pull)
        primal = left @ left / len(x) / 2 + 0.05 * np.abs(coef).sum()
        gap = primal - (dual * (left @ centered) - dual**2 * (left @ left) / 2) / len(x)
        relative = 2 * gap / centered.var()
        assert relative <= 1.1e-6
        assert relative == pytest.approx(path.gap[t, 0], abs=1e-7)


def test_small_grams_are_dense_and_large_ones_compact() -> None:
    assert gram_kind(8_192) == "dense"
    assert gram_kind(8_193) == "compact"
    counts = count(np.eye(6, dtype=bool), np.zeros(6), gram="compact")
    assert isinstance(counts.gram, CompactGram)
