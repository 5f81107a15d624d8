"""Tasks from PyTorch modules; torch is imported only when a model is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.outputs import declare, from_logits, parse_name
from subtrain.tasks.base import FunctionTask, View, checked_n
from subtrain.tasks.fingerprint import fingerprint, source_of
from subtrain.tasks.relabel import Twins
from subtrain.trainers.torch.data import Pair, as_pair
from subtrain.trainers.torch.recipe import HOW, Augment, TorchRecipe

__all__ = ["Augment", "TorchRecipe", "torch_module"]


def torch_module(
    make_model: Callable[[], Any],
    train: Any,
    test: Any,
    recipe: TorchRecipe | Callable[..., Any] | None = None,
    outputs: Sequence[str] = ("test_margins",),
    margin: str = "max",
    view: View | None = None,
    keys: Sequence[str] | None = None,
) -> FunctionTask:
    """A task that trains `make_model()` on each subset.

    train, test: map-style datasets of (x, y) pairs or of dicts (`keys` names their input and label, for example
    ("image", "label")), TensorDatasets, or pairs of arrays or tensors (x, y). They are read once, and each process
    keeps them on its device; uint8 images ([N, H, W], [N, H, W, C] or [N, C, H, W]) stay uint8 there, and reach the
    module as floats, channels first. The module returns logits [batch, classes].

    recipe: a TorchRecipe, or a whole training function `train(model, data, indices, seed, device)`, as
    TorchRecipe.train. The global torch seed is set to the model's training seed before `make_model()` is called.
    Raises InputError for data or a recipe that do not fit.
    """
    if not isinstance(recipe, TorchRecipe):
        recipe = TorchRecipe(train=recipe)
    data = {"train": as_pair(train, keys), "test": as_pair(test, keys)}
    _check_images(data, recipe)
    classes = int(max(part[1].max() for part in data.values())) + 1
    names = list(outputs)
    schema = declare(names, {s: len(part[1]) for s, part in data.items()}, classes, margin)
    arrays = (array for part in data.values() for array in part)
    about = fingerprint(names, margin, source_of(make_model), _settings(recipe), *arrays)
    labels = {s: part[1] for s, part in data.items()}
    run = partial(_train, _Kept(make_model, data, recipe), labels, names, margin)
    device = "cuda" if (recipe.device or "cuda").startswith("cuda") else None
    task = FunctionTask(run, checked_n(len(labels["train"])), schema, about, view=view, device=device)
    return replace(task, relabel=partial(_with_twins, task, run, classes))


def _with_twins(
    task: FunctionTask, run: partial[Any], classes: int, units: ArrayLike, labels: ArrayLike
) -> FunctionTask:
    twins = Twins.of(units, labels, task.n, classes)
    kept, *others = run.args
    make_model, data, recipe = kept.what
    kept = _Kept(make_model, {**data, "train": twins.added(*data["train"])}, recipe)
    about = fingerprint(task.fingerprint, twins.units, twins.labels)
    return replace(task, train_one=partial(_train, kept, *others), n=task.n + twins.units.size, fingerprint=about)


class _Kept:
    """The trainer of this process, made at the first model; a copy sent to another process makes its own."""

    def __init__(self, make_model: Callable[[], Any], data: Mapping[str, Pair], recipe: TorchRecipe) -> None:
        self.what = (make_model, data, recipe)
        self.trainer: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _Kept, self.what

    def logits(self, indices: NDArray[np.int64], seed: int, splits: Sequence[str]) -> dict[str, NDArray[Any]]:
        if self.trainer is None:
            from subtrain.trainers.torch.loop import Trainer

            self.trainer = Trainer(*self.what)
        logits: dict[str, NDArray[Any]] = self.trainer.train(indices, seed, splits)
        return logits


def _train(
    kept: _Kept,
    labels: Mapping[str, NDArray[np.int64]],
    names: Sequence[str],
    margin: str,
    indices: NDArray[np.int64],
    seed: int,
) -> dict[str, NDArray[Any]]:
    splits = sorted({parse_name(name)[0] for name in names})
    found = kept.logits(indices, seed, splits)
    logits = {s: found[s][: len(labels[s])] for s in splits}  # without relabelled twins, which come last
    return from_logits(names, logits, {s: labels[s] for s in splits}, margin)


def _settings(recipe: TorchRecipe) -> dict[str, Any]:
    """What of the recipe decides the numbers, functions by their code."""
    fields = {name: value for name, value in asdict(recipe).items() if name not in HOW}
    return {name: source_of(value) if callable(value) else value for name, value in fields.items()}


def _check_images(data: Mapping[str, Pair], recipe: TorchRecipe) -> None:
    for split, (x, _) in data.items():
        if (recipe.augment.any or recipe.flip_test) and x.ndim != 4:
            raise InputError(f"augment and flip_test need images [N, C, H, W]; {split} has shape {list(x.shape)}")
        for name in ("mean", "std"):
            numbers = getattr(recipe, name)
            if numbers is not None and (x.dtype != np.uint8 or x.ndim != 4 or len(numbers) not in (1, x.shape[1])):
                raise InputError(
                    f"{name} needs uint8 images with a number a channel; {split} is {x.dtype} {list(x.shape)}"
                )
