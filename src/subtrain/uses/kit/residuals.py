"""What is left of the outputs once datamodels have explained them, summed over the models they were fitted on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.datamodels import Datamodels
from subtrain.designs.model_rows import VALIDATION
from subtrain.errors import InputError
from subtrain.masks import Masks
from subtrain.regression.counting.count_stream import count_blocks
from subtrain.regression.counting.counts import Counts, gram_kind
from subtrain.regression.counting.study_counts import kept_counts
from subtrain.regression.counting.threads import Progress
from subtrain.regression.designed_models import as_designed
from subtrain.regression.lasso.lambda_choice import of_targets
from subtrain.regression.study_models import Models
from subtrain.study import Study
from subtrain.system.types import Floats

Rows = NDArray[np.int64]
# Rows of the Gram multiplied at a time.
ROWS = 1024


@dataclass(frozen=True, eq=False)
class ResidualSums:
    """Of m models: ones int64 [n], how many hold each unit; cross [n, T], residuals summed over those; total, square
    [T], the residuals' sum and sum of squares. `a + b` is that of both sets of models."""

    m: int
    ones: NDArray[np.int64]
    cross: Floats
    total: Floats
    square: Floats

    def __add__(self, other: ResidualSums) -> ResidualSums:
        return ResidualSums(
            self.m + other.m,
            self.ones + other.ones,
            self.cross + other.cross,
            self.total + other.total,
            self.square + other.square,
        )

    @property
    def centered_cross(self) -> Floats:
        """[n, T], centered masks times centered residuals."""
        return self.cross - np.outer(self.ones, self.total / self.m)

    @property
    def rss(self) -> Floats:
        """[T], squared residuals about their mean, summed."""
        return np.maximum(self.square - self.total**2 / self.m, 0.0)


def fitted_parts(dm: Datamodels, study: Study) -> tuple[Models, dict[str, Rows]]:
    """The models whose outputs the weights were fitted to, as `fit` read them, in its parts.

    Raises InputError for datamodels of another study, or that do not say what they were fitted on.
    """
    if "models_used" not in dm.meta or dm.meta.get("study_id") != study.identity:
        raise InputError(
            f"these datamodels were not fitted on {study.location}; give the study they were fitted on, or fit them "
            "again"
        )
    rows = np.concatenate([np.arange(*span, dtype=np.int64) for span in dm.meta["models_used"]])
    chose = np.isin(rows, study.design.role_rows(VALIDATION))
    own = rows[chose] if chose.any() else None
    left_out = tuple(dm.meta.get("targets_left_out", ()))
    models = as_designed(Models(study, dm.meta["output"], rows[~chose], left_out, validation=own))
    params = dm.meta.get("params", {})
    parts = models.parts(params.get("validation"), params.get("seed") or 0)
    only_chose = params.get("refit") is False or (own is not None and not models.validation_joins)
    if only_chose and len(parts) == 2:
        first = next(iter(parts))
        parts = {first: parts[first]}
    return models, parts


def residual_sums(
    dm: Datamodels,
    models: Models,
    parts: Mapping[str, Rows],
    targets: NDArray[np.int64],
    progress: Progress | None = None,
) -> ResidualSums:
    """Of these targets: from the counts that the study keeps where it can be, else by one pass over the models."""
    return reduce(add, [_of_part(dm, models, rows, name, targets, progress) for name, rows in parts.items()])


def sums_of_counts(weight: NDArray[Any], bias: NDArray[Any], counts: Counts) -> ResidualSums:
    """From counts of the outputs alone; weight [n, T], bias [T] for their targets."""
    from scipy.sparse import csr_array

    columns = csr_array(np.asarray(weight, np.float64).T)
    gram_weight = np.empty((counts.n, bias.size))
    for start in range(0, counts.n, ROWS):
        rows = slice(start, start + ROWS)
        gram_weight[rows] = (columns @ np.asarray(counts.gram[rows], np.float64).T).T
    dense = np.asarray(weight, np.float64)
    ones_weight = counts.ones @ dense
    # About the outputs' mean: far from zero, squares would lose what is left of them.
    mean = counts.y_sum / counts.m
    bias = bias - mean
    xty = counts.xty - np.outer(counts.ones, mean)
    explained = (dense * (gram_weight - 2 * xty)).sum(axis=0) + 2 * bias * ones_weight
    return ResidualSums(
        counts.m,
        counts.ones,
        xty - gram_weight - np.outer(counts.ones, bias),
        -ones_weight - counts.m * bias,
        counts.y_dev + explained + counts.m * bias**2,
    )


def _of_part(
    dm: Datamodels, models: Models, rows: Rows, part: str, targets: NDArray[np.int64], progress: Progress | None
) -> ResidualSums:
    kept = kept_counts(models, rows, part, gram_kind(dm.n))
    if kept is not None:
        return sums_of_counts(dm.weight[:, targets], dm.bias[targets], of_targets(kept, targets))
    blocks = _residuals(dm, models, rows, targets)
    found = count_blocks(blocks, models=rows.size, progress=progress, gram="none")
    return ResidualSums(found.m, found.ones, found.xty, found.y_sum, found.y_sq)


def _residuals(
    dm: Datamodels, models: Models, rows: Rows, targets: NDArray[np.int64]
) -> Iterator[tuple[Masks, Floats]]:
    for masks, outputs in models.blocks(rows):
        yield masks, outputs[:, targets].astype(np.float64) - dm.predict(masks, targets.tolist())
