"""Tasks of kernel ridge regression, and of ridge regression on random features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.tasks.base import BatchTask, Influence, View
from subtrain.tasks.heads import fit_head
from subtrain.tasks.kit.classification import OUTPUTS, Classification, Fit, Logits
from subtrain.trainers.kit.checks import positive

KERNELS = ("rbf", "linear", "poly", "precomputed")


def kernel_ridge(
    x: ArrayLike,
    y: ArrayLike,
    x_test: ArrayLike,
    y_test: ArrayLike,
    lam: float = 1.0,
    kernel: str = "rbf",
    gamma: float | None = None,
    degree: float = 3,
    coef0: float = 1,
    outputs: Sequence[str] = OUTPUTS,
    margin: str = "max",
    view: View | None = None,
    dtype: str | None = None,
) -> BatchTask:
    """A task of kernel ridge regressions on one-hot labels, one a subset, without a bias.

    kernel, gamma (1/D unless given), degree and coef0 as in scikit-learn's KernelRidge with alpha = lam; with
    "precomputed", x is the symmetric kernel matrix [n, n] and x_test [N, n]. A worker keeps n (n + N) float64 numbers
    in memory, and a model costs the Cholesky factor of its subset: for n up to about 10,000.
    """
    data = Classification.of((x, y), (x_test, y_test), outputs, margin, dtype)
    if kernel not in KERNELS:
        raise InputError(f"unknown kernel {kernel!r}; choose from {', '.join(KERNELS)}")
    if kernel == "precomputed":
        _check_kernel(data.parts["train"][0])
    lam, gamma = positive("lam", lam), None if gamma is None else positive("gamma", gamma)
    options = {"metric": kernel, "gamma": gamma, "degree": degree, "coef0": coef0}
    influence = partial(_kernel_influence, options, lam)
    return data.task("kernel ridge", {"lam": lam, **options}, partial(_kernel, options, lam), view, influence)


def random_features(
    x: ArrayLike,
    y: ArrayLike,
    x_test: ArrayLike,
    y_test: ArrayLike,
    lam: float = 1.0,
    features: int = 512,
    kind: str = "fourier",
    gamma: float | None = None,
    init: str = "own",
    seed: int = 0,
    outputs: Sequence[str] = OUTPUTS,
    margin: str = "max",
    view: View | None = None,
    dtype: str | None = None,
) -> BatchTask:
    """A task of ridge regressions as in `ridge_head` on random features of x: "fourier" or "relu".

    gamma (1/D unless given) scales the random weights, whose variance is 2 gamma; with "fourier" the features come
    near the kernel exp(-gamma ||x - x'||^2). init="own" draws them anew from each model's seed; "shared" once, from
    `seed`, which makes models cheaper and replicates equal.
    """
    from subtrain.trainers.random_features import RandomFeatures

    data = Classification.of((x, y), (x_test, y_test), outputs, margin, dtype)
    if init not in ("own", "shared"):
        raise InputError(f"unknown init {init!r}; choose from own, shared")
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise InputError(f"seed must be a whole number in 0..2**32 - 1, got {seed!r}")
    lam = positive("lam", lam)
    recipe = RandomFeatures(features, kind, 1 / data.parts["train"][0].shape[1] if gamma is None else gamma)
    settings = {"lam": lam, "init": init, "seed": seed, **asdict(recipe)}
    influence = partial(_random_influence, recipe, settings)
    return data.task("random features", settings, partial(_random, recipe, settings), view, influence)


def _random(recipe: Any, settings: Mapping[str, Any], data: Classification) -> Fit:
    from subtrain.system.blas import one_blas_thread

    inputs = data.mapped(lambda part: np.ascontiguousarray(part, np.float32))
    if settings["init"] == "own":
        return partial(_fit_random, inputs, recipe, settings["lam"])
    with one_blas_thread():
        drawn = inputs.mapped(lambda part: recipe.mapped(part, settings["seed"])).frozen()
    return partial(fit_head, "ridge head", drawn, {"lam": settings["lam"]})


def _fit_random(
    data: Classification, recipe: Any, lam: float, masks: NDArray[np.bool_], seeds: NDArray[np.uint32]
) -> Logits:
    from subtrain.trainers.random_features import train_random_features

    evaluate = [data.parts[split][0] for split in data.asked]
    x, y = data.trained
    return train_random_features(x, y, masks, seeds, evaluate, classes=data.classes, lam=lam, recipe=recipe)


def _random_influence(recipe: Any, settings: Mapping[str, Any], data: Classification) -> Influence:
    drawn = settings["seed"] if settings["init"] == "shared" else None
    return partial(_random_table, data.parts, data.classes, data.margin, settings["lam"], recipe, drawn)


def _random_table(*arguments: Any) -> NDArray[np.float32]:
    from subtrain.influence.linear_heads import random_features_table

    return random_features_table(*arguments)


@dataclass(frozen=True, eq=False)
class _Kernels:
    """The kernel between the training set and each split, made where it is first needed: too large to send around."""

    data: Classification
    options: Mapping[str, Any]

    @cached_property
    def matrices(self) -> dict[str, NDArray[np.float64]]:
        from sklearn.metrics.pairwise import pairwise_kernels

        from subtrain.system.blas import one_blas_thread

        parts = {split: np.asarray(x, np.float64) for split, (x, _) in self.data.parts.items()}
        if self.options["metric"] == "precomputed":
            return parts
        with one_blas_thread():
            return {
                split: pairwise_kernels(x, parts["train"], filter_params=True, **self.options)
                for split, x in parts.items()
            }


def _kernel(options: Mapping[str, Any], lam: float, data: Classification) -> Fit:
    return partial(_fit_kernel, _Kernels(data, options), lam)


def _kernel_influence(options: Mapping[str, Any], lam: float, data: Classification) -> Influence:
    return partial(_kernel_table, _Kernels(data, options), lam)


def _kernel_table(
    kernels: _Kernels, lam: float, mask: NDArray[np.bool_], seed: int, output: str
) -> NDArray[np.float32]:
    from subtrain.influence.linear_heads import kernel_ridge_table

    data = kernels.data
    labels = {split: y for split, (_, y) in data.parts.items()}
    return kernel_ridge_table(kernels.matrices, labels, data.classes, data.margin, lam, mask, output)


def _fit_kernel(kernels: _Kernels, lam: float, masks: NDArray[np.bool_], seeds: NDArray[np.uint32]) -> Logits:
    from subtrain.trainers.kernel_ridge import train_kernel_ridge

    data, matrices = kernels.data, kernels.matrices
    y, own = data.parts["train"][1], matrices["train"]
    if data.twins:
        copies = np.concatenate([np.arange(y.size), data.twins.units])
        matrices = {split: matrix[:, copies] for split, matrix in matrices.items()}
        y, own = data.trained[1], matrices["train"][copies]
    evaluate = [matrices[split] for split in data.asked]
    return train_kernel_ridge(own, y, masks, evaluate, classes=data.classes, lam=lam)


def _check_kernel(matrix: NDArray[Any]) -> None:
    if matrix.shape[0] != matrix.shape[1] or not np.allclose(matrix, matrix.T):
        raise InputError(f"a precomputed kernel must be a symmetric matrix, got shape {list(matrix.shape)}")
