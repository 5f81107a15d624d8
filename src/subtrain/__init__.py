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
    from subtrain import tasks
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

_WHERE = {
    "AME": "regression",
    "Datamodels": "datamodels",
    "Design": "design",
    "ElasticNet": "regression",
    "Evaluation": "evaluation",
    "Lasso": "regression",
    "LassoLarge": "regression",
    "LearningCurve": "curve",
    "LeastSquares": "regression",
    "LeaveSelfOut": "regression",
    "Masks": "masks",
    "MeanDifference": "regression",
    "Output": "outputs",
    "Pairs": "regression",
    "Ridge": "regression",
    "SharedPrior": "regression",
    "Study": "store.study",
    "SubtrainError": "errors",
    "check": "collection.check",
    "collect": "collection",
    "correctness": "outputs",
    "cross_entropy": "outputs",
    "evaluate": "evaluation",
    "export": "store.export",
    "fit": "regression",
    "import_arrays": "store.imported",
    "import_folder": "store.imported",
    "import_reference": "store.reference",
    "learning_curve": "curve",
    "load_fit": "fits",
    "margins": "outputs",
    "pairs_of": "regression",
    "status": "collection.status",
    "tasks": "tasks",
    "write_report": "explorer.report",
}

__all__ = [
    "AME",
    "Datamodels",
    "Design",
    "ElasticNet",
    "Evaluation",
    "Lasso",
    "LassoLarge",
    "LearningCurve",
    "LeastSquares",
    "LeaveSelfOut",
    "Masks",
    "MeanDifference",
    "Output",
    "Pairs",
    "Ridge",
    "SharedPrior",
    "Study",
    "SubtrainError",
    "__version__",
    "check",
    "collect",
    "correctness",
    "cross_entropy",
    "evaluate",
    "export",
    "fit",
    "import_arrays",
    "import_folder",
    "import_reference",
    "learning_curve",
    "load_fit",
    "margins",
    "pairs_of",
    "status",
    "tasks",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'subtrain' has no attribute {name!r}")
    module = import_module(f"subtrain.{_WHERE[name]}")
    found = module if name == "tasks" else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
