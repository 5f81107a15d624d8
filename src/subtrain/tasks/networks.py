"""Tasks of many small networks at once, on the CPU: MLPs and multinomial logistic regression."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.fingerprint import fingerprint
from subtrain.outputs import asked
from subtrain.tasks.base import BatchTask, View
from subtrain.tasks.kit.classification import Classification, Labeled, Logits, labeled
from subtrain.tasks.kit.minibatch_order import by_default, settings_of
from subtrain.trainers.kit.sgd import Sgd


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
    models differ by their data and the order of their minibatches only. That order goes by unit unless the recipe says
    order="position", as `Sgd` tells.
    """
    parts, count = labeled(x, y, x_test, y_test, classes=classes)
    flat = {split: (np.ascontiguousarray(part, np.float32), y) for split, (part, y) in parts.items()}
    data = Classification(flat, count, asked(outputs), margin, dtype)
    settings = {"widths": tuple(widths), "init": init}
    return network_tasks(data, "mlp", settings, recipe, list(widths), view)


def network_tasks(
    data: Classification,
    network: str,
    settings: dict[str, Any],
    recipe: Sgd | None,
    layers: Any,
    view: View | None,
    batch: int = 16,
) -> BatchTask:
    """As `network_task`, in the order of minibatches that the recipe says, or by default."""
    return by_default(partial(_of_recipe, data, network, settings, layers, view, batch), recipe or Sgd())


def _of_recipe(
    data: Classification,
    network: str,
    settings: dict[str, Any],
    layers: Any,
    view: View | None,
    batch: int,
    recipe: Sgd,
) -> BatchTask:
    return network_task(data, network, {**settings, "recipe": recipe}, layers, view, batch)


def network_task(
    data: Classification, network: str, settings: dict[str, Any], layers: Any, view: View | None, batch: int = 16
) -> BatchTask:
    """A task of networks, "mlp" or "cnn", trained with these settings, one of them the recipe and one the init.

    layers: what of the settings, as JSON, tells one network from another.
    """
    recipe, init = settings["recipe"], settings["init"]
    about = fingerprint(data.names, data.margin, data.classes, layers, settings_of(recipe), init, *data.arrays)
    again = partial(network_task, network=network, settings=settings, layers=layers, view=view, batch=batch)
    evaluate = [data.parts[split][0] for split in data.asked]
    fit = partial(_logits, network, data.trained, evaluate, {"classes": data.classes, **settings})
    influence = partial(_influence, network, data, settings)
    told = [layers, recipe, init, data.classes]
    return data.task_of(fit, about, told, "x", again, view, batch, influence, code=_logits)


def _influence(
    network: str,
    data: Classification,
    settings: dict[str, Any],
    mask: NDArray[np.bool_],
    seed: int,
    output: str,
    outputs: bool = False,
) -> Any:
    from subtrain.influence.native_networks import TrainedNetwork

    model = TrainedNetwork.of(network, data.parts, settings, data.classes, mask, seed)
    table = model.table(data.margin, output)
    if not outputs:
        return table
    return table, data.recorded({split: model.logits(split, data.classes) for split in data.asked})


def _logits(
    network: str,
    trained: Labeled,
    evaluate: Logits,
    settings: dict[str, Any],
    masks: NDArray[np.bool_],
    seeds: NDArray[np.uint32],
) -> Logits:
    train = getattr(import_module(f"subtrain.trainers.{network}"), f"train_{network}")
    found: Logits = train(*trained, masks, seeds, evaluate, **settings)
    return found
