"""Our own engines, tasks and designs keep what `subtrain.testing` asks of everybody's."""

from __future__ import annotations

import numpy as np
import pytest

from subtrain import Design, tasks
from subtrain.designs.listed import ListedDesign
from subtrain.masks import pack
from subtrain.studies.imports.arrays import import_arrays
from subtrain.testing import designs, engines, world
from subtrain.testing import tasks as task_checks
from subtrain.testing.expect import expect

GROUPS = (0, 0, 1, 2, 3, 3, 4, 5)
DESIGNS = {
    "fixed": lambda folder: Design(models=6, heldout=2, n=9),
    "bernoulli": lambda folder: Design(alpha=(0.3, 0.6), models=6, heldout=2, n=9, kind="bernoulli"),
    "stratified": lambda folder: Design(models=6, heldout=2, strata=(0, 1) * 5),
    "groups": lambda folder: Design(models=6, heldout=2, groups=GROUPS),
    "extended": lambda folder: Design(models=6, heldout=2, n=9).extend(models=3, heldout=1),
    "listed": lambda folder: ListedDesign(pack(~np.eye(6, dtype=bool)[:3]), 2, 5, GROUPS),
    "imported": lambda folder: imported(folder),
}
TASKS = {
    "linear": lambda: world.linear(),
    "digits": lambda: tasks.digits(n=40, targets=10, epochs=2),
    "tabular": lambda: tasks.tabular("iris"),
}


def imported(folder):
    masks = np.random.default_rng(0).random((12, 8)) < 0.5
    return import_arrays(folder / "study", masks, {"test_margins": masks[:, :3] + 0.5}).design


@pytest.mark.parametrize("kind", DESIGNS)
@pytest.mark.parametrize("check", designs.CHECKS, ids=lambda check: check.__name__)
def test_designs(kind, check, tmp_path):
    check(DESIGNS[kind](tmp_path))


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("check", task_checks.CHECKS, ids=lambda check: check.__name__)
def test_tasks(name, check):
    check(TASKS[name]())


@pytest.mark.parametrize(("engine", "options"), [("inline", {}), ("local", {"workers": 1})])
@pytest.mark.parametrize("check", engines.CHECKS, ids=lambda check: check.__name__)
def test_engines(engine, options, check, tmp_path):
    check(engine, tmp_path, **options)


def test_an_error_that_does_not_come_is_missed():
    for act, words in ((lambda: None, ""), (lambda: int("x"), "something else")):
        with pytest.raises(AssertionError):
            expect(ValueError, act, words)
