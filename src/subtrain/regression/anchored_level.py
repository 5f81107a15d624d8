"""The level of fitted datamodels, from a study's anchors: what they answer beyond what the weights say."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.designs.checks import BERNOULLI
from subtrain.designs.model_rows import ANCHOR
from subtrain.levels import ANCHORS, ERROR, LEVEL, SIZES, basis, places
from subtrain.masks import Masks
from subtrain.regression.estimators.kit.guessed import Moments, effects
from subtrain.regression.study_models import Models
from subtrain.system.types import Floats

# Anchors from which on targets are shrunk towards their mean: fewer do not tell how noisy they are.
SHRUNK = 6
# Weights that are read at a time.
BLOCK = 1 << 24


def anchored_level(
    models: Models, weight: NDArray[np.floating[Any]], bias: NDArray[np.floating[Any]]
) -> tuple[Floats | None, dict[str, Any]]:
    """`Datamodels.level` [3, T] of these weights, None without anchors, and what the metadata say of it.

    1. What anchors answer beyond the weights' prediction, which counts their units as fitted. 2. A slope and a bend
    between alpha and all units for each target, normal over targets (effects learned by EM). Both are 0 at alpha: no
    prediction for a mask of the design's size changes.
    """
    study = models.study
    alpha, rows = study.design.alpha, study.done(ANCHOR)
    if not isinstance(alpha, float):
        return None, {LEVEL: {SIZES: True}}
    masks = study.masks(rows)
    place = places(masks.sizes(), study.n, alpha)
    rows, masks, place = rows[place > 0], masks[place > 0], place[place > 0]
    if not rows.size:
        known = study.design.drawn is not None and study.design.drawn.kind == BERNOULLI
        return None, {LEVEL: {SIZES: True}} if known else {}
    # 1. Beyond the weights. Anchors have seeds of their own and no partners.
    beyond = models.outputs_of(rows).astype(np.float64) - _predicted(masks, weight, bias)
    usable = np.isfinite(beyond).all(axis=1)
    beyond, place = beyond[usable], place[usable]
    if not place.size:
        return None, {}
    # 2. Slope and bend.
    terms = min(2, np.unique(place).size)
    return _fitted(basis(place)[:, :terms], beyond), {LEVEL: {ANCHORS: int(place.size)}}


def _predicted(masks: Masks, weight: NDArray[np.floating[Any]], bias: NDArray[np.floating[Any]]) -> Floats:
    step = max(1, BLOCK // len(weight))
    parts = [masks.times(weight[:, k : k + step].astype(np.float64)) for k in range(0, weight.shape[1], step)]
    return np.concatenate(parts, axis=1) + bias


def _fitted(x: Floats, beyond: Floats) -> Floats:
    """[3, T]: slope, bend and the standard error of their sum, which is the level of all units."""
    count, terms = x.shape
    level = np.zeros((3, beyond.shape[1]))
    free = float(np.linalg.pinv(x.T @ x).sum())
    if count < SHRUNK:
        level[:terms] = np.linalg.lstsq(x, beyond, rcond=None)[0]
        left = ((beyond - x @ level[:terms]) ** 2).sum(axis=0).mean()
        level[ERROR] = np.sqrt(free * left / (count - terms)) if count > terms else np.nan
        return level
    square = np.broadcast_to(x.T @ x / count, (beyond.shape[1], terms, terms))
    found = effects(Moments(count, square.copy(), beyond.T @ x / count, (beyond**2).mean(axis=0)))
    level[:terms] = found.factors.T
    # Of each target, and of the mean over targets, which is estimated too; likelihood counts no degrees of freedom.
    variance = found.cover.sum(axis=(1, 2)) + free * found.noise.mean() / found.noise.size
    level[ERROR] = np.sqrt(variance * count / (count - terms))
    return level
