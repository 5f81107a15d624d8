"""A folder in which the pages' commands run: the studies they name, made when a page first needs them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace
from typing import Any

import numpy as np
from blocks import PAGES, ROOT, blocks

import subtrain as st
from subtrain.collection import train_segment
from subtrain.fits import load_fit, save_fit
from subtrain.study import Study
from subtrain.tasks.digits import split_digits


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
    outputs = ["test_margins", "train_margins", "test_logits"]
    study = trained(runs / "digits", "digits", {"outputs": outputs}, models=400, heldout=30)
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
    study = trained(runs / "mine", "tabular", {"data": "wine"})
    save_fit(study, st.fit(study, "test_margins"))


STUDIES: dict[str, Callable[[Path], None]] = {
    "digits": digits,
    "digits-cnn": digits_cnn,
    "noisy": noisy,
    "poisoned": poisoned,
    "mine": mine,
}


def names_for(here: Path) -> dict[str, Any]:
    """What the pages' snippets take for granted: the reader's own arrays, modules and files."""
    from sklearn.linear_model import LogisticRegression

    (x, y), (x_test, y_test) = split_digits(500, 300, 0)
    np.save(here / "features.npy", x)
    np.save(here / "trak.npy", np.random.default_rng(0).normal(size=(len(x), len(x_test))))
    (here / "images.bin").write_bytes(b"pixels")
    (here / "train.sh").write_text("#!/bin/sh\n")
    (here / "train.sh").chmod(0o755)
    readme = next(block.text for block in blocks(PAGES[0]) if block.text.startswith("# mycode.py"))
    (here / "mycode.py").write_text(readme, encoding="utf-8")
    names = {"x": x, "x_test": x_test, "y": y, "y_test": y_test, "labels": y, "labels_test": y_test, "test_y": y_test}
    names |= {"features": x, "features_test": x_test, "data": x, "test_x": x_test, "sources": np.arange(500) // 20}
    names |= {"x_train": x.reshape(-1, 8, 8), "names_train": y.astype(str), "names_test": y_test.astype(str)}
    names |= {"ages": np.arange(300), "incomes": np.arange(300.0), "task": st.tasks.ridge_head(x, y, x_test, y_test)}
    return names | _modules(x, y, x_test, y_test) | {"st": st, "np": np, "LogisticRegression": LogisticRegression}


def studies_for(text: str, names: dict[str, Any], here: Path) -> None:
    """The study, its fit and another study, for snippets that take them for granted."""
    if re.search(r"\bstudy2\b", text):
        alphas = st.Design.for_shapley(2).alpha
        names["study2"] = trained(here / "runs" / "several", names["task"], alpha=alphas, kind="bernoulli", heldout=0)
    if "groups=sources" in text:
        names |= sources_of_digits()
    if "study" not in names and re.search(r"\bstudy\b", text) and not re.search(r"^study = ", text, re.M):
        names["study"] = Study.open(here / "runs" / "digits")
    if "dm" not in names and re.search(r"\bdm\b", text) and not re.search(r"^dm = ", text, re.M):
        names["dm"] = load_fit(Study.open(here / "runs" / "digits"))
    if "out/digits/" in text:
        Study.open(here / "runs" / "digits").export(here / "out")


def sources_of_digits() -> dict[str, Any]:
    """The task and the sources that benchmarks/sources.py values, which the page shows in part."""
    found = run_path(str(ROOT / "benchmarks" / "sources.py"))
    return {"task": found["task"], "sources": found["sources"]}


def _modules(x: Any, y: Any, x_test: Any, y_test: Any) -> dict[str, Any]:
    import torch

    from subtrain.tasks.torch import TorchRecipe

    def make_model() -> Any:
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))

    def train(indices: Any, seed: int) -> dict[str, Any]:
        return {"test_margins": np.full(len(x_test), float(len(indices)))}

    def my_training(data: Any, seed: int) -> Any:
        return SimpleNamespace(logits=lambda inputs: inputs[:, :10] * data.mean())

    def load_dataset(_name: str, split: str) -> list[dict[str, Any]]:
        images, labels = (x, y) if split == "train" else (x_test, y_test)
        return [{"image": image, "label": int(label)} for image, label in zip(images, labels, strict=True)]

    sets = [
        (torch.as_tensor(images).reshape(-1, 1, 8, 8), torch.as_tensor(labels))
        for images, labels in ((x, y), (x_test, y_test))
    ]
    found = {"make_model": make_model, "my_training": my_training, "train": train, "load_dataset": load_dataset}
    return found | {"train_set": sets[0], "test_set": sets[1], "torch": torch, "TorchRecipe": TorchRecipe}
