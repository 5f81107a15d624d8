"""How much of a function of masks is linear, from its covariance between masks that share ever more units.

Saunshi et al. 2022 (Understanding influence functions and datamodels via harmonic analysis), section 4: on independent
units the covariance at correlation rho is sum_d weight_d rho^d, weight_d the Fourier weight of degree d. Subsets of one
size have the same expansion with the spherical functions of the Johnson scheme (Hahn polynomials) for rho^d.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
from numpy.typing import NDArray

from subtrain.system.types import Floats

DEGREES = 4


def correlated(masks: NDArray[np.bool_], rho: float, kind: str, alpha: float, seed: int) -> NDArray[np.bool_]:
    """Masks [k, n], each rho-correlated with the one given: of a Bernoulli design every unit is drawn anew with
    probability 1 - rho; of a fixed size, `swaps` units in each are exchanged for as many that are not."""
    random = np.random.default_rng(seed)
    found = masks.copy()
    if kind == "bernoulli":
        todo = np.arange(len(masks))
        while todo.size:  # an empty mask trains nothing
            again = random.random((todo.size, masks.shape[1])) >= rho
            found[todo] = np.where(again, random.random(again.shape) < alpha, masks[todo])
            todo = todo[~found[todo].any(axis=1)]
        return found
    for row in found:
        held, free = np.flatnonzero(row), np.flatnonzero(~row)
        k = swaps(rho, row.size, held.size)
        row[random.choice(held, k, replace=False)] = False
        row[random.choice(free, k, replace=False)] = True
    return found


def swaps(rho: float, n: int, size: int) -> int:
    """Units to exchange so that two subsets of this size have correlation rho, as nearly as whole units allow."""
    return min(size, n - size, round((1.0 - rho) * size * (n - size) / n))


def decay(rho: float, kind: str, n: int, size: int) -> Floats:
    """[DEGREES]: what is left at correlation rho of the covariance that degrees 1, 2, … have at 1."""
    if kind == "bernoulli":
        return rho ** np.arange(1, DEGREES + 1.0)
    k = swaps(rho, n, size)
    return np.array([hahn(d, k, n, size) for d in range(1, DEGREES + 1)])


def hahn(degree: int, k: int, n: int, size: int) -> float:
    """The spherical function of this degree between subsets of `size` of n units that differ in k; 0 where the degree
    is more than such subsets have."""
    if degree > min(size, n - size):
        return 0.0
    terms = (
        (-1) ** i * comb(degree, i) * comb(n + 1 - degree, i) * comb(k, i) / (comb(size, i) * comb(n - size, i))
        for i in range(degree + 1)
    )
    return float(sum(terms))


def weights_by_degree(covariances: Floats, decays: Sequence[Floats], precision: Floats) -> Floats:
    """Fourier weights of degrees 1 … DEGREES, none below zero, that give these covariances [R] best; the last stands
    for all from there on. precision: [R], one over the variance of each."""
    from scipy.optimize import nnls

    root = np.sqrt(precision)
    return np.asarray(nnls(np.asarray(decays) * root[:, None], covariances * root)[0])
