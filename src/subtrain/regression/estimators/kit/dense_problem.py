"""Problems small enough for a dense n x n matrix of covariances, which closed forms and elastic nets work on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subtrain.errors import InputError
from subtrain.regression.counting.counts import Counts
from subtrain.regression.lasso.problem import Problem, validation_moments
from subtrain.system.machine import memory
from subtrain.system.types import Floats

ROWS = 512


@dataclass(frozen=True, eq=False)
class Dense:
    """Mean squared errors of T targets as functions of the coefficients w [n] of scaled features:
    variance - 2 rho . w + w . covariance w, halved in every objective. covariance: [n, n]; rho: [T, n]; variance: [T].
    """

    covariance: Floats
    rho: Floats
    variance: Floats

    def errors(self, coef: Floats) -> Floats:
        """Mean squared error [T] of coefficients [T, n]."""
        errors: Floats = self.variance + np.einsum("tn,tn->t", coef, coef @ self.covariance - 2.0 * self.rho)
        return errors


def dense(plan: Problem) -> Dense:
    """The problem of the models that `plan` counts, its covariances rounded once from exact integers."""
    counts = plan.counts
    covariance = np.empty((counts.n, counts.n))
    for start in range(0, counts.n, ROWS):
        rows = slice(start, start + ROWS)
        exact = np.multiply(counts.gram[rows], counts.m, dtype=np.int64)
        exact -= np.outer(counts.ones[rows], counts.ones)
        covariance[rows] = exact
        covariance[rows] *= np.outer(plan.inverse[rows], plan.inverse)
    covariance /= float(counts.m) ** 2
    return Dense(covariance, plan.rho, plan.variance)


def validation_problem(plan: Problem, validation: Counts) -> Dense:
    """The squared errors of datamodels of `plan` on other models, with the bias that belongs to `plan`."""
    mean, offset, rho, spread = validation_moments(plan, validation)
    covariance = np.empty((validation.n, validation.n))
    for start in range(0, validation.n, ROWS):
        rows = slice(start, start + ROWS)
        moments = validation.gram[rows] / validation.m - np.outer(mean[rows], mean) + np.outer(offset[rows], offset)
        covariance[rows] = moments * np.outer(plan.inverse[rows], plan.inverse)
    return Dense(covariance, np.ascontiguousarray(rho.T), spread)


def check_memory(n: int, matrices: int) -> None:
    """Refuse n units whose `matrices` dense float64 matrices this machine's memory cannot hold."""
    need = 8 * n * n * matrices
    have = memory()
    if have is not None and need > 0.9 * have:
        raise InputError(
            f"{n} units need {need / 2**30:.1f} GiB for {matrices} dense matrices and this machine has "
            f"{have / 2**30:.1f} GiB; use Lasso, which needs none, or fewer units"
        )
