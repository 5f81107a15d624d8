"""Small games whose values are known by going through every coalition."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from subtrain import Output
from subtrain.tasks import BatchTask, batch

Utility = Any


def coalitions(n: int) -> np.ndarray:
    """bool [2^n, n]"""
    return np.array(list(product([False, True], repeat=n)))


def polynomial(n: int, order: int, seed: int = 0) -> Utility:
    """A game with interactions among up to `order` units, drawn at random: utility(masks [k, n]) -> [k]."""
    random = np.random.default_rng(seed)
    terms = [(random.choice(n, size, replace=False), random.normal()) for size in range(1, order + 1) for _ in range(n)]

    def utility(masks: np.ndarray) -> np.ndarray:
        return sum(weight * masks[:, units].all(axis=1) for units, weight in terms) + 0.5

    return utility


def marginal(utility: Utility, n: int, alpha: float) -> np.ndarray:
    """E[utility with unit - utility without] where every other unit is in with probability alpha, [n]."""
    every = coalitions(n)
    found = []
    for unit in range(n):
        others = np.delete(every, unit, axis=1)[~every[:, unit]].sum(axis=1)
        chance = alpha**others * (1 - alpha) ** (n - 1 - others)
        without = every[~every[:, unit]]
        with_unit = without.copy()
        with_unit[:, unit] = True
        found.append(float(chance @ (utility(with_unit) - utility(without))))
    return np.array(found)


def shapley(utility: Utility, n: int) -> np.ndarray:
    """By definition, over coalitions of every size with the same chance."""
    from math import comb

    every = coalitions(n)
    found = []
    for unit in range(n):
        without = every[~every[:, unit]]
        with_unit = without.copy()
        with_unit[:, unit] = True
        chance = np.array([1 / (n * comb(n - 1, size)) for size in without.sum(axis=1).tolist()])
        found.append(float(chance @ (utility(with_unit) - utility(without))))
    return np.array(found)


def task(utility: Utility, n: int) -> BatchTask:
    """The game as a task with one output, `value` [1]."""

    def train(masks: np.ndarray, seeds: np.ndarray) -> dict[str, Any]:
        return {"value": utility(masks)[:, None]}

    return batch(train, n, {"value": Output((1,), "float64")}, 64)
