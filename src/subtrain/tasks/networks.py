"""Tasks of many small networks at once, on the CPU: MLPs and multinomial logistic regression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.fingerprint import fingerprint
from subtrain.outputs import asked, declare, from_logits
from subtrain.quantities import parse_name
from subtrain.tasks.base import BatchTask, View, checked_n
from subtrain.tasks.kit.labeled_features import labelled, split_parts
from subtrain.tasks.relabel import Twins
from subtrain.tasks.watching.watched import Known
from subtrain.trainers.kit.sgd import Sgd

Data = dict[str, tuple[NDArray[np.float32], NDArray[np.int64]]]
Learner = Callable[..., list[NDArray[np.float32]]]


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
    dtype: str | None = None,
    classes: int | None = None,
) -> BatchTask:
    """A task of ReLU networks with these hidden widths, trained by SGD; `widths=()` is logistic regression.

    x [n, D] and x_test [N, D], frames of numbers and sparse matrices too, become float32; labels are class numbers
    0..C-1 or anything else, numbered in sorted order. dtype: of the outputs; classes: C, which must be said if some
    test label never occurs among the training labels. init="shared" starts every model from the same weights, so that
    models differ by their data and the order of their minibatches only.
    """
    parts, classes = labelled(x, y, x_test, y_test, classes=classes)
    data = {split: (np.ascontiguousarray(part, np.float32), y) for split, (part, y) in parts.items()}
    settings = {"widths": tuple(widths), "recipe": recipe or Sgd(), "init": init}
    return network_task(_train_mlp, data, classes, settings, list(widths), outputs, margin, view, dtype)


def network_task(
    learner: Learner,
    data: Data,
    classes: int,
    settings: dict[str, Any],
    layers: Any,
    outputs: Sequence[str],
    margin: str,
    view: View | None,
    dtype: str | None = None,
    batch: int = 16,
    twins: Twins | None = None,
) -> BatchTask:
    """A task of the networks that `learner` trains with these settings, one of them the recipe and one the init.

    layers: what of the settings, as JSON, tells one network from another. twins: relabeled examples to train on too.
    """
    again = partial(network_task, learner, data, classes, settings, layers, outputs, margin, view, dtype, batch)
    names = asked(outputs)
    schema = declare(names, {s: len(labels) for s, (_, labels) in data.items()}, classes, margin, dtype)
    about = fingerprint(
        names,
        margin,
        classes,
        layers,
        asdict(settings["recipe"]),
        settings["init"],
        *(array for part in data.values() for array in part),
        *((twins.units, twins.labels) if twins else ()),
    )
    what = {"settings": [layers, settings["recipe"], settings["init"], classes], "outputs": [names, margin]}
    watched = Known(about, {**what, **split_parts(data, "x", twins)})
    trained = twins.added(*data["train"]) if twins else data["train"]
    train = partial(_train, learner, trained, data, {"classes": classes, **settings}, names, margin)
    relabel = None if twins else partial(_with_twins, again, len(data["train"][1]), classes)
    y = trained[1]
    return BatchTask(
        train, checked_n(len(y)), schema, "", batch=batch, view=view, labels=y, relabel=relabel, watched=watched
    )


def _with_twins(
    again: Callable[..., BatchTask], n: int, classes: int, units: ArrayLike, labels: ArrayLike
) -> BatchTask:
    return again(twins=Twins.of(units, labels, n, classes))


def _train_mlp(*arguments: Any, **settings: Any) -> list[NDArray[np.float32]]:
    from subtrain.trainers.mlp import train_mlp

    return train_mlp(*arguments, **settings)


def _train(
    learner: Learner,
    trained: tuple[NDArray[np.float32], NDArray[np.int64]],
    data: Data,
    settings: dict[str, Any],
    names: Sequence[str],
    margin: str,
    masks: NDArray[np.bool_],
    seeds: NDArray[np.uint32],
) -> dict[str, Any]:
    splits = sorted({parse_name(name)[0] for name in names})
    logits = learner(*trained, masks, seeds, [data[s][0] for s in splits], **settings)
    return from_logits(names, dict(zip(splits, logits, strict=True)), {s: data[s][1] for s in splits}, margin)
