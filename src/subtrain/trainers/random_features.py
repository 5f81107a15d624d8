"""Random features: maps into a space where a linear head comes close to a kernel machine, one a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subtrain.designs.model_rows import whole
from subtrain.errors import InputError
from subtrain.system.blas import one_blas_thread
from subtrain.trainers.frozen import frozen
from subtrain.trainers.kit.checks import check_labels, positive, subsets
from subtrain.trainers.kit.feature_passes import Floats
from subtrain.trainers.ridge import train_ridge

KINDS = ("fourier", "relu")


@dataclass(frozen=True)
class RandomFeatures:
    """How a map from D inputs to `features` numbers is drawn, from one seed.

    "fourier": sqrt(2/R) cos(x'w + u), w ~ N(0, 2 gamma I), u uniform on [0, 2 pi); inner products tend to the kernel
    exp(-gamma ||x - x'||^2) (Rahimi & Recht 2007, "Random Features for Large-Scale Kernel Machines", algorithm 1).
    "relu": sqrt(2/R) max(0, x'w + u), w ~ N(0, 2 gamma I), u ~ N(0, 1): a layer that is never trained.
    """

    features: int = 512
    kind: str = "fourier"
    gamma: float = 1.0

    def __post_init__(self) -> None:
        whole("features", self.features, 1)
        if self.kind not in KINDS:
            raise InputError(f"unknown kind {self.kind!r} of random features; choose from {', '.join(KINDS)}")
        positive("gamma", self.gamma)

    def mapped(self, x: Floats, seed: int) -> Floats:
        """The features float32 [N, features] of x float32 [N, D]."""
        # RandomState, because its stream is frozen; Generator's may change with numpy.
        random = np.random.RandomState(seed)
        weight = random.standard_normal((x.shape[1], self.features)) * (2 * self.gamma) ** 0.5
        fourier = self.kind == "fourier"
        shift = random.uniform(0, 2 * np.pi, self.features) if fourier else random.standard_normal(self.features)
        out: Floats = x @ weight.astype(np.float32)
        out += shift.astype(np.float32)
        np.cos(out, out=out) if fourier else np.maximum(out, 0, out=out)
        out *= np.float32((2 / self.features) ** 0.5)
        return out


def train_random_features(
    x: Floats,
    y: NDArray[np.integer],
    masks: NDArray[np.bool_],
    seeds: NDArray[np.uint32],
    evaluate: list[Floats],
    *,
    classes: int,
    lam: float,
    recipe: RandomFeatures,
) -> list[Floats]:
    """Ridge heads as in `train_ridge`, each on features drawn from its model's own seed, seeds [K].

    x [n, D] and evaluate [E_s, D] are float32. For features shared by all models, map them once and use `train_ridge`.
    """
    check_labels(y, len(x), classes)
    logits = [np.empty((len(masks), len(e), classes), np.float32) for e in evaluate]
    for i, (rows, seed) in enumerate(zip(subsets(masks, len(x)), seeds.tolist(), strict=True)):
        with one_blas_thread():
            mapped = [recipe.mapped(e, seed) for e in (x[rows], *evaluate)]
        own = frozen(mapped[0], y[rows], mapped[1:], classes)
        for z, found in zip(logits, train_ridge(own, np.ones((1, rows.size), np.bool_), lam), strict=True):
            z[i] = found[0]
    return logits
