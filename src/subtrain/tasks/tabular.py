"""Tables bundled with scikit-learn, or your own, with any scikit-learn estimator: a task from the command line."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.store.npy_files import npz_arrays
from subtrain.system.paths import local_path
from subtrain.tasks.base import FunctionTask, View
from subtrain.tasks.loading.load import module_of_user
from subtrain.tasks.loading.task_factory import task_factory
from subtrain.tasks.scikit import sklearn

BUNDLED = ("breast_cancer", "wine", "iris", "digits", "diabetes")


@task_factory
def tabular(
    data: str = "breast_cancer",
    estimator: str = "sklearn.linear_model:LogisticRegression",
    params: dict[str, Any] | None = None,
    test_size: float = 0.3,
    scale: bool = True,
    outputs: Sequence[str] | None = None,
    margin: str = "max",
    seed: int = 0,
    dtype: str | None = None,
) -> FunctionTask:
    """Fit a scikit-learn estimator on subsets of a table.

    data: breast_cancer, wine, iris, digits or diabetes (bundled with scikit-learn), or the path of an .npz file with
    arrays x and y (and x_test, y_test; otherwise `test_size` of the rows become targets, chosen by `seed`).
    estimator: import path of the estimator class, `params` its arguments; scale: standardize the features first.
    outputs, margin, dtype: as in `sklearn`.
    """
    arrays, columns = _load(data)
    if len(arrays) == 2:
        arrays = _split(*arrays, test_size, seed)
    x, y, x_test, y_test = arrays
    model = _estimator(estimator, params or {})
    if scale:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        model = make_pipeline(StandardScaler(), model)
    view = View(
        labels={"train": [str(v) for v in y], "test": [str(v) for v in y_test]},
        tables={split: _table(part, columns) for split, part in (("train", x), ("test", x_test))},
    )
    return sklearn(model, x, y, x_test, y_test, outputs, margin, view, dtype=dtype)


def _table(x: NDArray[Any], columns: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Features by name, by number where they have no names of their own."""
    flat = x.reshape(len(x), -1)
    names = columns if len(columns) == flat.shape[1] else [f"x{number}" for number in range(flat.shape[1])]
    return {str(name): flat[:, number] for number, name in enumerate(names)}


def _load(data: str) -> tuple[tuple[NDArray[Any], ...], Sequence[str]]:
    """x and y, or x, y, x_test and y_test, and the names of the features as far as they are known."""
    if data in BUNDLED:
        found = getattr(importlib.import_module("sklearn.datasets"), f"load_{data}")()
        return (found.data, found.target), list(found.feature_names)
    path = local_path(data)
    if path.suffix != ".npz" or not path.is_file():
        raise InputError(f"data must be one of {', '.join(BUNDLED)} or an .npz file that exists, got {data!r}")
    split = ("x", "y", "x_test", "y_test")
    return tuple(npz_arrays(path, lambda there: split if "x_test" in there else split[:2]).values()), ()


def _split(x: NDArray[Any], y: NDArray[Any], test_size: float, seed: int) -> tuple[NDArray[Any], ...]:
    from sklearn.model_selection import train_test_split

    few_values = np.unique(y).size <= 50
    x, x_test, y, y_test = train_test_split(
        x, y, test_size=test_size, random_state=seed, stratify=y if few_values else None
    )
    return x, y, x_test, y_test


def _estimator(name: str, params: dict[str, Any]) -> Any:
    module, _, attribute = name.partition(":")
    try:
        cls = getattr(module_of_user(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"estimator must be module:Class, for example sklearn.svm:SVC; {name!r}: {error}") from error
    if not isinstance(cls, type) or not hasattr(cls, "fit"):
        raise InputError(f"estimator must be a class with a method fit, as scikit-learn's; {name!r} is none")
    try:
        return cls(**params)
    except TypeError as error:
        raise InputError(f"{name} does not take parameters {params}: {error}") from error
