"""Neighbours: the largest weights of a target, of a group by its mean, of a class; with names and significance."""

from __future__ import annotations

import numpy as np
import pytest

from subtrain import Datamodels, tasks
from subtrain.errors import InputError
from subtrain.uses.kit.unit_names import target_labels
from subtrain.uses.neighbors import neighbors
from uses.planted import opposed_weights, world_of

WEIGHT = np.array([[3, -1, 0], [2, 4, 0], [-5, 1, 0], [0, 2, 1], [-1, 0, 0.5]], np.float32)
DM = Datamodels(WEIGHT, np.zeros(3), np.zeros(3), {"output": "test_margins"})


def rows(found):
    table = found.table()
    return [tuple(np.asarray(table[name]).tolist()[i] for name in table) for i in range(found.unit.size)]


def test_each_target():
    found = neighbors(DM, targets=[0, 2], k=2)
    assert rows(found) == [
        ("target 0", "helpful", 0, 3.0),
        ("target 0", "helpful", 1, 2.0),
        ("target 0", "harmful", 2, -5.0),
        ("target 0", "harmful", 4, -1.0),
        ("target 2", "helpful", 3, 1.0),
        ("target 2", "helpful", 4, 0.5),
    ]
    found.figure()
    assert repr(found).startswith("Neighbors(test_margins: 6 helpful and harmful units of 5 for target 0, target 2)")


def test_groups_are_judged_by_the_mean_of_their_targets():
    found = neighbors(DM, k=1, groups=["cat", "cat", "dog"])
    assert rows(found) == [("cat", "helpful", 1, 3.0), ("cat", "harmful", 2, -2.0), ("dog", "helpful", 3, 1.0)]
    assert found.count.tolist() == [2, 1]
    assert "for cat, dog; weights are means over 3 targets" in repr(found)
    together = neighbors(DM, targets=[0, 1], k=1, together=True)
    assert rows(together)[0] == ("2 targets", "helpful", 1, 3.0)


def test_significance_stands_beside_it():
    q = np.full((5, 1), 0.5)
    q[0] = 0.01
    found = neighbors(DM, targets=[0], k=2, q=q)
    assert found.table()["q"].tolist() == [0.01, 0.5, 0.5, 0.5]
    assert "1 of them with q ≤ 0.05" in repr(found)
    with pytest.raises(InputError, match=r"q must be \[5, 1\]"):
        neighbors(DM, targets=[0], q=np.zeros(5))
    with pytest.raises(InputError, match="group of each of 3 targets"):
        neighbors(DM, groups=[1, 2])


def test_labels_and_pictures_come_from_the_task(make_study):
    task = tasks.digits(n=20, targets=3, epochs=1)
    study = make_study(done=False, task=task)
    dm = Datamodels(np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32), np.zeros(3), np.zeros(3))
    found = neighbors(dm, study, k=3)
    assert found.label.tolist() == [task.view.labels["train"][u] for u in found.unit]
    assert "label" in found.table()
    assert len(found.figure().axes) == 2 * 3 * 3
    assert list(target_labels(study, "test_margins")) == list(task.view.labels["test"])


def test_groups_have_the_label_that_their_examples_share(make_study):
    task = tasks.digits(n=60, targets=6, widths=(), epochs=2)
    classes = [int(label) for label in task.view.labels["train"]]
    study = make_study(task=task, groups=tuple(classes), done=False)
    dm = Datamodels(np.eye(10, 6, dtype=np.float32), np.zeros(6), np.zeros(6), {"output": "test_margins"})
    found = neighbors(dm, study, k=1)
    assert found.label.tolist() == [str(unit) for unit in found.unit]


def test_training_without_the_units_of_a_list_moves_its_targets(make_study, trained_here):
    weight = opposed_weights()
    study = make_study(task=world_of(weight), models=20, segment=64)
    dm = Datamodels(weight, np.ones(40), np.zeros(40), {"output": "test_margins"})
    found = neighbors(dm, study, targets=[0, 1, 39], k=5, groups=["a", "a", "b"]).verify(3)
    assert [(job.target, job.kind, len(job.units)) for job in found.removals[:6]] == [
        (0, "helpful", 5),
        (1, "helpful", 5),
        (0, "harmful", 5),
        (1, "harmful", 5),
        (39, "helpful", 5),
        (39, "harmful", 5),
    ]
    assert np.abs(found.observed.mean(axis=1) - found.predicted).max() < 1
    assert found.agreement.pearson.value > 0.99
