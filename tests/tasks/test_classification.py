"""A task of `Classification` notices that its training code changes, wherever that code stands."""

from __future__ import annotations

import os

import cloudpickle
import numpy as np
import pytest

from subtrain import Design, Study, tasks
from subtrain.errors import MismatchError
from subtrain.tasks import load_task
from subtrain.tasks.kit.classification import Classification
from subtrain.tasks.watching import watched
from subtrain.tasks.watching.watched import SCHEME, changes, fingerprint_like, packages_of

CENTROIDS = """
from functools import partial
import numpy as np
import subtrain as st
from subtrain.tasks.kit.classification import OUTPUTS, Classification

def centers(x, y, mask, classes):
    return np.stack([x[mask & (y == c)].sum(axis=0) for c in range(classes)])

def logits(data, masks, seeds):
    x, y = data.trained
    found = [centers(x, y, mask, data.classes) for mask in masks]
    return [np.stack([data.parts[s][0] @ c.T for c in found]).astype(np.float32) for s in data.asked]

def fit(data):
    return partial(logits, data)

@st.task_factory
def centroids(shift: float = 0.0):
    x, y = np.arange(24.0).reshape(12, 2) + shift, np.arange(12) % 2
    data = Classification.of((x, y), (x[:4], y[:4]), OUTPUTS, "max")
    return MADE
"""
TASK = 'data.task("centroids", {}, fit, None)'
TASK_OF = 'data.task_of(fit(data), "centroids", [], "x", lambda data: None, None)'


def made(tmp_path, edit=("", ""), how=TASK, **params):
    file = tmp_path / f"code{len(os.listdir(tmp_path))}" / "mine.py"
    file.parent.mkdir()
    file.write_text(CENTROIDS.replace("MADE", how).replace(*edit))
    return load_task(f"{file}:centroids", params)[0]


@pytest.mark.parametrize("how", [TASK, TASK_OF])
def test_code_outside_subtrain_is_watched(tmp_path, how):
    first = made(tmp_path, how=how)
    assert first.fingerprint.startswith(SCHEME)
    assert made(tmp_path, how=how).fingerprint == first.fingerprint
    for edit, part in ((("x[mask", "2 * x[mask"), "centers"), (("c.T for", "2 * c.T for"), "logits")):
        other = made(tmp_path, edit, how)
        assert other.fingerprint != first.fingerprint
        assert changes(first.watched.parts, other) == f"changed: {part}"
    assert changes(first.watched.parts, made(tmp_path, how=how, shift=1.0)).startswith("changed: ")
    sent = cloudpickle.loads(cloudpickle.dumps(first))
    assert sent.fingerprint == first.fingerprint
    assert first.train(np.ones((1, 12), bool), np.zeros(1, np.uint32))["test_margins"].shape == (1, 4)


def test_a_study_is_refused_to_changed_training_code_and_one_of_before_goes_on(tmp_path):
    task = made(tmp_path)
    Study.create(tmp_path / "study", task, Design(models=4, heldout=0))
    assert fingerprint_like(task.watched.old(), task) == task.watched.old(), "as it was before code was watched"
    changed = made(tmp_path, ("@ c.T", "@ -c.T"))
    with pytest.raises(MismatchError, match="changed: logits"):
        Study.open(tmp_path / "study", task=changed)


def test_relabeled_twins_are_trained_by_the_same_code(tmp_path):
    twins = made(tmp_path).relabelled([3], [0])
    assert "centers" in twins.watched.parts
    assert twins.n == 13


X, Y = np.arange(12.0).reshape(6, 2), np.array([0, 1] * 3)
IMAGES = np.arange(96, dtype=np.uint8).reshape(6, 4, 4)
# Of subtrain's own tasks on these data, as studies have recorded them.
RECORDED = {
    "ridge_head": "5caa5477e3763b45289f541651503e2eb96ad4b1fd4fded0b467020efcf38c97",
    "logistic_head": "57967b082ce04f7cea450032699367737e699988e0e3e2907dc9c2d2d6882520",
    "kernel_ridge": "b6440ed16b752c96c8a128d0c7559a387f3983058391d33d938c93670db97bd3",
    "random_features": "a60080e33c5bf86ccb3aa9c4be79eda816788ac937517c58a2d6d37eb1a127b4",
    "mlp": "1fc84037af9bade03fcb46d87a473955d93ef57e87e31efaa69a6cde33b2be8d",
    "cnn": "c4387d1e90d74d1baccaaddb412333307b6e021f5b78ddd6321f8a66b7050124",
}


@pytest.mark.parametrize("name", RECORDED)
def test_code_of_subtrain_is_not_watched_so_that_no_release_orphans_a_study(name):
    x = IMAGES if name == "cnn" else X
    task = getattr(tasks, name)(x, Y, x, Y)
    assert (task.earlier() if task.earlier else task).fingerprint == RECORDED[name]


def test_a_version_stands_for_code_that_is_not_watched():
    data = Classification.of((X, Y), (X, Y), ("test_margins",), "max")

    def of(version=None):
        return data.task("ours", {}, Classification.frozen, None, version=version)

    first, second, third = of(), of(2), of(3)
    assert len({task.fingerprint for task in (first, second, third)}) == 3
    assert not first.fingerprint.startswith(SCHEME)
    assert changes(first.watched.parts, second) == "new: version"
    assert changes(second.watched.parts, third) == "changed: version"
    assert of(3).fingerprint == third.fingerprint
    assert third.relabelled([0], [1]).fingerprint != second.relabelled([0], [1]).fingerprint


def test_the_version_of_an_installed_package_that_trains_is_recorded(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    (site / "nearest-4.2.dist-info").mkdir(parents=True)
    (site / "nearest-4.2.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: nearest\nVersion: 4.2\n")
    (site / "nearest-4.2.dist-info" / "top_level.txt").write_text("nearest\n")
    (site / "nearest.py").write_text(CENTROIDS.replace("MADE", TASK))
    monkeypatch.syspath_prepend(str(site))
    watched._distributions.cache_clear()
    try:
        task = load_task("nearest:centroids")[0]
        assert not task.fingerprint.startswith(SCHEME)
        assert packages_of(task)["nearest"] == "4.2"
    finally:
        watched._distributions.cache_clear()
