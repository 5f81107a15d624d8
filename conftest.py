"""How the examples of docstrings run: with the tests, in a folder of their own, with a tiny study that they share."""

from __future__ import annotations

import os
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from _pytest.doctest import DoctestModule

SOURCE = Path(__file__).parent / "src" / "subtrain"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> DoctestModule | None:
    """Examples of the package run like tests; modules without any are not imported for it."""
    if parent.config.option.doctestmodules or file_path.suffix != ".py" or not file_path.is_relative_to(SOURCE):
        return None
    return DoctestModule.from_parent(parent, path=file_path) if ">>> " in file_path.read_text("utf-8") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Examples are too small for good fits: that a fit says so is no failure."""
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            item.add_marker(pytest.mark.filterwarnings("ignore::subtrain.regression.fit_warnings.FitWarning"))


@pytest.fixture(autouse=True, scope="session")
def own_state(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A key of the tests' own, and none in the home of who runs them."""
    os.environ["SUBTRAIN_STATE"] = str(tmp_path_factory.mktemp("state"))


@cache
def example() -> dict[str, Any]:
    """`study` has 30 digits, 120 models and 10 held-out subsets; `dm` predicts its test margins, `own` its training
    margins; `fast` are options that retrain in this process."""
    import numpy as np

    import subtrain as st

    outputs = ["test_margins", "test_logits", "train_margins"]
    task = st.tasks.digits(n=30, targets=8, epochs=5, widths=(), outputs=outputs)
    study = st.Study.create(":memory:", task, st.Design(models=120, heldout=10, replicates=3), segment=60)
    fast = {"engine": "inline", "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.collect(**fast)
        fits = {"dm": study.fit(), "own": study.fit("train_margins")}
    return {"np": np, "st": st, "study": study, "fast": fast, **fits}


@pytest.fixture(autouse=True)
def _example(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give an example what all share, and an empty folder in which it may create `runs/…`."""
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))
        request.getfixturevalue("doctest_namespace").update(example())
