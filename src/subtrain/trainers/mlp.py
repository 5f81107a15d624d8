"""Many small networks, each on its own subset: multilayer perceptrons and multinomial logistic regression."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.trainers.kit import dense_layers, rng
from subtrain.trainers.kit.many_models import Floats, check_examples, check_layers, check_models, train_each
from subtrain.trainers.kit.sgd import Sgd

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
    threads, it is the same beside any neighbors. Weights that diverged give logits that are not finite, without an
    error. Raises InputError for arrays that do not fit one another and for an empty subset.
    """
    sizes = layer_sizes(x, widths, classes)
    check_models(x, y, masks, seeds, classes, init, init_seed)
    check_examples(x, evaluate)
    start = partial(initial_parameters, sizes)
    return train_each(dense_layers, sizes, start, (x, y), masks, seeds, evaluate, classes, recipe, init, init_seed)


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
    check_layers(widths, classes)
    if np.ndim(x) != 2 or 0 in x.shape:
        raise InputError(f"x must be a matrix of examples by features, got shape {list(np.shape(x))}")
    return np.array([x.shape[1], *widths, classes], np.int64)


def initial_parameters(sizes: NDArray[np.int64], seed: int) -> Floats:
    """Weights and biases before training, one float32 vector laid out as `trainers.kit.dense_layers` says.

    Uniform on ±1/sqrt(inputs of the layer), as torch.nn.Linear begins; zero if there is no hidden layer, because the
    problem is convex and a random start would only add noise.
    """
    if sizes.size == 2:
        return np.zeros((sizes[0] + 1) * sizes[1], np.float32)
    return rng.uniform_layers(sizes[:-1], sizes[1:], np.uint64(seed))
