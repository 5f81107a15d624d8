"""What any task must do. Each of `CHECKS` gets the task; all of them together train about ten models."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subtrain import outputs
from subtrain.designs.drawn import Design
from subtrain.outputs import Output
from subtrain.tasks.base import Task


def check_task(task: Task) -> None:
    """Run every check of `CHECKS`.

    Args:
        task: A task as its users make it.

    Raises:
        AssertionError: For the first thing that is not as the contract says.

    Example:
        >>> check_task(st.tasks.digits(n=30, targets=4, epochs=1, widths=()))
    """
    for check in CHECKS:
        check(task)


def _models(task: Task, count: int) -> tuple[NDArray[np.bool_], NDArray[np.uint32]]:
    design = Design(models=count, heldout=0, n=task.n)
    return design.masks().unpack(), design.seeds()


def it_declares_itself(task: Task) -> None:
    assert isinstance(task.n, int)
    assert task.n >= 2
    assert task.outputs
    assert all(name.isidentifier() and isinstance(spec, Output) for name, spec in task.outputs.items())
    assert isinstance(task.fingerprint, str)
    assert task.fingerprint
    assert task.fingerprint == task.fingerprint


def it_returns_what_it_declares(task: Task) -> None:
    masks, seeds = _models(task, 2)
    found = outputs.check(task.outputs, task.train(masks, seeds), range(2))
    assert {name: array.shape for name, array in found.items()} == {
        name: (2, *spec.shape) for name, spec in task.outputs.items()
    }


def the_same_mask_and_seed_give_the_same_model(task: Task) -> None:
    masks, seeds = _models(task, 1)
    one, other = (task.train(masks, seeds) for _ in range(2))
    for name in task.outputs:
        np.testing.assert_array_equal(one[name], other[name])


def neighbors_in_a_call_do_not_matter(task: Task) -> None:
    """To the precision of a float32: BLAS may add in another order."""
    masks, seeds = _models(task, 3)
    together, alone = task.train(masks, seeds), task.train(masks[1:2], seeds[1:2])
    for name in task.outputs:
        np.testing.assert_allclose(np.asarray(together[name])[1:2], np.asarray(alone[name]), rtol=1e-3, atol=1e-4)


def training_changes_nothing_of_it(task: Task) -> None:
    before = task.fingerprint
    task.train(*_models(task, 1))
    assert task.fingerprint == before


CHECKS = [
    it_declares_itself,
    it_returns_what_it_declares,
    the_same_mask_and_seed_give_the_same_model,
    neighbors_in_a_call_do_not_matter,
    training_changes_nothing_of_it,
]
