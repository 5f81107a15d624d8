"""Ridge regression on one-hot labels over frozen features: many heads, one factorization each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from subtrain.errors import InputError
from subtrain.system.blas import one_blas_thread
from subtrain.trainers.frozen import Frozen, one_hot
from subtrain.trainers.kit.checks import positive, subsets
from subtrain.trainers.kit.feature_passes import Doubles, FeatureMoments, Floats, Ints, moments, swept

TOLERANCE = 1e-5
"""Refinement ends when one more step would, by the pace so far, move no evaluated logit by more than this."""

_REFINEMENTS = 6


def train_ridge(data: Frozen, masks: NDArray[np.bool_], lam: float) -> list[Floats]:
    """Fit one head a mask of [K, n]; logits float32 [K, E_s, C] of each matrix to evaluate.

    A head minimizes sum_i ||onehot(y_i) - W'x_i - b||^2 + lam ||W||^2 over its subset, b free: scikit-learn's Ridge
    with alpha = lam. The Gram matrix is added up in float32 and the solution refined against the data itself until it
    agrees with float64 to TOLERANCE; where lam is too small for that, in float64 from the start.

    What a head computes depends on its own mask alone, bit for bit. Raises InputError for masks that do not fit, an
    empty subset, lam <= 0, and a lam that float64 cannot tell from 0 beside these features.
    """
    lam = positive("lam", lam)
    logits = [np.empty((len(masks), len(e), data.classes), np.float32) for e in data.evaluate]
    with one_blas_thread():
        for i, rows in enumerate(subsets(masks, len(data.x))):
            weight, bias = fit_ridge(data, rows, lam)
            predict(data, weight, bias, [z[i] for z in logits])
    return logits


def fit_ridge(data: Frozen, rows: Ints, lam: float) -> tuple[Doubles, Doubles]:
    """Weights [D, C] and biases [C] of the head on these rows."""
    for exact in (False, True):
        found = _fitted(data, rows, lam, exact)
        if found is not None:
            return found
    raise InputError(
        f"lam = {lam:g} is too small for these features: the ridge system is singular in float64; raise it"
    )


def predict(data: Frozen, weight: Doubles, bias: Doubles, logits: list[Floats]) -> None:
    """Write the logits [E_s, C] of every matrix to evaluate."""
    w, b = weight.astype(np.float32), bias.astype(np.float32)
    for x, z in zip(data.evaluate, logits, strict=True):
        np.add(x @ w, b, out=z)


def subset_moments(data: Frozen, rows: Ints, exact: bool = False) -> FeatureMoments:
    """Moments of the rows, from those of the others where these are fewer."""
    if exact or 2 * rows.size <= len(data.x):
        return moments(data.x, data.y, data.classes, rows, exact)
    others = np.ones(len(data.x), np.bool_)
    others[rows] = False
    return data.whole - moments(data.x, data.y, data.classes, np.flatnonzero(others))


def _fitted(data: Frozen, rows: Ints, lam: float, exact: bool) -> tuple[Doubles, Doubles] | None:
    """None if the Cholesky factor does not exist or refinement does not converge."""
    found = subset_moments(data, rows, exact)
    mean = found.mean
    system = found.covariance
    system[np.diag_indices_from(system)] += lam
    try:
        factor = linalg.cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
    except linalg.LinAlgError:
        return None
    weight = linalg.cho_solve(factor, found.sums.T - np.outer(mean, found.counts), check_finite=False)
    if not exact:
        refined = _refined(data, rows, lam, factor, found, weight)
        if refined is None:
            return None
        weight = refined
    return weight, found.counts / rows.size - mean @ weight


def _refined(
    data: Frozen, rows: Ints, lam: float, factor: tuple[Doubles, bool], found: FeatureMoments, weight: Doubles
) -> Doubles | None:
    """Iterative refinement: solve for what the residuals of the data say is missing, with the factor there is."""
    target, mean, share = one_hot(data.y[rows], data.classes), found.mean, found.counts / rows.size
    before = np.linalg.norm(weight)
    for _ in range(_REFINEMENTS):
        weight = weight.astype(np.float32).astype(np.float64)
        pull, sums = swept(data.x, rows, weight, share - mean @ weight, lambda z, s: target[s] - z)
        change = linalg.cho_solve(factor, pull - np.outer(mean, sums) - lam * weight, check_finite=False)
        weight = weight + change
        size = np.linalg.norm(change)
        if data.reach * size * size <= TOLERANCE * before:
            return weight
        before = size
    return None
