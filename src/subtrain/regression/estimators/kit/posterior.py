"""How well weights are known: standard deviations of a learned prior's posterior, from counts of the models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subtrain.regression.counting.threads import each, thread_count
from subtrain.regression.estimators.kit.dense_problem import Dense
from subtrain.regression.estimators.kit.learned_prior import Prior
from subtrain.regression.estimators.kit.normal_mixtures import MIXTURE, posterior_moments
from subtrain.regression.estimators.kit.pairs import Pairs
from subtrain.regression.estimators.kit.prior_sweeps import Learned
from subtrain.regression.lasso.problem import Problem
from subtrain.regression.mask_covariance import MaskCovariance, covariance_of
from subtrain.regression.row_noise import Residuals, RowNoise
from subtrain.system.kernel import kernel
from subtrain.system.types import Floats

TARGETS = 32
# Rounds of the fixed point of the degrees of freedom, how far each goes, and the change at which they end.
ROUNDS, STEP, CLOSE = 40, 0.7, 1e-3
# Share of the models that a fit may use up; rounds in which scales are learned again.
MOST, RELEARN = 0.98, 3
# Targets whose correlations are looked at.
ALIKE = 256


@dataclass(frozen=True, eq=False)
class Channel:
    """Each weight by itself, as all models tell it: seen [T, n] is the true weight plus normal noise of variance blur
    [T]; freedom [T] counts the models that the fit used up."""

    seen: Floats
    blur: Floats
    freedom: Floats


def posterior_errors(
    task: Dense,
    plan: Problem,
    learned: Learned,
    known: Pairs,
    share: float = 1.0,
    threads: int | None = None,
    rows: RowNoise | None = None,
) -> Floats | None:
    """Root mean square error of every weight under the posterior, [T, n]; None where masks are drawn neither at random
    nor as the design says, and where one orthogonal set of them without pairs does not tell its noise.

    plan: whose models are counted; task: the problem that `learned` solves, which may be of what a guess leaves; share:
    of these weights that are used; rows: what the design says of the rows that are counted.

    The sweeps treat weights as independent given the data. Their means are good, but their variances and learned scales
    are too small with few models, so three things are done once the weights are there:

    1. What the models alone say of each weight, and its noise (`channel`), with the error of all other weights counted.
    2. The scales are learned again from these, in RELEARN rounds that begin from equal scales: more rounds would fit
       the noise. Means stay.
    3. Variance of each weight given both, plus the square of how far the weight that is used (`share` of the fitted
       one) lies from the mean. Uncertainty of the scales and means themselves is left out.
    """
    models, state, center = plan.counts.m, learned.state, learned.prior.center
    rows = rows or RowNoise()
    design = covariance_of(task.covariance, plan.mean, models, rows.crosstalk)
    if design is None or not rows.told(models, design.n - design.singular):
        return None
    found = channel(task, models, learned, design, threads, rows)
    prior, mixture = _scales(task, found, center, known, threads)
    mean, spread = np.empty_like(found.seen), np.empty_like(found.seen)
    _shrunk(found, center, prior.variances(), mixture, mean, spread, threads)
    spread += (mean - share * state.coef) ** 2
    # Nothing is known of a unit that all models hold, or none.
    spread[:, np.diag(task.covariance) <= 0] = np.inf
    spread[task.variance <= 0] = 0.0
    return np.sqrt(spread)


def channel(
    task: Dense,
    models: int,
    learned: Learned,
    design: MaskCovariance,
    threads: int | None = None,
    rows: RowNoise | None = None,
) -> Channel:
    """What is seen of each weight w: w + Σ⁻¹ X̃ᵀ(y − X̃w) / (m − 1 − df), with variance ‖y − X̃w‖² / p (m − 1 − df)².

    As in the de-biased LASSO; df, the divergence of the fit, is the sum over units of posterior variance over blur,
    which is a fixed point (Celentano, Montanari & Wei 2020). Of orthogonal sets of masks see `RowNoise`.
    """
    state, prior, rows = learned.state, learned.prior, rows or RowNoise()
    # Sums over models.
    pull = models * np.ascontiguousarray(design.solve(state.pull.T).T)
    gain = np.einsum("tn,tn->t", state.pull, pull)
    left = task.variance - np.einsum("tn,tn->t", state.coef, task.rho + state.pull)
    rest = models * np.maximum(left, 0.0)
    freedom = np.zeros(len(pull))
    scale, seen = prior.variances(), np.empty_like(pull)
    mean, spread = np.empty_like(pull), np.empty_like(pull)
    for _ in range(ROUNDS):
        np.divide(pull, np.maximum(rows.left(models, freedom), 1.0)[:, None], out=seen)
        seen += state.coef
        left_over = Residuals(models, design.n - design.singular, rest, gain, freedom)
        variance, _ = rows.variance(left_over)
        found = Channel(seen, variance * design.precision / models, freedom)
        _shrunk(found, prior.center, scale, state.share, mean, spread, threads)
        used = np.divide(spread.sum(axis=1), found.blur, out=np.zeros_like(freedom), where=found.blur > 0)
        change = STEP * (np.minimum(used, MOST * (models - 1.0)) - freedom)
        freedom = freedom + change
        if np.abs(change).max(initial=0.0) <= CLOSE * models:
            break
    return found


def _scales(task: Dense, found: Channel, center: Floats, known: Pairs, threads: int | None) -> tuple[Prior, Floats]:
    """Scales of rank 1 and shares of the mixture, learned from what is seen about these means."""
    share = np.full(MIXTURE.size, 1.0 / MIXTURE.size)
    live = task.variance > 0
    prior = Prior(_level(task, found, center, live) / float(share @ MIXTURE), found.seen.shape[1], known)
    prior.center = center
    blur = np.broadcast_to(np.where(live, found.blur, np.inf)[:, None], found.seen.shape)
    mean, spread = np.empty_like(found.seen), np.empty_like(found.seen)
    for _ in range(RELEARN):
        given = _shrunk(found, center, prior.variances(), share, mean, spread, threads)
        share = (given + 1.0) / (given.sum() + share.size)
        for _ in range(2):
            prior.update(found.seen, blur, float(share @ MIXTURE))
    return prior, share


def _level(task: Dense, found: Channel, center: Floats, live: NDArray[np.bool_]) -> Floats:
    """Variance of each target's weights about these means, [T], the same share of each target's variance.

    From all targets together, as what is seen varies by more than its noise; and one standard error more, for of few
    models the noise is most of it. Targets that are alike count as one: as many as the eigenvalues of their
    correlations (some of many targets stand for all).
    """
    if not live.any():
        return np.ones(live.size)
    off = (found.seen - center)[live]
    noise = float(np.mean(found.blur[live] / task.variance[live]))
    part = float(np.mean(np.mean(off**2, axis=1) / task.variance[live])) - noise
    some = off[:: max(1, len(off) // ALIKE)]
    some = some / np.maximum(np.linalg.norm(some, axis=1, keepdims=True), np.finfo(float).tiny)
    apart = len(some) ** 2 / float(np.square(some @ some.T).sum()) * len(off) / len(some)
    level = max(part, 0.0) + noise * np.sqrt(2.0 / (off.shape[1] * apart))
    return np.where(live, level * task.variance, 1.0)


def _shrunk(
    found: Channel, center: Floats, scale: Floats, share: Floats, mean: Floats, spread: Floats, threads: int | None
) -> Floats:
    """Write posterior mean and variance of each weight; returns the responsibilities of the mixture, [K]."""
    starts = range(0, len(mean), TARGETS)
    given = np.zeros((len(starts), share.size))

    def work(k: int) -> None:
        some = slice(k * TARGETS, (k + 1) * TARGETS)
        shrink(found.seen[some], found.blur[some], center[some], scale[some], share, mean[some], spread[some], given[k])

    each(work, list(range(len(starts))), thread_count(threads), lambda _: None)
    total: Floats = given.sum(axis=0)
    return total


@kernel
def shrink(
    seen: Floats,
    blur: Floats,
    center: Floats,
    scale: Floats,
    share: Floats,
    mean: Floats,
    spread: Floats,
    given: Floats,
) -> None:
    """Posterior mean and variance [T, n] of weights seen with noise of variance blur [T] under a mixture of normals
    about center with variances scale * MIXTURE [T, n]; given [K] gains the responsibilities. O(T n K)."""
    odds, prior = np.empty(share.size), np.log(share)
    for t in range(seen.shape[0]):
        v = blur[t]
        for j in range(seen.shape[1]):
            if v <= 0.0:
                mean[t, j], spread[t, j] = seen[t, j], 0.0
                continue
            first, second = posterior_moments(seen[t, j] - center[t, j], v, scale[t, j], prior, odds, given)
            mean[t, j] = center[t, j] + first
            spread[t, j] = second - first * first
