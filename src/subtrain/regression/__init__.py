"""Regression: exact counts of masks and outputs, and the datamodels that they determine."""

from subtrain.regression.ame import AME
from subtrain.regression.arrivals import array_blocks
from subtrain.regression.blocks import lasso_from_counts
from subtrain.regression.choose import LassoFit, LassoOptions
from subtrain.regression.counts import Counts, count
from subtrain.regression.elastic_net import ElasticNet
from subtrain.regression.folds import lasso_kfold
from subtrain.regression.gram import CompactGram
from subtrain.regression.judging import Judges
from subtrain.regression.large import lasso_large
from subtrain.regression.large_lasso import LassoLarge
from subtrain.regression.lasso import Lasso
from subtrain.regression.leave_self_out import LeaveSelfOut
from subtrain.regression.mean_difference import MeanDifference
from subtrain.regression.pairs import Pairs, pairs_of
from subtrain.regression.path import Path, lasso_path, solve_at
from subtrain.regression.ridge import LeastSquares, Ridge
from subtrain.regression.saved import load_counts, save_counts
from subtrain.regression.shards import finite_models
from subtrain.regression.shared import SharedPrior
from subtrain.regression.stream import count_blocks, peak_bytes
from subtrain.regression.study import fit
from subtrain.regression.warn import FitWarning

__all__ = [
    "AME",
    "CompactGram",
    "Counts",
    "ElasticNet",
    "FitWarning",
    "Judges",
    "Lasso",
    "LassoFit",
    "LassoLarge",
    "LassoOptions",
    "LeastSquares",
    "LeaveSelfOut",
    "MeanDifference",
    "Pairs",
    "Path",
    "Ridge",
    "SharedPrior",
    "array_blocks",
    "count",
    "count_blocks",
    "finite_models",
    "fit",
    "lasso_from_counts",
    "lasso_kfold",
    "lasso_large",
    "lasso_path",
    "load_counts",
    "pairs_of",
    "peak_bytes",
    "save_counts",
    "solve_at",
]
