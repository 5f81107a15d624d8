"""Unbiased weights with standard errors: the de-biased LASSO for masks of known covariance, and least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from subtrain.errors import InputError
from subtrain.regression.counting.counts import Counts
from subtrain.regression.estimators.kit.dense_problem import check_memory, dense
from subtrain.regression.estimators.ridge import decompose
from subtrain.regression.lasso.problem import problem
from subtrain.regression.mask_covariance import MaskCovariance
from subtrain.regression.row_noise import LEAST_FREEDOM, Residuals, RowNoise
from subtrain.system.types import Floats
from subtrain.uses.kit.residuals import ResidualSums


@dataclass(frozen=True, eq=False)
class Estimates:
    """weight: float64 [n, T], unbiased; error: its standard errors, [n, T] or [1, T] where all units share one;
    freedom: float64 [T], degrees of freedom left in the residuals; 0 where there are too few models (error is inf).
    noise: float64 [T], standard deviation of what the weights do not explain: seeds, and what is not linear."""

    weight: Floats
    error: Floats
    freedom: Floats
    noise: Floats


def debias(
    weight: ArrayLike,
    sums: ResidualSums,
    covariance: MaskCovariance,
    used: ArrayLike,
    design: RowNoise | None = None,
) -> Estimates:
    """w + Θ X̃ᵀ(y − X̃w) / (m − 1 − used): the de-biased LASSO with the precision Θ of a known design.

    used: degrees of freedom of the fit [T]. Dividing by what it left free, instead of by m, keeps the estimate unbiased
    when the support is a fair share of m (Bellec & Zhang 2019; Celentano, Montanari & Wei 2020). The standard error
    ‖y − X̃w‖ √Θjj / (m − 1 − used) counts the noise of the outputs and the error in all other weights. Where all masks
    are of one size, weights are known up to a constant, and theirs is chosen so that the median is 0: the constant that
    makes Σ|w| least, towards which the LASSO goes too. design: what orthogonal sets of masks change in this.
    """
    rows, taken = design or RowNoise(), np.asarray(used, np.float64)
    cross = sums.centered_cross
    pull = covariance.solve(cross)
    rank = covariance.n - covariance.singular
    gain = np.einsum("nt,nt->t", cross, pull) / sums.m
    variance, freedom = rows.variance(Residuals(sums.m, rank, sums.rss, gain, taken))
    enough = (freedom >= 2) & (sums.m - 1.0 - taken >= 2 * rows.crosstalk)
    left = np.where(enough, rows.left(sums.m, taken), np.inf)
    unbiased = np.asarray(weight, np.float64) + pull / left
    error = np.where(enough, np.sqrt(covariance.precision * variance / sums.m), np.inf)[None]
    if covariance.singular:
        unbiased, error = _settled(unbiased, error)
    noise = np.sqrt(variance * np.maximum(rows.left(sums.m, taken), 0.0) / sums.m)
    return Estimates(unbiased, error, np.where(enough, freedom, 0.0), noise)


def least_squares(counts: Counts, design: RowNoise | None = None) -> Estimates:
    """Ordinary least squares and its exact standard errors, from the Gram of the masks themselves.

    Needs no known design, but more models than units; where few more are there and pairs tell the noise (`design`),
    they do. Raises InputError otherwise.
    """
    halves = None if design is None else design.half_sums
    if counts.m < counts.n + (3 if halves is None else 1):
        raise InputError(
            f"least squares on {counts.n} units needs at least {counts.n + 3} models, and there are {counts.m}: use "
            "method='debiased', or collect more"
        )
    check_memory(counts.n, 4)
    plan = problem(counts, "raw")
    spectrum = decompose(dense(plan))
    kept = spectrum.values > 1e-10 * spectrum.values.max(initial=0.0)
    values, vectors = spectrum.values[kept], spectrum.vectors[:, kept]
    weight = vectors @ ((vectors.T @ plan.rho.T) / values[:, None])
    freedom = counts.m - 1.0 - values.size
    if design is not None and halves is not None and freedom < LEAST_FREEDOM:
        freedom, variance = float(design.freedom), halves / counts.m
    else:
        variance = np.maximum(plan.variance - np.einsum("tn,nt->t", plan.rho, weight), 0.0) / freedom
    error = np.sqrt(np.outer((vectors**2 / values).sum(axis=1), variance))
    if values.size < counts.n:
        weight, error = _settled(weight, error)
    return Estimates(weight, error, np.full(counts.targets, freedom), np.sqrt(counts.m * variance))


def _settled(weight: Floats, error: Floats) -> tuple[Floats, Floats]:
    """Weights whose constant the data do not know, with a median of 0, and errors that count the median's own.

    The error of a median of weights that differ is that of the few in the middle: the root of Σ sign(w - θ) = 0 varies
    by Σ (1 - (2Φ(u) - 1)²) / (Σ 2φ(u))² squared errors, u the weights in units of their errors.
    """
    from scipy.stats import norm

    settled = weight - np.median(weight, axis=0)
    each = np.where(np.isfinite(error) & (error > 0), error, 1.0).mean(axis=0)
    u = settled / each
    slope = 2 * norm.pdf(u).sum(axis=0)
    share = (1 - (2 * norm.cdf(u) - 1) ** 2).sum(axis=0) / np.maximum(slope, 1e-300) ** 2
    return settled, error * np.sqrt(1 + np.minimum(share, 1.0))
