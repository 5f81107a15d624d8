"""Lemma 1 of the datamodels paper: for half-size subsets, least squares is a difference of means up to a factor.

With masks coded +1 (in) and -1 (out), |(1 + 2/n) w_OLS - w_infl / 2| -> 0, where w_infl(j) is the mean output of the
models that hold j minus that of those that do not. In 0/1 masks w_OLS is twice as large.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from subtrain.regression import count


def least_squares(masks: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Weights of +-1 masks; the least-norm ones, as the entries of a half-size mask sum to 0."""
    return np.linalg.lstsq(2.0 * masks - 1.0, y - y.mean(axis=0), rcond=None)[0]


def influence(masks: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Difference of means [n, T], from the counts that every estimator here shares."""
    counts = count(masks, y)
    ones = counts.ones[:, None]
    return counts.xty / ones - (counts.y_sum - counts.xty) / (counts.m - ones)


def lemma(masks: np.ndarray, y: np.ndarray) -> float:
    n = masks.shape[1]
    return float(np.linalg.norm((1 + 2 / n) * least_squares(masks, y) - influence(masks, y) / 2))


@pytest.mark.parametrize("n", [4, 6, 8, 10, 12])
def test_over_all_half_size_subsets_the_factor_is_n_over_n_minus_1(n: int) -> None:
    """The limit of many models, without sampling and for any output, linear or not: 1 + 1/(n - 1), not 1 + 2/n."""
    masks = np.zeros((len(list(combinations(range(n), n // 2))), n), bool)
    for row, units in zip(masks, combinations(range(n), n // 2), strict=True):
        row[list(units)] = True
    y = np.random.default_rng(n).normal(size=(len(masks), 2))
    ols = least_squares(masks, y)
    np.testing.assert_allclose(influence(masks, y) / 2, n / (n - 1) * ols, atol=1e-12)
    assert lemma(masks, y) == pytest.approx(abs(1 / (n - 1) - 2 / n) * np.linalg.norm(ols))


def test_the_difference_vanishes_as_units_and_models_grow() -> None:
    random = np.random.default_rng(0)
    distances = []
    for n in (6, 18, 54):
        masks = random.random((40 * n * n, n)).argsort(axis=1) < n // 2
        weight = random.normal(size=n)
        noise = 0.1 * random.normal(size=len(masks))
        distances.append(lemma(masks, (masks @ (weight / np.linalg.norm(weight)) + noise)[:, None]))
    assert distances[0] > 2 * distances[1] > 4 * distances[2]
    assert distances[2] < 0.02
