"""Datamodels: which training data made the model predict this, and what would it predict without them?

>>> import subtrain as st
>>> study = st.Study.create("runs/digits", task=st.tasks.digits(), design=st.Design(alpha=0.5, models=5000))
>>> study.collect()
>>> dm = st.fit(study, outputs="test_margins")
>>> print(st.evaluate(dm, study)); dm.top(target=7, k=5)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from subtrain._version import __version__

if TYPE_CHECKING:
    from subtrain import public, tasks
    from subtrain.collection import collect
    from subtrain.collection.check import check
    from subtrain.collection.status import status
    from subtrain.curve import LearningCurve, learning_curve
    from subtrain.datamodels import Datamodels
    from subtrain.design import Design
    from subtrain.errors import SubtrainError
    from subtrain.evaluation import Evaluation, evaluate
    from subtrain.explorer.report import write_report
    from subtrain.fits import load_fit
    from subtrain.masks import Masks
    from subtrain.outputs import Output, correctness, cross_entropy, margins
    from subtrain.regression import (
        AME,
        ElasticNet,
        Lasso,
        LassoLarge,
        LeastSquares,
        LeaveSelfOut,
        MeanDifference,
        Pairs,
        Ridge,
        SharedPrior,
        fit,
        pairs_of,
    )
    from subtrain.store.export import export
    from subtrain.store.imported import import_arrays, import_folder
    from subtrain.store.reference import import_reference
    from subtrain.store.study import Study
    from subtrain.uses.alphas import Alphas, compare_alphas
    from subtrain.uses.audit import Audit, audit
    from subtrain.uses.brittleness import Brittleness, brittleness
    from subtrain.uses.budget import Budget, budget
    from subtrain.uses.counterfactual import Counterfactuals, counterfactuals
    from subtrain.uses.group_debias import debias_group
    from subtrain.uses.leakage import Leakage, leakage
    from subtrain.uses.memorization import empirical_influence, memorization
    from subtrain.uses.mislabeled import mislabeled
    from subtrain.uses.neighbors import Neighbors, neighbors
    from subtrain.uses.poison import poison
    from subtrain.uses.removals import Removal, removals
    from subtrain.uses.retrain import Retrained, retrain
    from subtrain.uses.retrain_mislabelled import Mislabelling, retrain_mislabelled
    from subtrain.uses.select import select, verify_selection
    from subtrain.uses.significance import Significance, significance
    from subtrain.uses.standard_errors import standard_errors
    from subtrain.uses.support import Support, support
    from subtrain.uses.training_sets import compare_training_sets, compare_without
    from subtrain.uses.valuation import ame, banzhaf, shapley, shapley_alphas

_WHERE = {
    "AME": "regression",
    "Alphas": "uses.alphas",
    "Audit": "uses.audit",
    "Brittleness": "uses.brittleness",
    "Budget": "uses.budget",
    "Counterfactuals": "uses.counterfactual",
    "Datamodels": "datamodels",
    "Design": "design",
    "ElasticNet": "regression",
    "Evaluation": "evaluation",
    "Lasso": "regression",
    "LassoLarge": "regression",
    "Leakage": "uses.leakage",
    "LearningCurve": "curve",
    "LeastSquares": "regression",
    "LeaveSelfOut": "regression",
    "Masks": "masks",
    "MeanDifference": "regression",
    "Mislabelling": "uses.retrain_mislabelled",
    "Neighbors": "uses.neighbors",
    "Output": "outputs",
    "Pairs": "regression",
    "Removal": "uses.removals",
    "Retrained": "uses.retrain",
    "Ridge": "regression",
    "Significance": "uses.significance",
    "SharedPrior": "regression",
    "Study": "store.study",
    "SubtrainError": "errors",
    "Support": "uses.support",
    "audit": "uses.audit",
    "brittleness": "uses.brittleness",
    "budget": "uses.budget",
    "ame": "uses.valuation",
    "banzhaf": "uses.valuation",
    "check": "collection.check",
    "collect": "collection",
    "compare_alphas": "uses.alphas",
    "compare_training_sets": "uses.training_sets",
    "compare_without": "uses.training_sets",
    "correctness": "outputs",
    "counterfactuals": "uses.counterfactual",
    "cross_entropy": "outputs",
    "debias_group": "uses.group_debias",
    "empirical_influence": "uses.memorization",
    "evaluate": "evaluation",
    "export": "store.export",
    "fit": "regression",
    "import_arrays": "store.imported",
    "import_folder": "store.imported",
    "import_reference": "store.reference",
    "leakage": "uses.leakage",
    "learning_curve": "curve",
    "load_fit": "fits",
    "margins": "outputs",
    "pairs_of": "regression",
    "neighbors": "uses.neighbors",
    "removals": "uses.removals",
    "memorization": "uses.memorization",
    "mislabeled": "uses.mislabeled",
    "poison": "uses.poison",
    "retrain": "uses.retrain",
    "retrain_mislabelled": "uses.retrain_mislabelled",
    "significance": "uses.significance",
    "standard_errors": "uses.standard_errors",
    "select": "uses.select",
    "shapley": "uses.valuation",
    "shapley_alphas": "uses.valuation",
    "public": "public",
    "status": "collection.status",
    "support": "uses.support",
    "tasks": "tasks",
    "verify_selection": "uses.select",
    "write_report": "explorer.report",
}

__all__ = [
    "AME",
    "Alphas",
    "Audit",
    "Brittleness",
    "Budget",
    "Counterfactuals",
    "Datamodels",
    "Design",
    "ElasticNet",
    "Evaluation",
    "Lasso",
    "LassoLarge",
    "Leakage",
    "LearningCurve",
    "LeastSquares",
    "LeaveSelfOut",
    "Masks",
    "MeanDifference",
    "Mislabelling",
    "Neighbors",
    "Output",
    "Pairs",
    "Removal",
    "Retrained",
    "Ridge",
    "SharedPrior",
    "Significance",
    "Study",
    "SubtrainError",
    "Support",
    "__version__",
    "ame",
    "audit",
    "banzhaf",
    "brittleness",
    "budget",
    "check",
    "collect",
    "compare_alphas",
    "compare_training_sets",
    "compare_without",
    "correctness",
    "counterfactuals",
    "cross_entropy",
    "debias_group",
    "empirical_influence",
    "evaluate",
    "export",
    "fit",
    "import_arrays",
    "import_folder",
    "import_reference",
    "leakage",
    "learning_curve",
    "load_fit",
    "margins",
    "memorization",
    "mislabeled",
    "neighbors",
    "pairs_of",
    "poison",
    "public",
    "removals",
    "retrain",
    "retrain_mislabelled",
    "select",
    "shapley",
    "shapley_alphas",
    "significance",
    "standard_errors",
    "status",
    "support",
    "tasks",
    "verify_selection",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'subtrain' has no attribute {name!r}")
    module = import_module(f"subtrain.{_WHERE[name]}")
    found = module if name in ("public", "tasks") else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
