"""Multinomial logistic regression over frozen features: many heads, each solved to a stated tolerance.

Newton's method; each step by conjugate gradients, preconditioned with one eigendecomposition a head. The Hessian lies
below (1/2) (I - 11'/C) ⊗ X'X (Böhning 1992, "Multinomial logistic regression algorithm", theorem 2), so X'X of the
subset, scaled, stands in for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.system.blas import one_blas_thread
from subtrain.trainers.frozen import Frozen, one_hot
from subtrain.trainers.kit.checks import positive, subsets
from subtrain.trainers.kit.feature_passes import Doubles, Floats, Ints, Middle, swept
from subtrain.trainers.ridge import predict, subset_moments

ABSENT = 10.0
"""A class without an example in the subset gets the smallest other logit minus this, as scikit-learn tasks do."""

_STEPS, _INNER, _BISECTIONS = 50, 200, 30
_ACCURACY = 0.1
"""Residual of a Newton step beside the gradient: rounding leaves little to gain from a smaller one."""
_SAFE = 0.5
"""A full step that moves no logit by more than this lowers the objective (the Hessian changes by less than e^0.5)."""


def train_logistic_head(data: Frozen, masks: NDArray[np.bool_], lam: float, tol: float = 2e-5) -> list[Floats]:
    """Fit one head a mask of [K, n]; logits float32 [K, E_s, C] of each matrix to evaluate.

    A head minimizes sum_i -log softmax(W'x_i + b)[y_i] + (lam / 2) ||W||^2 over its subset, b free: scikit-learn's
    LogisticRegression with C = 1/lam (for two classes, where it has one weight vector, C = 2/lam). It is done when a
    Newton step moves no logit of its subset by more than `tol`.

    What a head computes depends on its own mask alone, bit for bit. Raises InputError for masks that do not fit, an
    empty subset, lam or tol <= 0, and a head that does not reach its tolerance.
    """
    lam, tol = positive("lam", lam), positive("tol", tol)
    logits = [np.empty((len(masks), len(e), data.classes), np.float32) for e in data.evaluate]
    with one_blas_thread():
        for i, rows in enumerate(subsets(masks, len(data.x))):
            there, weight, bias = fit_logistic(data, rows, lam, tol)
            found = [np.empty((len(e), there.size), np.float32) for e in data.evaluate]
            predict(data, weight, bias, found)
            for z, part in zip(logits, found, strict=True):
                z[i] = part.min(axis=1, keepdims=True) - np.float32(ABSENT)
                z[i][:, there] = part
    return logits


def fit_logistic(data: Frozen, rows: Ints, lam: float, tol: float) -> tuple[Ints, Doubles, Doubles]:
    """Classes there [C] in these rows, and weights [D, C] and biases [C] of the head on them."""
    there = np.unique(data.y[rows])
    return there, *_Head(data, rows, there, lam).solve(tol)


Real = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class _Point:
    """Where the solver stands: parameters [D + 1, C], and for the subset their logits and probabilities [k, C]."""

    at: Doubles
    logits: Real
    shares: Real
    gradient: Doubles


class _Head:
    """One head's problem. Parameters are [D + 1, C]: weights of the features about the subset's mean, then biases."""

    def __init__(self, data: Frozen, rows: Ints, there: Ints, lam: float) -> None:
        found = subset_moments(data, rows)
        # A copy, because it is swept dozens of times: neighbors in memory arrive sooner than scattered rows.
        self.x: Real = data.x[rows]
        self.rows, self.lam = np.arange(rows.size), lam
        self.target: Real = one_hot(np.searchsorted(there, data.y[rows]), there.size)
        self.mean = found.mean
        self.values, self.vectors = np.linalg.eigh(found.covariance)

    def solve(self, tol: float) -> tuple[Doubles, Doubles]:
        """Weights [D, C] and biases [C] for the classes that are there."""
        at = np.zeros((self.mean.size + 1, self.target.shape[1]))
        largest = np.inf
        for _ in range(_STEPS):
            point = self.point(at)
            step, moved = self.newton(point)
            before, largest = largest, float(np.ptp(moved, axis=1).max())
            at = at + (1.0 if largest <= _SAFE else self.search(point, step, moved)) * step
            if largest <= tol:
                return at[:-1], at[-1] - self.mean @ at[:-1]
            if before <= _SAFE and largest > before / 2:
                # Float32 gets no nearer: its rounding is as large as the step.
                self.x, self.target = self.x.astype(np.float64), self.target.astype(np.float64)
        raise InputError(
            f"the logistic head did not reach its tolerance: after {_STEPS} Newton steps a logit still moved by "
            f"{largest:.1g}, more than tol = {tol:g}; raise lam = {self.lam:g} or tol"
        )

    def point(self, at: Doubles) -> _Point:
        logits, shares = np.empty_like(self.target), np.empty_like(self.target)

        def error(z: Real, where: slice) -> Real:
            logits[where], shares[where] = z, _softmax(z)
            return shares[where] - self.target[where]

        return _Point(at, logits, shares, self.pulled(at, error))

    def pulled(self, at: Doubles, middle: Middle) -> Doubles:
        """Sum over the subset of (x - mean, 1) ⊗ middle(logits at `at`), plus lam times the weights; [D + 1, C]."""
        pull, sums = swept(self.x, self.rows, at[:-1], at[-1] - self.mean @ at[:-1], middle)
        found = np.vstack([pull - np.outer(self.mean, sums), sums])
        # The classes' parts sum to zero; what rounding leaves of that sum meets hardly any curvature and would grow.
        found -= found.mean(axis=1, keepdims=True)
        found[:-1] += self.lam * at[:-1]
        return found

    def newton(self, point: _Point) -> tuple[Doubles, Real]:
        """The Newton step [D + 1, C] by conjugate gradients, and how it moves the subset's logits [k, C]."""
        step, left = np.zeros_like(point.at), -point.gradient
        scores, moved = np.empty_like(self.target), np.zeros_like(self.target)

        def curvature(z: Real, where: slice) -> Real:
            scores[where] = z
            p = point.shares[where]
            return np.asarray(p * (z - (p * z).sum(axis=1, keepdims=True)))

        solve = self.preconditioner(float(np.mean(point.shares * (1 - point.shares))))
        easy = solve(left)
        direction, size = easy, float(np.vdot(left, easy))
        goal = _ACCURACY**2 * size
        for _ in range(_INNER):
            if size <= goal:
                break
            image = self.pulled(direction, curvature)
            length = size / float(np.vdot(direction, image))
            step += length * direction
            moved += scores.dtype.type(length) * scores
            left -= length * image
            easy = solve(left)
            before, size = size, float(np.vdot(left, easy))
            direction = easy + (size / before) * direction
        return step, moved

    def preconditioner(self, spread: float) -> Callable[[Doubles], Doubles]:
        """Inverse of spread * (covariance, k) + lam (I, 0)."""
        spread = max(spread, 1e-6)
        curvature = (spread * np.maximum(self.values, 0) + self.lam)[:, None]

        def solve(r: Doubles) -> Doubles:
            weight = self.vectors @ ((self.vectors.T @ r[:-1]) / curvature)
            return np.vstack([weight, r[-1] / (spread * self.rows.size)])

        return solve

    def search(self, point: _Point, step: Doubles, moved: Real) -> float:
        """A step length in (0, 1] near the minimum along the step, by bisection of the slope, which only rises."""

        def slope(t: float) -> float:
            error = _softmax(point.logits + moved.dtype.type(t) * moved) - self.target
            decay = self.lam * float(np.vdot(step[:-1], point.at[:-1] + t * step[:-1]))
            return float(np.einsum("ij,ij->", error, moved, dtype=np.float64)) + decay

        start, low, high, t = abs(slope(0.0)), 0.0, 1.0, 1.0
        for _ in range(_BISECTIONS):
            now = slope(t)
            if abs(now) <= 0.3 * start or (now <= 0 and t == 1.0):
                break
            low, high = (t, high) if now < 0 else (low, t)
            t = (low + high) / 2
        return t


def _softmax(z: Real) -> Real:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    shares: Real = e / e.sum(axis=1, keepdims=True)
    return shares
