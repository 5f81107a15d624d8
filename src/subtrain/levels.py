"""Levels: what the size of a mask does to an output, beside what its units do.

Masks of one size cannot tell it: adding c to every weight and taking c alpha n from the bias changes no prediction on
any of them. Anchors, models of larger subsets and of all units, can.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from subtrain.designs.samplers import subset_size
from subtrain.system.types import Floats

# Rows of `Datamodels.level`: slope and bend between alpha and all units, and the standard error of their sum.
SLOPE, BEND, ERROR = range(3)
# Where the metadata say what the level comes from: a number of anchors, or masks of several sizes.
LEVEL, ANCHORS, SIZES = "level", "anchors", "sizes"


def places(sizes: ArrayLike, n: int, alpha: float) -> Floats:
    """How far masks of these sizes are from alpha (0) to all units (1), float64."""
    usual = subset_size(alpha, n)
    return np.asarray((np.asarray(sizes, np.float64) - usual) / (n - usual))


def basis(place: Floats) -> Floats:
    """[k, 2]: what slope and bend are multiplied by at each place; below alpha, where nothing was seen, no bend."""
    return np.stack([place, np.maximum(place, 0.0) ** 2], axis=1)


def said_of_level(meta: Mapping[str, Any], there: bool) -> str:
    """What identifies the level of datamodels with this metadata, in words. there: whether they hold a level."""
    found = meta.get(LEVEL, {})
    if there and found.get(ANCHORS):
        return f"level identified by {found[ANCHORS]:,} anchor models"
    if found.get(SIZES):
        return "level identified by masks of several sizes"
    return f"level not identified: only differences at alpha {_alpha(meta)} can be trusted"


def _alpha(meta: Mapping[str, Any]) -> str:
    alpha = meta.get("alpha")
    return "of the design" if not isinstance(alpha, (int, float)) else f"{alpha:g}"
