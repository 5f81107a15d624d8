"""Mean differences against means of the rows themselves."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from subtrain.regression import FitWarning
from subtrain.regression.estimators.mean_difference import MeanDifference


def test_it_is_the_difference_of_two_means() -> None:
    random = np.random.default_rng(0)
    masks = random.random((400, 30)) < 0.3
    correct = random.random((400, 5)) < 0.4 + 0.3 * masks[:, :5]
    model = MeanDifference().fit(masks, correct)
    for j in range(30):
        inside, outside = correct[masks[:, j]], correct[~masks[:, j]]
        np.testing.assert_allclose(model.weight_[j], inside.mean(axis=0) - outside.mean(axis=0), atol=1e-14)
    assert np.all(np.diag(model.weight_[:5]) > 0.1)
    np.testing.assert_allclose(model.predict(masks).mean(axis=0), correct.mean(axis=0))
    assert not model.lam_.any()
    assert not model.gap_.any()


def test_on_all_subsets_it_is_the_banzhaf_value() -> None:
    """Wang & Jia: the mean over subsets of the others of what the unit adds."""
    units = 5
    masks = np.array([[s >> j & 1 for j in range(units)] for s in range(2**units)], bool)

    def game(members) -> float:
        return len(members) ** 2 + 3.0 * (0 in members and 1 in members) - (4 in members)

    y = np.array([game(np.flatnonzero(mask)) for mask in masks])
    model = MeanDifference().fit(masks, y)
    for j in range(units):
        others = [k for k in range(units) if k != j]
        subsets = [set(c) for size in range(units) for c in combinations(others, size)]
        banzhaf = np.mean([game(s | {j}) - game(s) for s in subsets])
        assert model.weight_[j, 0] == pytest.approx(banzhaf)
    assert model.predict(masks).shape == (32,)


def test_units_always_or_never_in_are_counted_and_weigh_nothing() -> None:
    random = np.random.default_rng(1)
    masks = random.random((100, 8)) < 0.5
    masks[:, 2], masks[:, 6] = True, False
    with pytest.warns(FitWarning, match="2 of 8 units are in every mask or in none"):
        model = MeanDifference().fit(masks, random.normal(size=(100, 2)))
    assert model.constant_units_.tolist() == [2, 6]
    assert not model.weight_[[2, 6]].any()
    assert np.all(model.weight_[[0, 1, 3, 4, 5, 7]] != 0)
