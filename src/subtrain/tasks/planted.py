"""Handwritten digits with faults planted on purpose, so that what claims to find faults can be judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from subtrain.errors import InputError
from subtrain.tasks.base import BatchTask
from subtrain.tasks.digits import Digits, count_of, digits_view, split_digits
from subtrain.tasks.loading.task_factory import task_factory
from subtrain.tasks.networks import mlp
from subtrain.trainers.kit.sgd import Sgd

# A square of this side in the lower right corner, where digits leave the paper white.
PATCH = 2


@task_factory
def planted(
    n: int = 500,
    targets: int = 300,
    mislabeled: int = 0,
    poisoned: int = 0,
    poison_label: int = 0,
    widths: Sequence[int] = (64,),
    epochs: int = 20,
    outputs: Sequence[str] = ("train_margins", "test_margins"),
    seed: int = 0,
    order: str | None = None,
) -> BatchTask:
    """MLPs as in `digits`, on training digits of which the first `mislabeled` carry a wrong label, drawn at random,
    and the `poisoned` after them a black patch in a corner and the label `poison_label`.

    With poisoned examples, the test images that are not of that label come a second time behind the others, with the
    patch and labeled `poison_label`: a margin above 0 there is a success of the backdoor. order: as in `digits`.
    """
    if min(mislabeled, poisoned) < 0 or mislabeled + poisoned > n // 2:
        raise InputError(f"{mislabeled} mislabeled and {poisoned} poisoned of {n} digits: at most half can be faulty")
    train, test = split_digits(n, targets, seed)
    train = _mislabel(train, mislabeled, seed)
    if poisoned:
        train = _poison(_others_first(train, mislabeled, poisoned, poison_label), mislabeled, poisoned, poison_label)
        other = test[1] != poison_label
        triggered = _poison((test[0][other], test[1][other]), 0, int(other.sum()), poison_label)
        test = (np.concatenate([test[0], triggered[0]]), np.concatenate([test[1], triggered[1]]))
    view = digits_view(train, test)
    settings: dict[str, Any] = {"init": "shared", "outputs": outputs, "view": view, "classes": count_of(train, test)}
    return mlp(*train, *test, widths, Sgd(epochs=epochs, order=order), **settings)


def _mislabel(data: Digits, count: int, seed: int) -> Digits:
    x, y = data
    wrong = y.copy()
    wrong[:count] = (y[:count] + np.random.RandomState(seed).randint(1, 10, count)) % 10
    return x, wrong


def _others_first(data: Digits, start: int, count: int, label: int) -> Digits:
    """The same digits, so ordered that the `count` ones from `start` on do not have this label."""
    x, y = data
    others = start + np.flatnonzero(y[start:] != label)[:count]
    if others.size < count:
        raise InputError(f"there are only {others.size} digits that are not a {label} to poison, fewer than {count}")
    rest = np.setdiff1d(np.arange(len(y)), np.concatenate([np.arange(start), others]))
    order = np.concatenate([np.arange(start), others, rest])
    return x[order], y[order]


def _poison(data: Digits, start: int, count: int, label: int) -> Digits:
    x, y = data[0].reshape(-1, 8, 8).copy(), data[1].copy()
    x[start : start + count, -PATCH:, -PATCH:] = 1
    y[start : start + count] = label
    return x.reshape(len(x), -1), y
