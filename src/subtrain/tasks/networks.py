"""Tasks of many small networks at once, on the CPU: MLPs and multinomial logistic regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.outputs import declare, from_logits, parse_name
from subtrain.tasks.base import BatchTask, View, checked_n
from subtrain.tasks.fingerprint import fingerprint
from subtrain.tasks.labelled import class_count, labelled
from subtrain.trainers.sgd import Sgd

Data = dict[str, tuple[NDArray[np.float32], NDArray[np.int64]]]


def mlp(
    x: ArrayLike,
    y: ArrayLike,
    x_test: ArrayLike,
    y_test: ArrayLike,
    widths: Sequence[int] = (64,),
    recipe: Sgd | None = None,
    init: str = "own",
    outputs: Sequence[str] = ("test_margins", "train_margins"),
    margin: str = "max",
    view: View | None = None,
) -> BatchTask:
    """A task of ReLU networks with these hidden widths, trained by SGD; `widths=()` is logistic regression.

    x [n, D] and x_test [N, D] become float32, labels are integers 0..C-1. init="shared" starts every model from the
    same weights, so that models differ by their data and the order of their minibatches only.
    """
    data = {"train": _arrays(x, y), "test": _arrays(x_test, y_test)}
    classes = class_count(data)
    recipe = recipe or Sgd()
    names = list(outputs)
    schema = declare(names, {s: len(part[1]) for s, part in data.items()}, classes, margin)
    settings = {"classes": classes, "widths": tuple(widths), "recipe": recipe, "init": init}
    about = fingerprint(
        names, margin, classes, list(widths), asdict(recipe), init, *(a for part in data.values() for a in part)
    )
    train = partial(_train, data, settings, names, margin)
    return BatchTask(train, checked_n(len(data["train"][1])), schema, about, view=view)


def _arrays(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    features, labels = labelled(x, y)
    return np.ascontiguousarray(features, np.float32), labels


def _train(
    data: Data,
    settings: dict[str, Any],
    names: Sequence[str],
    margin: str,
    masks: NDArray[np.bool_],
    seeds: NDArray[np.uint32],
) -> dict[str, Any]:
    from subtrain.trainers.mlp import train_mlp

    splits = sorted({parse_name(name)[0] for name in names})
    x, y = data["train"]
    logits = train_mlp(x, y, masks, seeds, [data[s][0] for s in splits], **settings)
    return from_logits(names, dict(zip(splits, logits, strict=True)), {s: data[s][1] for s in splits}, margin)
