"""Kernel ridge regression on one-hot labels: many models, each the Cholesky factor of its part of one kernel matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from subtrain.errors import InputError
from subtrain.system.blas import one_blas_thread
from subtrain.trainers.kit.checks import check_labels, positive, subsets
from subtrain.trainers.kit.feature_passes import Doubles, Floats


def train_kernel_ridge(
    kernel: Doubles,
    y: NDArray[np.integer],
    masks: NDArray[np.bool_],
    evaluate: Sequence[Doubles],
    *,
    classes: int,
    lam: float,
) -> list[Floats]:
    """Fit one model a mask of [K, n]; logits float32 [K, E_s, C] of each matrix to evaluate.

    kernel float64 [n, n], symmetric, between training examples; evaluate: float64 [E_s, n], between examples to
    predict and training examples. A model's logits are k(x)' (K + lam I)^-1 onehot(y) over its subset, without a bias:
    scikit-learn's KernelRidge with alpha = lam.

    What a model computes depends on its own mask alone, bit for bit. Raises InputError for arrays that do not fit one
    another, an empty subset, lam <= 0, and a subset whose kernel plus lam is not positive definite.
    """
    lam = positive("lam", lam)
    if np.ndim(kernel) != 2 or len(set(kernel.shape)) != 1:
        raise InputError(f"the kernel must be a square matrix, got shape {list(np.shape(kernel))}")
    check_labels(y, len(kernel), classes)
    for s, between in enumerate(evaluate):
        if between.ndim != 2 or between.shape[1] != len(kernel):
            shape = list(between.shape)
            raise InputError(f"evaluate[{s}] must be a matrix with {len(kernel)} columns, got shape {shape}")
    target = np.eye(classes)[y]
    logits = [np.empty((len(masks), len(e), classes), np.float32) for e in evaluate]
    with one_blas_thread():
        for i, rows in enumerate(subsets(masks, len(kernel))):
            dual = _dual(kernel[np.ix_(rows, rows)], target[rows], lam)
            for between, z in zip(evaluate, logits, strict=True):
                z[i] = between[:, rows] @ dual
    return logits


def _dual(system: Doubles, target: Doubles, lam: float) -> Doubles:
    """Coefficients [k, C] of a subset's examples; `system` is overwritten."""
    system[np.diag_indices_from(system)] += lam
    try:
        factor = linalg.cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
    except linalg.LinAlgError:
        raise InputError(f"the kernel of this subset plus lam = {lam:g} is not positive definite; raise lam") from None
    return np.asarray(linalg.cho_solve(factor, target, check_finite=False))
