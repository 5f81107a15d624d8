"""The registry of estimators: the name on the command line, and where the class is found.

A new estimator is one file here, a subclass of `LinearEstimator` (kit/linear_estimator.py), and one line below; one of
another package is an entry point in the group `subtrain.estimators`. Nothing else needs to know of it: the command
line, `fit`, the tests and the documents read this table and what each class declares.
"""

from __future__ import annotations

from subtrain.system.registry import Registry

ESTIMATORS = Registry(
    "estimator",
    "subtrain.estimators",
    {
        "lasso": "subtrain.regression.estimators.lasso:Lasso",
        "ridge": "subtrain.regression.estimators.ridge:Ridge",
        "least-squares": "subtrain.regression.estimators.ridge:LeastSquares",
        "elastic-net": "subtrain.regression.estimators.elastic_net:ElasticNet",
        "mean-difference": "subtrain.regression.estimators.mean_difference:MeanDifference",
        "ame": "subtrain.regression.estimators.ame:AME",
        "lasso-large": "subtrain.regression.estimators.lasso_large:LassoLarge",
        "shared-prior": "subtrain.regression.estimators.shared_prior:SharedPrior",
        "leave-self-out": "subtrain.regression.estimators.leave_self_out:LeaveSelfOut",
    },
)


def registered_name(class_name: str) -> str | None:
    """The name of the estimator whose class is called so, as fits record it; None where none is registered."""
    return next((name for name in ESTIMATORS if ESTIMATORS.place(name).endswith(f":{class_name}")), None)
