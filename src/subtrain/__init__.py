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
    from subtrain.collection.check.task_check import check
    from subtrain.collection.status import status
    from subtrain.datamodels import Datamodels
    from subtrain.designs.drawn import Design
    from subtrain.errors import SubtrainError
    from subtrain.evaluation import Evaluation, evaluate
    from subtrain.explorer.report import write_report
    from subtrain.fits import load_fit
    from subtrain.masks import Masks
    from subtrain.outputs import Output
    from subtrain.quantities import correctness, cross_entropy, margins
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
    from subtrain.studies.export import export
    from subtrain.studies.imports.arrays import import_arrays, import_folder
    from subtrain.studies.imports.reference import import_reference
    from subtrain.studies.stored_study import Study
    from subtrain.tasks.loading.task_factory import task_factory
    from subtrain.uses.alphas import Alphas, compare_alphas
    from subtrain.uses.audit import Audit, audit
    from subtrain.uses.brittleness import Brittleness, brittleness
    from subtrain.uses.budget import Budget, budget
    from subtrain.uses.clusters import Clusters, clusters
    from subtrain.uses.compare import Comparison, compare
    from subtrain.uses.component_tails import TailRemoval, remove_tails
    from subtrain.uses.counterfactual import Counterfactuals, counterfactuals
    from subtrain.uses.embedding import Embedding, embedding
    from subtrain.uses.group_debias import debias_group
    from subtrain.uses.kit.standard_errors import standard_errors
    from subtrain.uses.leakage import Leakage, leakage
    from subtrain.uses.learning_curve import LearningCurve, learning_curve
    from subtrain.uses.memorization import Influences, Memorization, empirical_influence, memorization
    from subtrain.uses.mislabeled import Mislabeled, mislabeled
    from subtrain.uses.neighbors import Neighbors, neighbors
    from subtrain.uses.poison import Poison, poison
    from subtrain.uses.removals import Removal, removals
    from subtrain.uses.retrain import Retrained, retrain
    from subtrain.uses.retrain_mislabeled import Mislabeling, retrain_mislabeled
    from subtrain.uses.select import Selection, select, verify_selection
    from subtrain.uses.significance import Significance, significance
    from subtrain.uses.support import Support, support
    from subtrain.uses.training_sets import TrainingSets, compare_training_sets, compare_without
    from subtrain.uses.valuation import Values, ame, banzhaf, shapley, shapley_alphas
    from subtrain.uses.verify_difference import DifferenceCheck, verify_difference

_WHERE = {
    "AME": "regression",
    "Alphas": "uses.alphas",
    "Audit": "uses.audit",
    "Brittleness": "uses.brittleness",
    "Budget": "uses.budget",
    "Clusters": "uses.clusters",
    "Comparison": "uses.compare",
    "Counterfactuals": "uses.counterfactual",
    "Datamodels": "datamodels",
    "Design": "design",
    "DifferenceCheck": "uses.verify_difference",
    "ElasticNet": "regression",
    "Embedding": "uses.embedding",
    "Evaluation": "evaluation",
    "Influences": "uses.memorization",
    "Lasso": "regression",
    "LassoLarge": "regression",
    "Leakage": "uses.leakage",
    "LearningCurve": "curve",
    "LeastSquares": "regression",
    "LeaveSelfOut": "regression",
    "Masks": "masks",
    "MeanDifference": "regression",
    "Memorization": "uses.memorization",
    "Mislabeled": "uses.mislabeled",
    "Mislabeling": "uses.retrain_mislabeled",
    "Neighbors": "uses.neighbors",
    "Output": "outputs",
    "Pairs": "regression",
    "Poison": "uses.poison",
    "Removal": "uses.removals",
    "Retrained": "uses.retrain",
    "Ridge": "regression",
    "Selection": "uses.select",
    "SharedPrior": "regression",
    "Significance": "uses.significance",
    "Study": "store.study",
    "SubtrainError": "errors",
    "Support": "uses.support",
    "TailRemoval": "uses.tails",
    "TrainingSets": "uses.training_sets",
    "Values": "uses.valuation",
    "ame": "uses.valuation",
    "audit": "uses.audit",
    "banzhaf": "uses.valuation",
    "brittleness": "uses.brittleness",
    "budget": "uses.budget",
    "check": "collection.check",
    "clusters": "uses.clusters",
    "collect": "collection",
    "compare": "uses.compare",
    "compare_alphas": "uses.alphas",
    "compare_training_sets": "uses.training_sets",
    "compare_without": "uses.training_sets",
    "correctness": "quantities",
    "counterfactuals": "uses.counterfactual",
    "cross_entropy": "quantities",
    "debias_group": "uses.group_debias",
    "embedding": "uses.embedding",
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
    "margins": "quantities",
    "memorization": "uses.memorization",
    "mislabeled": "uses.mislabeled",
    "neighbors": "uses.neighbors",
    "pairs_of": "regression",
    "poison": "uses.poison",
    "public": "public",
    "removals": "uses.removals",
    "remove_tails": "uses.tails",
    "retrain": "uses.retrain",
    "retrain_mislabeled": "uses.retrain_mislabeled",
    "select": "uses.select",
    "shapley": "uses.valuation",
    "shapley_alphas": "uses.valuation",
    "significance": "uses.significance",
    "standard_errors": "uses.standard_errors",
    "status": "collection.status",
    "support": "uses.support",
    "task_factory": "tasks.trusted",
    "tasks": "tasks",
    "verify_difference": "uses.verify_difference",
    "verify_selection": "uses.select",
    "write_report": "explorer.report",
}

__all__ = [
    "AME",
    "Alphas",
    "Audit",
    "Brittleness",
    "Budget",
    "Clusters",
    "Comparison",
    "Counterfactuals",
    "Datamodels",
    "Design",
    "DifferenceCheck",
    "ElasticNet",
    "Embedding",
    "Evaluation",
    "Influences",
    "Lasso",
    "LassoLarge",
    "Leakage",
    "LearningCurve",
    "LeastSquares",
    "LeaveSelfOut",
    "Masks",
    "MeanDifference",
    "Memorization",
    "Mislabeled",
    "Mislabeling",
    "Neighbors",
    "Output",
    "Pairs",
    "Poison",
    "Removal",
    "Retrained",
    "Ridge",
    "Selection",
    "SharedPrior",
    "Significance",
    "Study",
    "SubtrainError",
    "Support",
    "TailRemoval",
    "TrainingSets",
    "Values",
    "__version__",
    "ame",
    "audit",
    "banzhaf",
    "brittleness",
    "budget",
    "check",
    "clusters",
    "collect",
    "compare",
    "compare_alphas",
    "compare_training_sets",
    "compare_without",
    "correctness",
    "counterfactuals",
    "cross_entropy",
    "debias_group",
    "embedding",
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
    "remove_tails",
    "retrain",
    "retrain_mislabeled",
    "select",
    "shapley",
    "shapley_alphas",
    "significance",
    "standard_errors",
    "status",
    "support",
    "task_factory",
    "tasks",
    "verify_difference",
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
