"""Many small networks, each on its own subset: multilayer perceptrons and multinomial logistic regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.trainers import dense, rng
from subtrain.trainers.sgd import Sgd

Floats = NDArray[np.float32]

INITS = ("own", "shared")
LOGISTIC = Sgd(batch=50, lr=0.5, weight_decay=0.002)


def train_mlp(
    x: Floats,
    y: NDArray[np.integer],
    masks: NDArray[np.bool_],
    seeds: NDArray[np.uint32],
    evaluate: Sequence[Floats],
    *,
    classes: int,
    widths: Sequence[int] = (64,),
    recipe: Sgd = Sgd(),
    init: str = "own",
    init_seed: int = 0,
) -> list[Floats]:
    """Train K ReLU networks with these hidden widths on softmax cross-entropy; their logits [K, E_s, C], float32.

    x [N, D] float32, y [N] integers below `classes`, masks bool [K, N], seeds [K], evaluate: matrices float32
    [E_s, D]. A model goes through its own subset in an order drawn anew every epoch from its own seed. Its initial
    weights come from that seed too (init="own") or, the same for all models, from `init_seed` (init="shared").

    What a model computes depends on its mask and seed alone, bit for bit: on one machine, and with as many BLAS
    threads, it is the same beside any neighbours. Weights that diverged give logits that are not finite, without an
    error. Raises InputError for arrays that do not fit one another and for an empty subset.
    """
    sizes = layer_sizes(x, widths, classes)
    check_models(x, y, masks, seeds, classes, init, init_seed)
    check_features(x, evaluate)
    data = (_writable(x), y.astype(np.int64))
    asked = [_writable(features) for features in evaluate]
    logits = [np.empty((len(masks), len(features), classes), np.float32) for features in asked]
    for i, (mask, seed) in enumerate(zip(masks, seeds.tolist(), strict=True)):
        parameters = initial_parameters(sizes, init_seed if init == "shared" else seed)
        order = minibatch_order(np.flatnonzero(mask), seed, recipe.epochs)
        _descend(data, order, sizes, parameters, recipe)
        for features, answers in zip(asked, logits, strict=True):
            dense.predict(features, parameters, sizes, answers[i])
    return logits


def train_logistic(
    x: Floats,
    y: NDArray[np.integer],
    masks: NDArray[np.bool_],
    seeds: NDArray[np.uint32],
    evaluate: Sequence[Floats],
    *,
    classes: int,
    recipe: Sgd = LOGISTIC,
) -> list[Floats]:
    """Multinomial logistic regression: a network without hidden layers, starting from zero. As `train_mlp`."""
    return train_mlp(x, y, masks, seeds, evaluate, classes=classes, widths=(), recipe=recipe)


def layer_sizes(x: Floats, widths: Sequence[int], classes: int) -> NDArray[np.int64]:
    """Widths of all layers, from the features of x [N, D] to the classes: int64 [layers + 1]."""
    if any(not isinstance(w, (int, np.integer)) or w < 1 for w in widths):
        raise InputError(f"hidden widths must be whole numbers, 1 or more, got {list(widths)}")
    if classes < 2:
        raise InputError(f"there must be at least 2 classes, got {classes}")
    if np.ndim(x) != 2 or 0 in x.shape:
        raise InputError(f"x must be a matrix of examples by features, got shape {list(np.shape(x))}")
    return np.array([x.shape[1], *widths, classes], np.int64)


def initial_parameters(sizes: NDArray[np.int64], seed: int) -> Floats:
    """Weights and biases before training, one float32 vector laid out as `trainers.dense` says.

    Uniform on ±1/sqrt(inputs of the layer), as torch.nn.Linear begins; zero if there is no hidden layer, because the
    problem is convex and a random start would only add noise.
    """
    if sizes.size == 2:
        return np.zeros((sizes[0] + 1) * sizes[1], np.float32)
    return rng.uniform_layers(sizes, np.uint64(seed))


def minibatch_order(rows: NDArray[np.integer], seed: int, epochs: int) -> NDArray[np.int32]:
    """The order in which a model sees its examples `rows`: int32 [epochs, rows], cut into minibatches from the left."""
    return rng.shuffled(rows.astype(np.int32), epochs, np.uint64(seed))


def _descend(
    data: tuple[Floats, NDArray[np.int64]],
    order: NDArray[np.int32],
    sizes: NDArray[np.int64],
    parameters: Floats,
    recipe: Sgd,
) -> None:
    rates = recipe.rates(order.shape[1])
    momentum, decay = np.float32(recipe.momentum), np.float32(recipe.weight_decay)
    batch, nesterov = int(recipe.batch), bool(recipe.nesterov)
    dense.descend(*data, order, batch, sizes, parameters, rates, momentum, decay, nesterov)


def check_models(
    x: Floats,
    y: NDArray[np.integer],
    masks: NDArray[np.bool_],
    seeds: NDArray[np.uint32],
    classes: int,
    init: str,
    init_seed: int,
) -> None:
    """InputError unless labels, masks, seeds and the start fit the examples x [N, D]."""
    if y.shape != (len(x),) or y.dtype.kind not in "iu":
        raise InputError(f"y must be {len(x)} integers, got {y.dtype} {list(y.shape)}")
    if y.min() < 0 or y.max() >= classes:
        raise InputError(f"y must lie in 0..{classes - 1}, found {y.min()}..{y.max()}")
    if masks.ndim != 2 or masks.shape[1] != len(x) or masks.dtype != np.bool_:
        raise InputError(f"masks must be bool [models, {len(x)}], got {masks.dtype} {list(masks.shape)}")
    if seeds.shape != (len(masks),) or seeds.dtype.kind not in "iu":
        raise InputError(f"seeds must be {len(masks)} integers, got {seeds.dtype} {list(seeds.shape)}")
    if init not in INITS:
        raise InputError(f"unknown init {init!r}; choose from {', '.join(INITS)}")
    if not 0 <= init_seed < 2**64 or (seeds.size and seeds.min() < 0):
        raise InputError("seeds must lie in 0..2**64 - 1")
    empty = np.flatnonzero(~masks.any(axis=1))
    if empty.size:
        raise InputError(f"model {empty[0]} of these {len(masks)} has an empty subset: its mask includes no example")


def check_features(x: Floats, evaluate: Sequence[Floats]) -> None:
    """InputError unless the training features and those to evaluate have one form."""
    for name, features in [("x", x), *((f"evaluate[{s}]", features) for s, features in enumerate(evaluate))]:
        _check_form(name, features, x.shape[1])


def _check_form(name: str, features: Any, columns: int) -> None:
    fits = features.ndim == 2 and features.shape[1] == columns
    if not fits or features.dtype != np.float32 or not features.flags.c_contiguous:
        shape = f"{features.dtype} {list(features.shape)}"
        raise InputError(f"{name} must be float32 [examples, {columns}] in C order, got {shape}")


def _writable(features: Floats) -> Floats:
    """The same array, or a copy of a read-only one, for which the loops would have to be compiled once more."""
    return np.require(features, requirements="W")
