"""Fit: exact counts of masks and outputs, and the datamodels that they determine."""

from subtrain.regression.choose import FitWarning, LassoFit, LassoOptions, lasso_from_counts
from subtrain.regression.counts import Counts, count
from subtrain.regression.lasso import Lasso
from subtrain.regression.path import Path, lasso_path, solve_at
from subtrain.regression.stream import count_blocks
from subtrain.regression.study import fit

__all__ = [
    "Counts",
    "FitWarning",
    "Lasso",
    "LassoFit",
    "LassoOptions",
    "Path",
    "count",
    "count_blocks",
    "fit",
    "lasso_from_counts",
    "lasso_path",
    "solve_at",
]
