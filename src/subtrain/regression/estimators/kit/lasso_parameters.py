"""The parameters that `Lasso` and `LassoLarge` share; `Lasso` says what each means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from numpy.typing import ArrayLike

from subtrain.regression.estimators.kit.linear_estimator import LinearEstimator
from subtrain.regression.lasso.path import PASSES


@dataclass(eq=False, repr=False)
class LassoParameters(LinearEstimator):
    """An estimator that minimizes the LASSO's objective."""

    sparse: ClassVar[bool] = True

    lambdas: int | ArrayLike = 100
    eps: float = 1e-3
    tol: float = 1e-4
    objective: str = "standardized"
    validation: float | int | None = 0.1
    seed: int = 0
    early_stop: int | None = 5
    refit: bool = True
    penalty: ArrayLike | None = None
    positive: bool = False
    max_iter: int = PASSES
    threads: int | None = None
