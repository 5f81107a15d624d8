"""Tasks from scikit-learn estimators: any classifier or regressor, pipelines included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.fingerprint import fingerprint
from subtrain.outputs import SchemaError, asked, declare, from_logits
from subtrain.quantities import QUANTITIES, parse_name
from subtrain.tasks.base import FunctionTask, View, checked_n, with_changes
from subtrain.tasks.kit import convert
from subtrain.tasks.relabel import Twins
from subtrain.tasks.watching.fingerprint_0_1 import settings_of
from subtrain.tasks.watching.watched import Watched

FLOOR = 10.0


def sklearn(
    estimator: Any,
    x: Any,
    y: Any,
    x_test: Any,
    y_test: Any,
    outputs: Sequence[str] | None = None,
    margin: str = "max",
    view: View | None = None,
    sample_weight: ArrayLike | None = None,
    dtype: str | None = None,
) -> FunctionTask:
    """A task that fits a clone of `estimator` on each subset of (x, y) and measures it on both splits.

    x, x_test: arrays, frames (which the estimator gets as frames) or sparse matrices; y, y_test: labels of any type, or
    numbers for a regressor; sample_weight: a weight for each training example, handed to `fit`.
    outputs: names such as test_margins, train_margins, test_logits, test_losses, test_correctness for a classifier,
    test_predictions for a regressor; dtype: theirs, by default float16 for a classifier, float32 for a regressor.
    Every `random_state` the estimator has is set to the model's training seed.
    Logits are `decision_function` where there is one, else log-probabilities; a class missing from the subset gets
    the smallest logit minus 10. A subset of one class is not fitted: its logit is 0, those of the others -10. An
    estimator that can only predict classes has the outputs test_correctness and train_correctness.
    """
    regression = _is_regressor(estimator)
    x, x_test = convert.table("x", x), convert.table("x_test", x_test)
    x_test = convert.matching(x, x_test)
    y = convert.column("y", y, convert.count(x))
    y_test = convert.column("y_test", y_test, convert.count(x_test), "x_test")
    if regression:
        values = None
        y, y_test = convert.amounts("y", y), convert.amounts("y_test", y_test)
    else:
        found = convert.sorted_classes(y, y_test)
        y, y_test, values = found.train, found.test, found.values
    classes = None if values is None else len(values)
    names = asked(outputs or (["test_predictions"] if regression else ["test_margins"]))
    if classes is not None and classes > 2 and not _of_classes(names):
        _check_a_score_a_class(estimator, InputError)
    schema = declare(names, {"train": len(y), "test": len(y_test)}, classes, margin, dtype)
    weight = None if sample_weight is None else _weight(estimator, sample_weight, len(y))
    train = _Fit(estimator, (x, y), {"train": (x, y), "test": (x_test, y_test)}, values, tuple(names), margin, weight)
    data = {"x": x, "y": y, "classes": values, "x_test": x_test, "y_test": y_test, "sample_weight": weight}
    watched = Watched(
        {"estimator": estimator, "outputs": [names, margin], **data},
        lambda: fingerprint(settings_of(estimator), names, margin, np.asarray(x), y, np.asarray(x_test), y_test),
    )
    known = None if regression else y
    task = FunctionTask(train, checked_n(len(y)), schema, "", view=view, labels=known, watched=watched)
    return task if classes is None else with_changes(task, relabel=partial(_with_twins, task, train, classes))


def _is_regressor(estimator: Any) -> bool:
    """InputError unless it is an estimator that predicts."""
    from sklearn.base import is_classifier, is_regressor

    name = estimator.__name__ if isinstance(estimator, type) else type(estimator).__name__
    if isinstance(estimator, type):
        raise InputError(f"estimator must be an estimator, not its class: write {name}()")
    if not hasattr(estimator, "fit") or not hasattr(estimator, "get_params"):
        raise InputError(f"estimator must be one of scikit-learn's kind, with fit and get_params, got a {name}")
    if is_regressor(estimator):
        return True
    if not is_classifier(estimator) and not any(hasattr(estimator, m) for m in ("predict_proba", "decision_function")):
        raise InputError(f"estimator must be a classifier or a regressor, {name} is neither")
    return False


def _weight(estimator: Any, weight: ArrayLike, examples: int) -> tuple[str, NDArray[np.float64]]:
    """The argument of `fit` that takes the weights, which is the last step's in a pipeline; and the weights."""
    found = convert.amounts("sample_weight", convert.column("sample_weight", weight, examples))
    if (found < 0).any():
        raise InputError(f"sample_weight must not be negative, row {int((found < 0).argmax())} is {found.min():g}")
    from sklearn.utils.validation import has_fit_parameter

    name = "sample_weight"
    while hasattr(estimator, "steps"):
        step, estimator = estimator.steps[-1]
        name = f"{step}__{name}"
    if not has_fit_parameter(getattr(estimator, "estimator", estimator), "sample_weight"):
        raise InputError(f"{type(estimator).__name__} takes no sample_weight: leave it out, or take another estimator")
    return name, found


def _with_twins(task: FunctionTask, train: _Fit, classes: int, units: ArrayLike, labels: ArrayLike) -> FunctionTask:
    """Labels are numbers of classes, in the order of the estimator's `classes_`."""
    twins = Twins.of(units, labels, task.n, classes)
    x, y = train.trained
    copies = np.concatenate([np.arange(task.n), twins.units])
    weight = None if train.weight is None else (train.weight[0], train.weight[1][copies])
    more = replace(
        train, trained=(convert.rows(x, copies), np.concatenate([y, twins.labels.astype(y.dtype)])), weight=weight
    )
    return with_changes(task, train_one=more, n=copies.size, labels=None, watched=twins.watched(task.watched))


@dataclass(frozen=True, eq=False)
class _Fit:
    """Trains one model. Labels are numbers of `values`, which the estimator is given; None for a regression."""

    estimator: Any
    trained: tuple[Any, NDArray[Any]]
    data: dict[str, tuple[Any, NDArray[Any]]]
    values: NDArray[Any] | None
    names: tuple[str, ...]
    margin: str
    weight: tuple[str, NDArray[np.float64]] | None = None

    def __call__(self, indices: NDArray[np.int64], seed: int) -> dict[str, Any]:
        splits = sorted({parse_name(name)[0] for name in self.names})
        present = np.arange(0) if self.values is None else np.unique(self.trained[1][indices])
        model = None if present.size == 1 else self._fitted(indices, seed)
        scores = {split: self._scores(model, present, self.data[split][0]) for split in splits}
        return from_logits(self.names, scores, {s: self.data[s][1] for s in splits}, self.margin)

    def _fitted(self, indices: NDArray[np.int64], seed: int) -> Any:
        from sklearn.base import clone

        if indices.size == 0:
            raise InputError("the subset holds no example to fit: raise alpha")
        model = clone(self.estimator)
        model.set_params(**{k: seed for k in model.get_params() if k.split("__")[-1] == "random_state"})
        x, y = self.trained
        more = {} if self.weight is None else {self.weight[0]: self.weight[1][indices]}
        model.fit(convert.rows(x, indices), (y if self.values is None else self.values[y])[indices], **more)
        return model

    def _scores(self, model: Any, present: NDArray[np.int64], x: Any) -> NDArray[Any]:
        """Predictions [N], or logits [N, C]; of no model, if the subset holds one class, the constant answer."""
        if self.values is None:
            predicted = np.asarray(model.predict(x))
            return predicted[:, 0] if predicted.ndim == 2 and predicted.shape[1] == 1 else predicted
        if model is None:
            scores = np.zeros((convert.count(x), 1))
        elif _of_classes(self.names):
            known = np.searchsorted(self.values, np.asarray(model.predict(x)).reshape(-1))
            return np.eye(len(self.values))[known]
        else:
            if present.size > 2:
                _check_a_score_a_class(model, SchemaError)
            scores, present = _logits(model, x), self._classes(model, present)
        if scores.shape[1] != present.size:
            raise SchemaError(
                f"{type(model).__name__} gives {scores.shape[1]} scores an example for {present.size} classes: "
                "set decision_function_shape='ovr', or take an estimator with a score a class"
            )
        logits = np.repeat(scores.min(axis=1, keepdims=True) - FLOOR, len(self.values), axis=1)
        logits[:, present] = scores
        return logits

    def _classes(self, model: Any, present: NDArray[np.int64]) -> NDArray[np.int64]:
        """The class of each column of scores; those of the subset if the model does not say."""
        known = getattr(model, "classes_", None)
        return present if known is None else np.searchsorted(self.values, np.asarray(known))  # type: ignore[arg-type]


def _of_classes(names: Sequence[str]) -> bool:
    """Whether predicted classes are enough for these outputs."""
    return all(QUANTITIES[parse_name(name)[1]].from_classes for name in names)


def _check_a_score_a_class(model: Any, error: type[Exception]) -> None:
    """Refuse an estimator that scores pairs of classes; of three classes there are as many pairs."""
    while hasattr(model, "steps") or hasattr(model, "best_estimator_") or hasattr(model, "param_grid"):
        found = getattr(model, "best_estimator_", getattr(model, "estimator", None))
        model = model.steps[-1][1] if hasattr(model, "steps") else found
    if getattr(model, "decision_function_shape", "") == "ovo":
        raise error(
            f"{type(model).__name__} with decision_function_shape='ovo' scores pairs of classes, not classes: set "
            "decision_function_shape='ovr' (the same fit), or ask for test_correctness"
        )


def _logits(model: Any, x: Any) -> NDArray[np.float64]:
    if hasattr(model, "decision_function"):
        scores = np.asarray(model.decision_function(x), np.float64)
        return np.stack([np.zeros_like(scores), scores], axis=1) if scores.ndim == 1 else scores
    if hasattr(model, "predict_proba"):
        probabilities = np.asarray(model.predict_proba(x), np.float64)
        return np.asarray(np.log(np.maximum(probabilities, 1e-7)))
    raise SchemaError(
        f"{type(model).__name__} has neither decision_function nor predict_proba to take logits from: ask for "
        "test_correctness, or take another estimator"
    )
