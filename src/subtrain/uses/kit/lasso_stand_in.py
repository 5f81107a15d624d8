"""A LASSO on the same models, for datamodels of another estimator: what to de-bias when their own fit will not do."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subtrain.regression.counting.count_stream import count_blocks
from subtrain.regression.counting.counts import Counts, gram_kind
from subtrain.regression.counting.study_counts import kept_counts
from subtrain.regression.counting.threads import Progress
from subtrain.regression.fit_warnings import FitWarning
from subtrain.regression.lasso.lambda_choice import of_targets
from subtrain.regression.lasso.target_blocks import lasso_from_counts
from subtrain.regression.study_models import Models
from subtrain.uses.kit.residuals import ResidualSums, Rows, sums_of_counts

Floats = NDArray[np.float64]
SHARE, SEED = 0.1, 0  # As `Lasso` splits by default, whose counts the study may have.


@dataclass(frozen=True, eq=False)
class StandIn:
    """weight: float64 [n, T], of a LASSO with its lambda chosen; sums: of its residuals; support: int64 [T]."""

    weight: Floats
    sums: ResidualSums
    support: NDArray[np.int64]


def stand_in(models: Models, targets: NDArray[np.int64], progress: Progress | None = None) -> StandIn:
    """Fit these targets by LASSO on these models, a tenth of which choose lambda."""
    (name, rows), (_, others) = models.parts(SHARE, SEED).items()
    train = of_targets(counts_of(models, rows, name, progress), targets)
    valid = models.validation_models(others).of(targets)
    judged = count_blocks([(valid.masks, valid.outputs)], gram=gram_kind(models.study.n))
    total = train + judged
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # It is a means here, and what it could not fit has no support.
        fitted = lasso_from_counts(train, valid, total)
    weight = np.asarray(fitted.weight, np.float64)
    return StandIn(weight, sums_of_counts(weight, fitted.bias, total), np.count_nonzero(weight, axis=0))


def counts_of(models: Models, rows: Rows, part: str, progress: Progress | None = None) -> Counts:
    """Counts of these models with their Gram: those that the study keeps, or counted now and not kept."""
    gram = gram_kind(models.study.n)
    kept = kept_counts(models, rows, part, gram)
    return kept or count_blocks(models.blocks(rows), models=rows.size, progress=progress, gram=gram)
