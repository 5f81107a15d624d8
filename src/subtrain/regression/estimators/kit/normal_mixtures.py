"""Posterior means of weights under normal-mixture priors, one coordinate after another (mr.ash; Kim et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subtrain.regression.counting.threads import each, thread_count
from subtrain.regression.estimators.kit.dense_problem import Dense
from subtrain.system.kernel import kernel
from subtrain.system.types import Floats

# Prior variances of a weight over the scale that its unit and target give it: from none to a heavy tail.
MIXTURE = np.array([0.0, 0.05, 0.3, 1.0, 3.0, 10.0])
UNITS, TARGETS = 64, 32
# Share of a target's variance below which its noise is not believed to lie: more weights than models could fit it all.
LEAST_NOISE = 1e-3


@dataclass(eq=False)
class MixtureState:
    """What sweeps change. coef: [T, n], posterior means; pull: [T, n], rho - covariance coef; noise: [T], variance that
    the weights leave; share: [K], of the components of the mixture. Of the last sweep: seen [T, n], each weight as the
    data alone give it, with variance blur [T, n], inf where they say nothing (constant units and targets); moved [T],
    the variance that its changes are worth."""

    coef: Floats
    pull: Floats
    noise: Floats
    share: Floats
    seen: Floats
    blur: Floats
    moved: Floats


def start(task: Dense) -> MixtureState:
    """No weights, all variance noise."""
    targets, n = task.rho.shape
    size = len(MIXTURE)
    empty = np.zeros((targets, n))
    return MixtureState(
        coef=empty,
        pull=task.rho.copy(),
        noise=task.variance.copy(),
        share=np.full(size, 1.0 / size),
        seen=empty.copy(),
        blur=np.full((targets, n), np.inf),
        moved=np.zeros(targets),
    )


def sweep(
    task: Dense, models: int, center: Floats, scale: Floats, state: MixtureState, threads: int | None = None
) -> None:
    """Update every weight once, given prior means center and variances scale [T, n] times MIXTURE; then the noise and
    the mixture.

    Blocks of units are updated against what the others predict, which a matrix product brings up to date afterwards.
    """
    targets, n = task.rho.shape
    curvature = np.diag(task.covariance).copy()
    live = np.ix_(task.variance > 0, curvature > 0)
    state.blur[live] = np.divide.outer(state.noise, models * np.maximum(curvature, np.finfo(float).tiny))[live]
    spread = np.zeros(targets)
    starts = range(0, targets, TARGETS)
    given = np.zeros((len(starts), state.share.size))
    state.moved[:] = 0.0
    for first in range(0, n, UNITS):
        units = slice(first, min(first + UNITS, n))
        block = np.ascontiguousarray(task.covariance[units, units])
        change = np.zeros((targets, block.shape[0]))

        def update(k: int, units: slice = units, block: Floats = block, change: Floats = change) -> None:
            some = slice(k * TARGETS, (k + 1) * TARGETS)
            local = state.pull[some, units].copy()
            coef, seen = state.coef[some, units], state.seen[some, units]
            prior = center[some, units], scale[some, units]
            blur = state.blur[some, units]
            update_block(local, coef, seen, blur, *prior, block, state.share, spread[some], change[some], given[k])

        each(update, list(range(len(starts))), thread_count(threads), lambda _: None)
        state.pull -= change @ task.covariance[units]
        state.moved += np.einsum("tb,b,tb->t", change, np.diag(block), change)
    state.share = (given.sum(axis=0) + 1.0) / (given.sum() + state.share.size)
    left = task.variance - np.einsum("tn,tn->t", state.coef, task.rho + state.pull) + spread
    state.noise = np.maximum(left, LEAST_NOISE * task.variance)


@kernel
def posterior_moments(
    off: float, blur: float, scale: float, prior: Floats, odds: Floats, given: Floats
) -> tuple[float, float]:
    """Posterior mean and second moment, about the center, of a weight seen `off` from it with noise of variance blur.

    Its prior is the mixture of normals of variances scale * MIXTURE and log shares prior [K]; odds [K]: scratch; given
    [K] gains the responsibilities. 1. How likely each component is; 2. the moments, O(K) each.
    """
    # 1. The components.
    most, total = -np.inf, 0.0
    for k in range(prior.size):
        a = blur + scale * MIXTURE[k]
        odds[k] = prior[k] - 0.5 * (np.log(a) + off * off / a)
        most = max(most, odds[k])
    for k in range(prior.size):
        odds[k] = np.exp(odds[k] - most)
        total += odds[k]
    # 2. The moments.
    mean, second = 0.0, 0.0
    for k in range(prior.size):
        p, a = odds[k] / total, scale * MIXTURE[k]
        kept = a / (a + blur)
        mean += p * kept * off
        second += p * (kept * kept * off * off + kept * blur)
        given[k] += p
    return mean, second


@kernel
def update_block(
    pull: Floats,
    coef: Floats,
    seen: Floats,
    blur: Floats,
    center: Floats,
    scale: Floats,
    covariance: Floats,
    share: Floats,
    spread: Floats,
    change: Floats,
    given: Floats,
) -> None:
    """Coordinate updates within a block of b units. pull: scratch [T, b]; coef, seen: [T, b], written; blur,
    center, scale: [T, b]; covariance: [b, b]; spread [T] gains the predictions' posterior variance, given [K] the
    responsibilities.

    For each target and unit (Kim et al. 2024, section 3): 1. what the data alone say of the weight, O(1); 2. how likely
    each of the K components is, O(K); 3. the posterior mean and second moment, O(K); 4. the step, and the pull of the
    other units, O(b).
    """
    odds, prior = np.empty(share.size), np.log(share)
    for t in range(pull.shape[0]):
        for j in range(covariance.shape[0]):
            v, s = blur[t, j], scale[t, j]
            if v == np.inf:
                continue
            # 1. The weight as the data give it.
            z = coef[t, j] + pull[t, j] / covariance[j, j]
            # 2. and 3. The components, and the posterior.
            mean, second = posterior_moments(z - center[t, j], v, s, prior, odds, given)
            seen[t, j] = z
            spread[t] += covariance[j, j] * (second - mean * mean)
            # 4. The step.
            step = center[t, j] + mean - coef[t, j]
            coef[t, j] += step
            change[t, j] = step
            for i in range(covariance.shape[0]):
                pull[t, i] -= covariance[j, i] * step
