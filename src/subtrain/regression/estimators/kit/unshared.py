"""The LASSO or ridge in the place of a fit that shares a prior, where one of them predicts better."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.threads import Progress
from subtrain.regression.estimators.kit.linear_estimator import Fitted, fitted_lasso
from subtrain.regression.estimators.ridge import Ridge
from subtrain.regression.fit_warnings import heard, warn
from subtrain.regression.lasso.lambda_choice import LassoOptions
from subtrain.regression.lasso.target_blocks import lasso_from_counts
from subtrain.system.types import Floats

LASSO, RIDGE = "lasso", "ridge"
# What `LinearEstimator` warns of whatever was fitted.
SAID_OF_ALL = "in every mask or in none", "all weights are 0"


def unshared(
    chosen: str,
    train: Counts,
    validation: Counts | None,
    total: Any,
    table: Floats,
    threads: int | None,
    progress: Progress | None,
) -> Fitted:
    """LASSO or RIDGE, its lambda chosen by all validation models and fitted again on all models; table: errors of all
    candidates."""
    with heard(aloud=False) as said:
        if chosen == RIDGE:
            fitted = Ridge(threads=threads).estimate(train, validation, total, progress)
        else:
            fitted = fitted_lasso(lasso_from_counts(train, validation, total, LassoOptions(threads=threads), progress))
    for text in said:
        if not any(word in text for word in SAID_OF_ALL):
            warn(text)
    residual = np.zeros(train.targets) if fitted.residual is None else fitted.residual
    none = np.zeros((0, train.targets))
    return replace(fitted, lambdas=none, validation_mse=table, path_gap=None, residual=residual)
