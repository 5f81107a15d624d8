"""How much of the noise that half-sums of pairs tell is noise of their differences, by what validation models say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subtrain.regression.mask_covariance import design_covariance
from subtrain.regression.study_models import Models
from subtrain.system.types import Floats

# Targets that tell it: evenly spaced, for all targets share it.
TARGETS = 100
# Below it some hundred validation models tell nothing: on digits it is .44 at 150 units and .26 at 300.
LEAST_SHARE = 0.25
# Masks multiplied at a time.
ROWS = 256


def noise_share(models: Models, rows: NDArray[np.int64], half_sums: Floats) -> float:
    """Noise of differences over that of half-sums, which count even effects too; at most 1, which it is where the
    models do not tell. rows: of orthogonal sets; half_sums: [T].

    Of orthogonal rows least squares have a closed form. The noise in their weights makes predictions vary that no
    outcome follows, so outputs of validation models rise by less than 1 as predictions rise by 1, and what is missing
    is the share of noise in the predictions' variance. 1. The weights, O(m n T); 2. predictions of validation models,
    and how outputs follow them, over all targets in units of their noise; 3. the share, and one standard error more.
    """
    design, own = models.study.design.drawn, models.validation
    if design is None or own is None or models.validation_joins:
        return 1.0
    some = np.unique(np.linspace(0, models.targets - 1, TARGETS).astype(np.int64))
    some = some[half_sums[some] > 0]
    if not some.size:
        return 1.0
    # 1. Least squares.
    covariance = design_covariance(design)
    cross, ones, total = np.zeros((covariance.n, some.size)), np.zeros(covariance.n), np.zeros(some.size)
    for masks, outputs in models.blocks(rows):
        y = outputs[:, some].astype(np.float64)
        total += y.sum(axis=0)
        for start in range(0, len(masks), ROWS):
            held = masks[start : start + ROWS].unpack().astype(np.float64)
            cross += held.T @ y[start : start + ROWS]
            ones += held.sum(axis=0)
    weight = covariance.solve(cross - np.outer(ones, total) / rows.size) / rows.size
    # 2. Validation models.
    held_out = models.in_memory(own)
    predicted = held_out.masks.unpack() @ weight
    predicted -= predicted.mean(axis=0)
    y = held_out.outputs[:, some].astype(np.float64)
    y -= y.mean(axis=0)
    follows, square = ((predicted * other / half_sums[some]).sum(axis=1) for other in (y, predicted))
    slope = follows.sum() / square.sum()
    error = np.sqrt(np.square(follows - slope * square).sum()) / square.sum()
    # 3. The predictions' variance in noise, where all of half_sums were noise.
    noise = some.size * (covariance.n - covariance.singular) / rows.size
    return float(np.clip((1 - slope + error) * square.mean() / noise, LEAST_SHARE, 1.0))
