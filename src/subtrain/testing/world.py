"""A small task whose outputs are known exactly, found by name in any process."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.outputs import Output
from subtrain.tasks.base import BatchTask, batch
from subtrain.tasks.loading.task_factory import task_factory

NAME = "subtrain.testing.world:linear"


@task_factory
def linear(n: int = 12, targets: int = 3, fails: int = -1, size: int = 1) -> BatchTask:
    """A task that answers a linear function of the mask plus the training seed's last digit.

    Args:
        n: training examples.
        targets: numbers a model answers.
        fails: the training seed at which training raises a ValueError; -1 for none.
        size: models that one call trains.
    """
    weight = np.random.default_rng(0).normal(size=(n, targets))

    def train(masks: NDArray[np.bool_], seeds: NDArray[np.uint32]) -> dict[str, Any]:
        if fails in seeds.tolist():
            raise ValueError("told to fail")
        return {"test_margins": (masks @ weight + seeds[:, None] % 10).astype(np.float32)}

    return batch(train, n, {"test_margins": Output((targets,), "float32")}, size)
