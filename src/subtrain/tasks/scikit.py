"""Tasks from scikit-learn estimators: any classifier or regressor, pipelines included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.outputs import declare, from_logits, parse_name
from subtrain.tasks.base import FunctionTask, View, checked_n
from subtrain.tasks.fingerprint import fingerprint, source_of
from subtrain.tasks.relabel import Twins

FLOOR = 10.0


def sklearn(
    estimator: Any,
    x: ArrayLike,
    y: ArrayLike,
    x_test: ArrayLike,
    y_test: ArrayLike,
    outputs: Sequence[str] | None = None,
    margin: str = "max",
    view: View | None = None,
) -> FunctionTask:
    """A task that fits a clone of `estimator` on each subset of (x, y) and measures it on both splits.

    outputs: names such as test_margins, train_margins, test_logits, test_losses, test_correctness for a classifier,
    test_predictions for a regressor. Every `random_state` the estimator has is set to the model's training seed.
    Logits are `decision_function` where there is one, else log-probabilities; a class missing from the subset gets
    the smallest logit minus 10.
    """
    from sklearn.base import is_regressor

    x, x_test = np.asarray(x), np.asarray(x_test)
    y, y_test = np.asarray(y), np.asarray(y_test)
    if len(x) != len(y) or len(x_test) != len(y_test):
        raise InputError(f"x and y differ in length: {len(x)}, {len(y)} to train, {len(x_test)}, {len(y_test)} to test")
    classes = None if is_regressor(estimator) else np.unique(y)
    if classes is not None:
        y, y_test = _encode(y, classes), _encode(y_test, classes)
    names = list(outputs or (["test_predictions"] if classes is None else ["test_margins"]))
    schema = declare(names, {"train": len(x), "test": len(x_test)}, None if classes is None else len(classes), margin)
    data = {"train": (x, y), "test": (x_test, y_test)}
    count = None if classes is None else len(classes)
    train = partial(_train, estimator, data["train"], data, count, names, margin)
    about = fingerprint(_settings(estimator), names, margin, x, y, x_test, y_test)
    task = FunctionTask(train, checked_n(len(x)), schema, about, view=view)
    return task if count is None else replace(task, relabel=partial(_with_twins, task, train, count))


def _with_twins(
    task: FunctionTask, train: partial[Any], classes: int, units: ArrayLike, labels: ArrayLike
) -> FunctionTask:
    """Labels are numbers of classes, in the order of the estimator's `classes_`."""
    estimator, trained, *others = train.args
    twins = Twins.of(units, labels, task.n, classes)
    about = fingerprint(task.fingerprint, twins.units, twins.labels)
    run = partial(_train, estimator, twins.added(*trained), *others)
    return replace(task, train_one=run, n=task.n + twins.units.size, fingerprint=about)


def _settings(value: Any) -> Any:
    """An estimator and everything it is set to as JSON; its repr would be cut, and holds addresses of functions."""
    if hasattr(value, "get_params") and not isinstance(value, type):
        return [type(value).__qualname__, _settings(value.get_params(deep=False))]
    if isinstance(value, dict):
        return [[str(k), _settings(v)] for k, v in sorted(value.items(), key=lambda item: str(item[0]))]
    if isinstance(value, (list, tuple)):
        return [_settings(v) for v in value]
    return source_of(value) if callable(value) else value


def _encode(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    unknown = ~np.isin(labels, classes)
    if unknown.any():
        raise InputError(f"test label {labels[unknown].tolist()[0]!r} never occurs in the training labels")
    return np.searchsorted(classes, labels).astype(np.int64)


def _train(
    estimator: Any,
    trained: tuple[NDArray[Any], NDArray[Any]],
    data: dict[str, tuple[NDArray[Any], NDArray[Any]]],
    classes: int | None,
    names: Sequence[str],
    margin: str,
    indices: NDArray[np.int64],
    seed: int,
) -> dict[str, Any]:
    from sklearn.base import clone

    model = clone(estimator)
    model.set_params(**{k: seed for k in model.get_params() if k.split("__")[-1] == "random_state"})
    x, y = trained
    model.fit(x[indices], y[indices])
    splits = {parse_name(name)[0] for name in names}
    scores = {s: model.predict(data[s][0]) if classes is None else _logits(model, data[s][0], classes) for s in splits}
    return from_logits(names, scores, {s: data[s][1] for s in splits}, margin)


def _logits(model: Any, x: NDArray[Any], classes: int) -> NDArray[np.float64]:
    if hasattr(model, "decision_function"):
        scores = np.asarray(model.decision_function(x), np.float64)
        if scores.ndim == 1:
            scores = np.stack([np.zeros_like(scores), scores], axis=1)
    elif hasattr(model, "predict_proba"):
        probabilities = np.asarray(model.predict_proba(x), np.float64)
        scores = np.log(np.maximum(probabilities, 1e-7))
    else:
        raise InputError(f"{type(model).__name__} has neither decision_function nor predict_proba to take logits from")
    logits = np.repeat(scores.min(axis=1, keepdims=True) - FLOOR, classes, axis=1)
    logits[:, np.asarray(model.classes_)] = scores
    return logits
