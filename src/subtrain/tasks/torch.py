"""Tasks from PyTorch modules; torch is imported only when a model is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.errors import InputError
from subtrain.fingerprint import fingerprint
from subtrain.outputs import Output, SchemaError, asked, declare, from_logits
from subtrain.quantities import QUANTITIES, parse_name
from subtrain.tasks.base import FunctionTask, View, checked_n, with_changes
from subtrain.tasks.kit import convert
from subtrain.tasks.kit.minibatch_order import by_default
from subtrain.tasks.relabel import Twins
from subtrain.tasks.watching.fingerprint_0_1 import source_of
from subtrain.tasks.watching.watched import Watched
from subtrain.trainers.kit.sgd import BY_UNIT
from subtrain.trainers.torch.data import Pair, as_pair, declared_classes
from subtrain.trainers.torch.inputs import parts, taken
from subtrain.trainers.torch.recipe import HOW, Augment, TorchRecipe

FIELDS_0_1 = (
    "epochs", "batch", "lr", "momentum", "weight_decay", "optimizer", "loss", "nesterov", "decay_vectors", "groups",
    "schedule", "peak", "label_smoothing", "drop_last", "mean", "std", "augment", "flip_test", "start", "train",
    "dtype",
)  # fmt: skip

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
    dtype: str | None = None,
    classes: int | None = None,
) -> FunctionTask:
    """A task that trains `make_model()` on each subset.

    train, test: map-style datasets of (x, y) pairs or of dicts (`keys` names their inputs and, last, their label, for
    example ("image", "label")), TensorDatasets, dicts of arrays, or pairs (x, y) of arrays, tensors or frames of
    numbers. Several inputs are a dict of arrays, which the module gets by name, or a tuple, which it gets in order.
    They are read once, and each process keeps them on its device; uint8 images ([N, H, W], [N, H, W, C] or
    [N, C, H, W]) stay uint8 there, and reach the module as floats, channels first; float64 becomes the module's own
    precision.

    The module returns logits [batch, classes], or one logit for two classes, as a tensor, as `.logits` or "logits" of
    what it returns, or first in a tuple. Labels are class numbers 0..C-1, or texts, numbered in sorted order. With
    outputs=["test_predictions"] it is a regression: the module returns one number an example, the loss is the squared
    error. dtype: of the outputs, by default float16, float32 for a regression. classes: C, which must be said if some
    test label never occurs among the training labels, unless the training set declares its `classes`.

    recipe: a TorchRecipe, whose order of minibatches is by unit unless it says another, or a whole training function
    `train(model, data, indices, seed, device)`, as TorchRecipe.train. The global torch seed is set to the model's
    training seed before `make_model()` is called. Raises InputError for data or a recipe that do not fit.
    """
    if not isinstance(recipe, TorchRecipe):
        recipe = TorchRecipe(train=recipe)
    names = asked(outputs)
    regression = any(QUANTITIES[parse_name(name)[1]].regression for name in names)
    pairs = {"train": as_pair(train, keys), "test": as_pair(test, keys)}
    data, classes = _numbered(pairs, regression, classes, declared_classes(train))
    _check_images(data, recipe)
    sizes = {s: len(y) for s, (_, y) in data.items()}
    measured = _Measured(names, margin, classes, declare(names, sizes, classes, margin, dtype))
    made = partial(_task, make_model, data, measured, view)
    return by_default(made, recipe) if recipe.train is None else made(recipe)


@dataclass(frozen=True)
class _Measured:
    """What is recorded of a model: names of outputs, the margin, classes (None of a regression), and their schema."""

    names: list[str]
    margin: str
    classes: int | None
    schema: dict[str, Output]


def _task(
    make_model: Callable[[], Any], data: Mapping[str, Pair], measured: _Measured, view: View | None, recipe: TorchRecipe
) -> FunctionTask:
    names, margin, classes = measured.names, measured.margin, measured.classes
    labels = {s: part[1] for s, part in data.items()}
    arrays = [array for x, y in data.values() for array in (*parts(x), y)]
    named = [list(x) for x, _ in data.values() if isinstance(x, dict)]
    watched = Watched(
        {"make_model": make_model, "recipe": _set(recipe), "outputs": [names, margin], **data},
        lambda: fingerprint(names, margin, source_of(make_model), _settings_0_1(recipe), *arrays, *named),
    )
    kept = _Kept(make_model, data, recipe)
    run = partial(_train, kept, labels, names, margin)
    device = "cuda" if (recipe.device or "cuda").startswith("cuda") else None
    needs = recipe.device if device else None
    more: dict[str, Any] = {"view": view, "device": device, "needs": needs, "watched": watched}
    more["influence"] = partial(_influence, kept, labels, margin, names=names)
    if classes is not None:
        more["labels"] = labels["train"]
    if recipe.train is None and not recipe.drop_last:
        more["minibatch"] = recipe.batch
    task = FunctionTask(run, checked_n(len(labels["train"])), measured.schema, "", **more)
    return task if classes is None else with_changes(task, relabel=partial(_with_twins, task, run, classes))


def _numbered(
    data: Mapping[str, tuple[Any, Any]], regression: bool, classes: int | None, known: int | None
) -> tuple[dict[str, Pair], int | None]:
    """Labels as class numbers int64, and how many classes there are; or numbers to predict, float32, and None.

    known: classes that the training set says it has, of which these examples may lack some.
    """
    (x, y), (x_test, y_test) = data["train"], data["test"]
    y = convert.column("y", y, len(parts(x)[0]))
    y_test = convert.column("y_test", y_test, len(parts(x_test)[0]), "x_test")
    if regression:
        y, y_test = (convert.amounts(*pair).astype(np.float32) for pair in (("y", y), ("y_test", y_test)))
    else:
        if classes is None and known is not None and {y.dtype.kind, y_test.dtype.kind} <= set("iu"):
            most = max(int(y.max()), int(y_test.max())) + 1
            classes = most if 2 <= most <= known and min(y.min(), y_test.min()) == 0 else None
        found = convert.class_numbers(y, y_test, of_module=True, classes=classes)
        y, y_test, classes = found.train, found.test, found.count
    return {"train": (x, y), "test": (x_test, y_test)}, None if regression else classes


def _with_twins(
    task: FunctionTask, run: partial[Any], classes: int, units: ArrayLike, labels: ArrayLike
) -> FunctionTask:
    twins = Twins.of(units, labels, task.n, classes)
    kept, *others = run.args
    make_model, data, recipe = kept.what
    x, y = data["train"]
    copies = np.concatenate([np.arange(len(y)), twins.units])
    trained = taken(x, copies), np.concatenate([y, twins.labels])
    kept = _Kept(make_model, {**data, "train": trained}, recipe)
    run, watched = partial(_train, kept, *others), twins.watched(task.watched)
    return with_changes(task, train_one=run, n=copies.size, labels=None, influence=None, watched=watched)


class _Kept:
    """The trainer of this process, made at the first model; a copy sent to another process makes its own."""

    def __init__(self, make_model: Callable[[], Any], data: Mapping[str, Pair], recipe: TorchRecipe) -> None:
        self.what = (make_model, data, recipe)
        self.trainer: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _Kept, self.what

    def made(self) -> Any:
        """The trainer."""
        if self.trainer is None:
            from subtrain.trainers.torch.loop import Trainer

            self.trainer = Trainer(*self.what)
        return self.trainer


def _train(
    kept: _Kept,
    labels: Mapping[str, NDArray[np.int64]],
    names: Sequence[str],
    margin: str,
    indices: NDArray[np.int64],
    seed: int,
) -> dict[str, NDArray[Any]]:
    return _recorded(kept.made().train(indices, seed, _splits(names)), labels, names, margin)


def _splits(names: Sequence[str]) -> list[str]:
    return sorted({parse_name(name)[0] for name in names})


def _recorded(
    found: Mapping[str, NDArray[Any]], labels: Mapping[str, NDArray[np.int64]], names: Sequence[str], margin: str
) -> dict[str, NDArray[Any]]:
    """The outputs of a model that answered `found` on each split."""
    # Without relabeled twins, which come last.
    logits = {s: _as_logits(answers[: len(labels[s])], labels[s]) for s, answers in found.items()}
    return from_logits(names, logits, {s: labels[s] for s in found}, margin)


def _influence(
    kept: _Kept,
    labels: Mapping[str, NDArray[Any]],
    margin: str,
    mask: NDArray[np.bool_],
    seed: int,
    output: str,
    *,
    names: Sequence[str],
    outputs: bool = False,
) -> Any:
    from subtrain.influence.torch_module import module_table

    trainer = kept.made()
    table = module_table(trainer, labels, margin, mask, seed, output)
    if not outputs:
        return table
    return table, _recorded({split: trainer.logits(split) for split in _splits(names)}, labels, names, margin)


def _as_logits(found: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """[N, C], also of one logit an example; or predictions [N] of a regression."""
    single = found.ndim == 1 or (found.ndim == 2 and found.shape[1] == 1)
    if labels.dtype.kind == "f":
        if not single:
            raise SchemaError(
                f"the module of a regression gives {list(found.shape[1:])} numbers an example, declared 1"
            )
        return found.reshape(-1)
    if single:
        return np.stack([np.zeros_like(found.reshape(-1)), found.reshape(-1)], axis=1)
    if found.ndim != 2:
        raise SchemaError(f"the module gives logits of shape {list(found.shape[1:])} an example, declared [classes]")
    return found


def _set(recipe: TorchRecipe) -> dict[str, Any]:
    """What of the recipe decides the numbers, and is not its default."""
    there = ((f.name, getattr(recipe, f.name), f) for f in fields(recipe) if f.name not in HOW)
    return {name: value for name, value, f in there if value is not f.default and value != _default(f)}


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _settings_0_1(recipe: TorchRecipe) -> dict[str, Any]:
    """What version 0.1.0 saw of a recipe; it had no other fields, and no other order than that by position."""
    known = (*FIELDS_0_1, "order") if recipe.order == BY_UNIT else FIELDS_0_1
    fields = {name: value for name, value in asdict(recipe).items() if name in known}
    return {name: source_of(value) if callable(value) else value for name, value in fields.items()}


def _check_images(data: Mapping[str, Pair], recipe: TorchRecipe) -> None:
    for split, (x, _) in data.items():
        if isinstance(x, (dict, tuple)):
            if recipe.augment.any or recipe.flip_test or recipe.mean is not None or recipe.std is not None:
                raise InputError("augment, flip_test, mean and std need images as the only input of the module")
            continue
        if (recipe.augment.any or recipe.flip_test) and x.ndim != 4:
            raise InputError(f"augment and flip_test need images [N, C, H, W]; {split} has shape {list(x.shape)}")
        for name in ("mean", "std"):
            numbers = getattr(recipe, name)
            if numbers is not None and (x.dtype != np.uint8 or x.ndim != 4 or len(numbers) not in (1, x.shape[1])):
                raise InputError(
                    f"{name} needs uint8 images with a number a channel; {split} is {x.dtype} {list(x.shape)}"
                )
