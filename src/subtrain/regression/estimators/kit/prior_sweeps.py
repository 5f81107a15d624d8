"""Sweeps over the weights, each followed by what it teaches of their prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subtrain.regression.counting.threads import Progress
from subtrain.regression.estimators.kit.dense_problem import Dense
from subtrain.regression.estimators.kit.learned_prior import Prior
from subtrain.regression.estimators.kit.normal_mixtures import MIXTURE, MixtureState, start, sweep
from subtrain.regression.estimators.kit.pairs import Pairs

# Sweeps at rank 1 before the scales are split; sweeps before means count, which then move after every second sweep;
# updates of the scales after each sweep.
WARM, MEANS, EVERY, UPDATES = 10, 8, 2, 2


@dataclass(frozen=True)
class Rules:
    """most: sweeps at most; every: of them between moves of the means; tol: relative change of the weights at which
    they end; seed: of the split into ranks."""

    most: int
    every: int
    tol: float
    seed: int
    threads: int | None


@dataclass(frozen=True, eq=False)
class Learned:
    """Weights as the sweeps left them, the prior that they taught, and how many there were."""

    state: MixtureState
    prior: Prior
    sweeps: int


def learn(task: Dense, models: int, rank: int, pairs: Pairs, rules: Rules, progress: Progress | None) -> Learned:
    """Sweeps, each followed by what it teaches of the scales, until little moves."""
    state = start(task)
    level = task.variance / max(2.0 * np.trace(task.covariance), np.finfo(float).tiny)
    prior = Prior(level, task.rho.shape[1], pairs)
    most = min(rank, *task.rho.shape)
    for k in range(rules.most):
        if k == WARM and most > 1:
            prior.split(most, rules.seed)
        before = state.coef.copy()
        sweep(task, models, prior.center, prior.variances(), state, rules.threads)
        mixed = float(state.share @ MIXTURE)
        for _ in range(UPDATES):
            prior.update(state.seen, state.blur, mixed)
        if k >= MEANS and k % rules.every == 0:
            prior.update_means(state.seen, state.blur, mixed, rules.threads)
        if progress:
            progress(f"rank {rank}", k + 1, rules.most)
        if k > WARM and np.linalg.norm(state.coef - before) <= rules.tol * np.linalg.norm(state.coef):
            break
    return Learned(state, prior, k + 1)
