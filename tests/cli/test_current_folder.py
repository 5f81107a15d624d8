"""Who works in somebody else's folder runs nothing that lies there, whatever its name."""

from __future__ import annotations

import os
import sys

import pytest

from commands import ok
from subtrain.collection.engines.slurm import sbatch
from subtrain.collection.workers import task_message
from subtrain.studies.trust import Making
from subtrain.tasks import load_task
from subtrain.tasks.base import Source
from subtrain.tasks.tabular import tabular

BUILT_IN = Source("subtrain.tasks.digits:digits", {"n": 100, "targets": 20})
# What subtrain and its libraries import if it is there, and what Python itself looks for.
NAMES = ("torch", "pandas", "polars", "sitecustomize", "usercustomize", "random", "matplotlib", "ray", "obstore")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with modules that leave a trace when they are imported."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    return tmp_path


def test_a_built_in_task_is_made_trained_and_shown_without_them(folder):
    """matplotlib would wait for ever to read its settings here."""
    os.mkfifo(folder / "matplotlibrc")
    python = {"env": {**os.environ, "PYTHONSAFEPATH": "1"}}  # as `subtrain` starts it, which `python -m` does not
    given = ["--task", "digits", "--param", "n=100", "--param", "targets=20", "--models", "60", "--heldout", "4"]
    ok("create", "study", *given, "--replicates", "2", **python)
    ok("collect", "study", "--workers", "1", **python)
    ok("fit", "study", **python)
    ok("support", "study", "--out", "support.png", **python)
    assert (folder / "support.png").stat().st_size > 1000
    assert not (folder / "ran").exists()


def test_where_the_current_folder_counts(folder):
    here, (task, _) = str(folder), load_task(BUILT_IN.name, BUILT_IN.params)
    assert here not in sys.path
    for making, counts in (
        (Making(BUILT_IN, own=True), False),
        (Making(Source("my.task:make"), own=True), True),
        (Making(Source("my.task:make"), own=False), False),
        (Making(Source("task.py:make", file="/elsewhere/task.py"), own=True), False),
        (None, True),
    ):
        assert (here in task_message.pack(task, making)["sys_path"]) is counts
        assert (here in sbatch.import_path(making)) is counts


def test_an_estimator_of_ones_own_is_found_there(folder):
    (folder / "my_estimator.py").write_text(
        "from sklearn.linear_model import LogisticRegression\nclass Mine(LogisticRegression): pass\n"
    )
    assert tabular(data="wine", estimator="sklearn.svm:SVC").n == 124
    assert tabular(data="wine", estimator="my_estimator:Mine").n == 124
    assert not (folder / "ran").exists()
