"""Tasks of convex heads on frozen features: ridge and multinomial logistic regression."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.tasks.base import BatchTask, Influence, View
from subtrain.tasks.kit.classification import OUTPUTS, Classification, Fit, Labeled, Logits
from subtrain.trainers.kit.checks import positive


def ridge_head(
    features: ArrayLike,
    y: ArrayLike,
    features_test: ArrayLike,
    y_test: ArrayLike,
    lam: float = 1.0,
    outputs: Sequence[str] = OUTPUTS,
    margin: str = "max",
    view: View | None = None,
    dtype: str | None = None,
    classes: int | None = None,
) -> BatchTask:
    """A task of ridge regressions on one-hot labels, one a subset, over features that stay as they are.

    features [n, D] and features_test [N, D]: any real dtype, memory-mapped or not, frames and sparse matrices too;
    labels are class numbers 0..C-1 or anything else, numbered in sorted order; dtype: of the outputs; classes: C, which
    must be said if some test label never occurs among the training labels. A head minimizes
    sum ||onehot(y) - W'x - b||^2 + lam ||W||^2 over its subset, its bias free (scikit-learn's Ridge with
    alpha = lam). Seeds change nothing: replicates of a subset are equal.
    """
    data = Classification.of((features, y), (features_test, y_test), outputs, margin, dtype, "features", classes)
    settings = {"lam": positive("lam", lam)}
    return data.task(
        "ridge head", settings, partial(_head, "ridge head", settings), view, partial(_influence, settings)
    )


def logistic_head(
    features: ArrayLike,
    y: ArrayLike,
    features_test: ArrayLike,
    y_test: ArrayLike,
    lam: float = 1.0,
    tol: float = 2e-5,
    outputs: Sequence[str] = OUTPUTS,
    margin: str = "max",
    view: View | None = None,
    dtype: str | None = None,
    classes: int | None = None,
) -> BatchTask:
    """A task of multinomial logistic regressions, one a subset, over features that stay as they are.

    As `ridge_head`, but a head minimizes sum -log softmax(W'x + b)[y] + (lam / 2) ||W||^2 (scikit-learn's
    LogisticRegression with C = 1/lam), until a Newton step moves no logit of its subset by more than `tol`; a head
    that does not get there fails. A class missing from the subset gets the smallest other logit minus 10.
    """
    data = Classification.of((features, y), (features_test, y_test), outputs, margin, dtype, "features", classes)
    settings = {"lam": positive("lam", lam), "tol": positive("tol", tol)}
    influence = partial(_influence, settings)
    return data.task("logistic head", settings, partial(_head, "logistic head", settings), view, influence)


def _head(name: str, settings: dict[str, float], data: Classification) -> Fit:
    return partial(fit_head, name, data.frozen(), settings)


def _influence(settings: dict[str, float], data: Classification) -> Influence:
    return partial(_table, data.parts, data.classes, data.margin, settings)


def _table(
    parts: dict[str, Labeled],
    classes: int,
    margin: str,
    settings: dict[str, float],
    mask: NDArray[np.bool_],
    seed: int,
    output: str,
) -> NDArray[np.float32]:
    from subtrain.influence.linear_heads import logistic_table, ridge_table

    table = logistic_table if "tol" in settings else ridge_table
    return table(parts, classes, margin, mask=mask, seed=seed, output=output, **settings)


def fit_head(
    name: str, data: Any, settings: dict[str, float], masks: NDArray[np.bool_], seeds: NDArray[np.uint32]
) -> Logits:
    """Logits of each split of trainers.frozen.Frozen data, whatever the seeds, by the trainer of this name."""
    from subtrain.trainers.logistic import train_logistic_head
    from subtrain.trainers.ridge import train_ridge

    trainers: dict[str, Any] = {"ridge head": train_ridge, "logistic head": train_logistic_head}
    found: Logits = trainers[name](data, masks, **settings)
    return found
