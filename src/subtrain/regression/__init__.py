"""Regression: exact counts of masks and outputs, and the datamodels that they determine."""

from subtrain.regression.counting.compact_gram import CompactGram
from subtrain.regression.counting.count_stream import count, count_blocks, peak_bytes
from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.model_stream import array_blocks
from subtrain.regression.counting.saved_counts import load_counts, save_counts
from subtrain.regression.counting.shards import finite_models
from subtrain.regression.estimators.ame import AME
from subtrain.regression.estimators.elastic_net import ElasticNet
from subtrain.regression.estimators.kit.pairs import Pairs, pairs_of
from subtrain.regression.estimators.lasso import Lasso
from subtrain.regression.estimators.lasso_large import LassoLarge
from subtrain.regression.estimators.leave_self_out import LeaveSelfOut
from subtrain.regression.estimators.mean_difference import MeanDifference
from subtrain.regression.estimators.ridge import LeastSquares, Ridge
from subtrain.regression.estimators.shared_prior import SharedPrior
from subtrain.regression.fit_study import fit
from subtrain.regression.fit_warnings import FitWarning
from subtrain.regression.large.solver import lasso_large
from subtrain.regression.lasso.folds import lasso_kfold
from subtrain.regression.lasso.lambda_choice import LassoFit, LassoOptions
from subtrain.regression.lasso.path import Path, lasso_path, solve_at
from subtrain.regression.lasso.target_blocks import lasso_from_counts
from subtrain.regression.lasso.validation_error import Judges

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
