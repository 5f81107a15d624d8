"""Unbiased weights with standard errors: the de-biased LASSO for masks of known covariance, and least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.designs.drawn import Design
from subtrain.designs.samplers import subset_size
from subtrain.errors import InputError
from subtrain.regression.counting.counts import Counts
from subtrain.regression.estimators.kit.dense_problem import check_memory, dense
from subtrain.regression.estimators.ridge import decompose
from subtrain.regression.lasso.problem import problem
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


def debias(weight: ArrayLike, sums: ResidualSums, covariance: MaskCovariance, used: ArrayLike) -> Estimates:
    """w + Θ X̃ᵀ(y − X̃w) / (m − 1 − used): the de-biased LASSO with the precision Θ of a known design.

    used: degrees of freedom of the fit [T]. Dividing by what it left free, instead of by m, keeps the estimate unbiased
    when the support is a fair share of m (Bellec & Zhang 2019; Celentano, Montanari & Wei 2020). The standard error
    ‖y − X̃w‖ √Θjj / (m − 1 − used) counts the noise of the outputs and the error in all other weights. Where all masks
    are of one size, weights are known up to a constant, and theirs is chosen so that the median is 0: the constant that
    makes Σ|w| least, towards which the LASSO goes too.
    """
    freedom = np.maximum(sums.m - 1.0 - np.asarray(used, np.float64), 0.0)
    enough = freedom >= 2
    left = np.where(enough, freedom, np.inf)
    unbiased = np.asarray(weight, np.float64) + covariance.solve(sums.centered_cross) / left
    error = np.where(enough, np.sqrt(covariance.precision * sums.rss) / left, np.inf)[None]
    if covariance.singular:
        unbiased, error = _settled(unbiased, error)
    return Estimates(unbiased, error, np.where(enough, freedom, 0.0), np.sqrt(sums.rss / left))


def least_squares(counts: Counts) -> Estimates:
    """Ordinary least squares and its exact standard errors, from the Gram of the masks themselves.

    Needs no known design, but more models than units. Raises InputError otherwise.
    """
    if counts.m < counts.n + 3:
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


@dataclass(frozen=True)
class MaskCovariance:
    """Covariance p I + q 11ᵀ of masks over n units, none of which the design prefers.

    fixed size alpha n: p = alpha (1 - alpha) n / (n - 1), q = -p / n, so that p + n q = 0: the sum of a mask never
    varies, and no outcome tells how it acts. Bernoulli: p = alpha (1 - alpha), q = 0. Of several alphas: p is their
    mean, and q also holds the variance of alpha.
    """

    n: int
    p: float
    q: float

    @property
    def singular(self) -> bool:
        """Whether all masks are of one size: weights are then known up to a common constant."""
        return self.p + self.n * self.q < 1e-9 * self.p

    @property
    def shared(self) -> float:
        """What the precision takes off along 11ᵀ: it is (I - shared 11ᵀ) / p, a pseudo-inverse if singular."""
        return 1.0 / self.n if self.singular else self.q / (self.p + self.n * self.q)

    @property
    def precision(self) -> float:
        """Every diagonal entry of the precision matrix."""
        return (1.0 - self.shared) / self.p

    def solve(self, values: Floats) -> Floats:
        """The precision matrix times `values` [n, T]."""
        solved: Floats = (values - self.shared * values.sum(axis=0)) / self.p
        return solved


def design_covariance(design: Design) -> MaskCovariance:
    """What the masks of this design covary by, exactly."""
    assert design.n is not None
    n = design.n
    fixed = design.kind == "fixed"
    share = np.array([subset_size(alpha, n) / n if fixed else alpha for alpha in design.alpha_list])
    within, between = float(np.mean(share * (1 - share))), float(share.var())
    tie = within / (n - 1) if fixed else 0.0  # Of fixed-size masks a unit that is in keeps others out.
    return MaskCovariance(n, within + tie, between - tie)


def observed_covariance(sizes: NDArray[np.int64], ones: NDArray[np.int64]) -> MaskCovariance:
    """The same for masks made elsewhere, from their sizes [m] and how many hold each unit, `ones` [n].

    Exchangeable units leave two numbers to know, and the mean and variance of the sizes give both. Raises InputError
    where some units are plainly held more often than others.
    """
    m, n = sizes.size, ones.size
    share = float(sizes.mean()) / n
    variance = share * (1 - share)
    q = (float(sizes.var()) - n * variance) / (n * (n - 1))
    p = variance - q
    # m times the variance over units of their shares is about chi-squared with n - 1 degrees over n - 1, times p.
    if m * float((ones / m).var()) > p * (1 + 8 * np.sqrt(2 / n)):
        raise InputError(
            "some units are held by more models than others, so the covariance of these masks is not known from their "
            "sizes: use method='exact', which needs more models than units"
        )
    return MaskCovariance(n, p, q)
