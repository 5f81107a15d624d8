"""What all native learners of many models share: their checks, the order of examples, and the loop over models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.trainers.kit import rng
from subtrain.trainers.kit.checks import check_labels, subsets
from subtrain.trainers.kit.sgd import BY_UNIT, Sgd

Floats = NDArray[np.float32]

INITS = ("own", "shared")


class Loops(Protocol):
    """The compiled loops of one kind of network (a module, `dense` or `conv`); shape: how they describe one."""

    def descend(
        self,
        x: Floats,
        y: NDArray[np.int64],
        order: NDArray[np.int32],
        batch: int,
        shape: Any,
        parameters: Floats,
        rates: Floats,
        momentum: Any,
        decay: Any,
        nesterov: bool,
        /,
    ) -> None: ...

    def predict(self, x: Floats, parameters: Floats, shape: Any, logits: Floats, /) -> None: ...


def train_each(
    loops: Loops,
    shape: Any,
    start: Callable[[int], Floats],
    data: tuple[Floats, NDArray[np.integer]],
    masks: NDArray[np.bool_],
    seeds: NDArray[np.uint32],
    evaluate: Sequence[Floats],
    classes: int,
    recipe: Sgd,
    init: str,
    init_seed: int,
) -> list[Floats]:
    """Logits [K, E_s, classes] of K networks, each started from `start(seed)` and trained on its own subset of data."""
    ready = writable(data[0]), data[1].astype(np.int64)
    asked = [writable(features) for features in evaluate]
    logits = [np.empty((len(masks), len(features), classes), np.float32) for features in asked]
    for i, (mask, seed) in enumerate(zip(masks, seeds.tolist(), strict=True)):
        parameters = start(init_seed if init == "shared" else seed)
        descend(loops, shape, parameters, ready, mask, seed, recipe)
        for features, answers in zip(asked, logits, strict=True):
            loops.predict(features, parameters, shape, answers[i])
    return logits


def descend(
    loops: Loops,
    shape: Any,
    parameters: Floats,
    data: tuple[Floats, NDArray[np.int64]],
    mask: NDArray[np.bool_],
    seed: int,
    recipe: Sgd,
) -> None:
    """Train one network in place on its own subset of data, x writable and y int64."""
    order = minibatch_order(np.flatnonzero(mask), seed, recipe.epochs, recipe.order)
    rates, momentum, decay = recipe.rates(order.shape[1]), np.float32(recipe.momentum), np.float32(recipe.weight_decay)
    loops.descend(*data, order, int(recipe.batch), shape, parameters, rates, momentum, decay, bool(recipe.nesterov))


def minibatch_order(rows: NDArray[np.integer], seed: int, epochs: int, order: str | None = None) -> NDArray[np.int32]:
    """The order in which a model sees its examples `rows`: int32 [epochs, rows], cut into minibatches from the left.

    order: "unit", or "position", the default, as `Sgd` says.
    """
    orders = rng.keyed if order == BY_UNIT else rng.shuffled
    return orders(rows.astype(np.int32), epochs, np.uint64(seed))


def check_models(
    x: Floats,
    y: NDArray[np.integer],
    masks: NDArray[np.bool_],
    seeds: NDArray[np.uint32],
    classes: int,
    init: str,
    init_seed: int,
) -> None:
    """Raise InputError unless labels, masks and seeds fit the examples x [N, …] and one another."""
    check_labels(y, len(x), classes)
    subsets(masks, len(x))
    if seeds.shape != (len(masks),) or seeds.dtype.kind not in "iu":
        raise InputError(f"seeds must be {len(masks)} integers, got {seeds.dtype} {list(seeds.shape)}")
    if init not in INITS:
        raise InputError(f"unknown init {init!r}; choose from {', '.join(INITS)}")
    if not 0 <= init_seed < 2**64 or (seeds.size and seeds.min() < 0):
        raise InputError("seeds must be in 0..2**64 - 1")


def check_layers(widths: Sequence[int], classes: int) -> None:
    """Raise InputError unless these can be layers of a network."""
    if any(not isinstance(w, (int, np.integer)) or w < 1 for w in widths):
        raise InputError(f"hidden widths must be whole numbers, 1 or more, got {list(widths)}")
    if classes < 2:
        raise InputError(f"there must be at least 2 classes, got {classes}")


def check_examples(x: Any, evaluate: Sequence[Any]) -> None:
    """Raise InputError unless x and all that is evaluated are float32 [examples, ...] of one form, in C order."""
    wanted = ", ".join(str(size) for size in x.shape[1:])
    for name, some in [("x", x), *((f"evaluate[{s}]", some) for s, some in enumerate(evaluate))]:
        if some.shape[1:] != x.shape[1:] or some.dtype != np.float32 or not some.flags.c_contiguous:
            got = f"{some.dtype} {list(some.shape)}"
            raise InputError(f"{name} must be float32 [examples, {wanted}] in C order, got {got}")


def writable(features: Floats) -> Floats:
    """The same array, or a copy of a read-only one, for which the loops would have to be compiled once more."""
    return np.require(features, requirements="W")
