"""A folder in which the pages' commands run: the studies they name, made when a page first needs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import subtrain as st
from subtrain.collection import train_segment
from subtrain.fits import save_fit
from subtrain.store.study import Study

MYCODE = """
import numpy as np
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
x, y = load_wine(return_X_y=True)
x = (x - x.mean(0)) / x.std(0)
x, x_test, y, y_test = x[::2], x[1::2], y[::2], y[1::2]
def my_training(x, y, seed):
    return LogisticRegression().fit(x, y).decision_function
"""


def trained(path: Path, task: Any, params: dict[str, Any] | None = None, **design: Any) -> Study:
    """A study whose models are trained in this process; opened if it is there."""
    plan = {"models": 240, "heldout": 20, "replicates": 2, "seed": 0} | design
    study = Study.create(path, task, st.Design(**plan), params=params, exist_ok=True)
    if study.models_done() < study.models:
        (path / "segments").mkdir(exist_ok=True)
        for where in study.segments:
            if where not in study.rows.whole():
                train_segment(study, where)
    return study


def digits(runs: Path) -> None:
    study = trained(runs / "digits", "digits", models=400, heldout=30)
    save_fit(study, st.fit(study, "test_margins"))


def digits_cnn(runs: Path) -> None:
    study = trained(runs / "digits-cnn", "digits", {"channels": [4], "epochs": 5}, models=100)
    save_fit(study, st.fit(study, "test_margins"))


def noisy(runs: Path) -> None:
    study = trained(runs / "noisy", "planted", {"mislabeled": 50})
    save_fit(study, st.fit(study, "train_margins"))
    save_fit(study, st.fit(study, "test_margins"), "test")


def poisoned(runs: Path) -> None:
    study = trained(runs / "poisoned", "planted", {"poisoned": 25})
    save_fit(study, st.fit(study, "train_margins"))


def mine(runs: Path) -> None:
    """The README's own example, with data and training for the names that it leaves to the reader."""
    from blocks import PAGES, blocks

    code = next(b.text for b in blocks(PAGES[0]) if b.text.startswith("# mycode.py"))
    (runs.parent / "mycode.py").write_text(MYCODE + code, encoding="utf-8")


STUDIES: dict[str, Callable[[Path], None]] = {
    "digits": digits,
    "digits-cnn": digits_cnn,
    "noisy": noisy,
    "poisoned": poisoned,
    "mine": mine,
}


def names_for(page: str, here: Path) -> dict[str, Any]:
    """What a page's snippets take for granted: the reader's own arrays, models and studies."""
    random = np.random.default_rng(0)
    x, x_test = random.random((60, 8, 8), np.float32), random.random((20, 8, 8), np.float32)
    y, y_test = random.integers(0, 3, 60), random.integers(0, 3, 20)
    found: dict[str, Any] = {"st": st, "np": np, "x": x, "x_test": x_test, "y": y, "y_test": y_test}
    found |= {"labels": y, "labels_test": y_test, "features_test": x_test.reshape(20, -1), "data": x, "test_x": x_test}
    return found
