"""Data with known datamodels for the path benchmarks, and the judge of every solution: a duality gap in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Planted:
    """masks: bool [m, n], half of the units in each; y: float16 [m, T]; valid: the first `valid` models validate."""

    masks: np.ndarray
    y: np.ndarray
    valid: int


def planted(m: int, n: int, targets: int, exponent: float = 1.0, noise: float = 1.0, seed: int = 0) -> Planted:
    """Every unit has a weight: rank^-exponent in a random order of the units, with a random sign, for each target.

    Gaussian noise of `noise` standard deviations of the signal is added, so half of the variance is noise by default;
    outputs are float16, as published margins are. A tenth of the models validate.
    """
    random = np.random.default_rng(seed)
    masks = np.zeros((m, n), np.bool_)
    for row in masks:
        row[random.permutation(n)[: n // 2]] = True
    weight = np.empty((n, targets), np.float32)
    size = np.arange(1, n + 1, dtype=np.float32) ** -exponent
    for t in range(targets):
        weight[random.permutation(n), t] = random.choice([-1.0, 1.0], n) * size
    signal = np.concatenate([masks[i : i + 4096].astype(np.float32) @ weight for i in range(0, m, 4096)])
    signal -= signal.mean(axis=0)
    y = signal + noise * signal.std(axis=0) * random.standard_normal((m, targets), np.float32)
    return Planted(masks, y.astype(np.float16), m // 10)


def standardized(masks: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    """Masks centered and divided by their standard deviation, in Fortran order; constant units become 0."""
    mean = masks.mean(axis=0)
    scale = np.sqrt(mean * (1 - mean))
    x = np.asfortranarray(masks, dtype=dtype)
    for j in range(masks.shape[1]):
        x[:, j] = (x[:, j] - mean[j]) / scale[j] if scale[j] else 0.0
    return x


def lambdas_of(x: np.ndarray, y: np.ndarray, k: int, eps: float) -> np.ndarray:
    """k lambdas from lambda_max down to eps lambda_max for one centered target, in float64."""
    top = np.abs(x.T @ y.astype(x.dtype)).max() / len(y)
    return float(top) * eps ** (np.arange(k) / (k - 1))


def relative_gap(x: np.ndarray, y: np.ndarray, coefs: np.ndarray, lambdas: np.ndarray) -> np.ndarray:
    """Duality gap over half the target's variance, for coefs [n, k] at lambdas [k]; x standardized, y centered.

    (1/2m) |y - x w|^2 + lam |w|_1 against its dual at the residual, scaled to be feasible and as good as it can be.
    """
    m = len(y)
    gaps = np.empty(len(lambdas))
    for k, lam in enumerate(lambdas):
        w = coefs[:, k].astype(np.float64)
        residual = y - x @ w
        residual -= residual.mean()
        square, fitted = residual @ residual / m, residual @ y / m
        most = np.abs(x.T @ residual).max() / m
        scale = min(fitted / square, lam / most) if most > 0 else 1.0
        primal = square / 2 + lam * np.abs(w).sum()
        gaps[k] = primal - (scale * fitted - scale**2 * square / 2)
    return gaps / (y @ y / m / 2)
