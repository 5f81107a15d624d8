"""Tasks from PyTorch modules; torch is imported only when a model is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.outputs import declare, from_logits, parse_name
from subtrain.tasks.base import FunctionTask, View, checked_n
from subtrain.tasks.fingerprint import fingerprint, source_of

Pair = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class TorchRecipe:
    """How one module is trained. `optimizer(parameters)` and `loss(output, y)` default to SGD and cross-entropy."""

    epochs: int = 10
    batch: int = 64
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    optimizer: Callable[[Any], Any] | None = None
    loss: Callable[[Any, Any], Any] | None = None
    device: str = "cpu"


def torch_module(
    make_model: Callable[[], Any],
    train: Any,
    test: Any,
    recipe: TorchRecipe | None = None,
    outputs: Sequence[str] = ("test_margins",),
    margin: str = "max",
    view: View | None = None,
) -> FunctionTask:
    """A task that trains `make_model()` on each subset.

    train, test: map-style datasets of (x, y) pairs, TensorDatasets, or pairs of arrays or tensors (x, y); they are read
    once and kept in memory. The module returns logits [batch, classes]. The learning rate falls linearly to zero; the
    global torch seed is set to the model's training seed before `make_model()` is called.
    """
    recipe = recipe or TorchRecipe()
    data = {"train": _pair(train), "test": _pair(test)}
    classes = int(max(part[1].max() for part in data.values())) + 1
    names = list(outputs)
    schema = declare(names, {s: len(part[1]) for s, part in data.items()}, classes, margin)
    code = [source_of(f) if f else "" for f in (make_model, recipe.optimizer, recipe.loss)]
    numbers = [recipe.epochs, recipe.batch, recipe.lr, recipe.momentum, recipe.weight_decay]
    about = fingerprint(names, margin, code, numbers, *(a for part in data.values() for a in part))
    run = partial(_train, make_model, data, recipe, names, margin)
    return FunctionTask(run, checked_n(len(data["train"][1])), schema, about, view=view)


def _pair(dataset: Any) -> Pair:
    if isinstance(dataset, (tuple, list)) and len(dataset) == 2:
        x, y = (np.asarray(part) for part in dataset)
    elif hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__"):
        items = [dataset[i] for i in range(len(dataset))]
        if not items or not isinstance(items[0], (tuple, list)) or len(items[0]) < 2:
            raise InputError("a dataset must give (x, y) pairs")
        x = np.stack([np.asarray(item[0]) for item in items])
        y = np.asarray([int(item[1]) for item in items])
    else:
        raise InputError(f"train and test must be datasets or pairs (x, y), got {type(dataset).__name__}")
    if len(x) != len(y) or y.ndim != 1:
        raise InputError(f"{len(x)} examples do not fit labels of shape {list(y.shape)}")
    return x, y.astype(np.int64)


def _train(
    make_model: Callable[[], Any],
    data: dict[str, Pair],
    recipe: TorchRecipe,
    names: Sequence[str],
    margin: str,
    indices: NDArray[np.int64],
    seed: int,
) -> dict[str, Any]:
    import torch

    torch.manual_seed(seed)
    model = make_model().to(recipe.device)
    x, y = (torch.as_tensor(part).to(recipe.device) for part in data["train"])
    _fit(model, x[indices], y[indices], recipe)
    model.eval()
    splits = {parse_name(name)[0] for name in names}
    with torch.inference_mode():
        logits = {s: _evaluate(model, torch.as_tensor(data[s][0]), recipe) for s in splits}
    return from_logits(names, logits, {s: data[s][1] for s in splits}, margin)


def _fit(model: Any, x: Any, y: Any, recipe: TorchRecipe) -> None:
    import torch

    loss = recipe.loss or torch.nn.functional.cross_entropy
    optimizer = (
        recipe.optimizer(model.parameters())
        if recipe.optimizer
        else torch.optim.SGD(model.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
    )
    steps = recipe.epochs * -(-len(y) // recipe.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / steps))
    model.train()
    for _ in range(recipe.epochs):
        for batch in torch.randperm(len(y)).to(recipe.device).split(recipe.batch):
            optimizer.zero_grad(set_to_none=True)
            loss(model(x[batch]), y[batch]).backward()
            optimizer.step()
            schedule.step()


def _evaluate(model: Any, x: Any, recipe: TorchRecipe) -> NDArray[np.floating[Any]]:
    import torch

    parts = [model(part.to(recipe.device)).float().cpu() for part in x.split(1024)]
    logits: NDArray[np.floating[Any]] = torch.cat(parts).numpy()
    return logits
