"""A folder in which the pages' commands run: the studies they name, made when a page first needs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import subtrain as st
from subtrain.collection import train_segment
from subtrain.fits import save_fit
from subtrain.store.study import Study


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


STUDIES: dict[str, Callable[[Path], None]] = {
    "digits": digits,
    "digits-cnn": digits_cnn,
    "noisy": noisy,
    "poisoned": poisoned,
}


def names_for(here: Path) -> dict[str, Any]:
    """What the pages' snippets take for granted: the reader's own arrays, modules, files and studies."""
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    x, x_test = random.random((60, 8, 8), np.float32), random.random((20, 8, 8), np.float32)
    y, y_test = np.arange(60) % 3, np.arange(20) % 3
    flat, flat_test = x.reshape(60, -1), x_test.reshape(20, -1)
    np.save(here / "features.npy", flat)
    (here / "images.bin").write_bytes(b"pixels")
    (here / "train.sh").write_text("#!/bin/sh\n")
    (here / "train.sh").chmod(0o755)
    names = {"x": flat, "x_test": flat_test, "y": y, "y_test": y_test, "labels": y, "labels_test": y_test}
    names |= {"features": flat, "features_test": flat_test, "data": flat, "test_x": flat_test, "test_y": y_test}
    names |= {"x_train": x, "names_train": [f"class {c}" for c in y], "names_test": [f"class {c}" for c in y_test]}
    names |= {"ages": np.arange(20), "incomes": np.arange(20.0), "sources": np.arange(60) % 6}
    return names | _modules(flat, y, flat_test, y_test) | {"st": st, "np": np, "LogisticRegression": LogisticRegression}


def _modules(x: Any, y: Any, x_test: Any, y_test: Any) -> dict[str, Any]:
    import torch

    from subtrain.tasks.torch import TorchRecipe

    def make_model() -> Any:
        return torch.nn.Linear(64, 3)

    def train(indices: Any, seed: int) -> dict[str, Any]:
        return {"test_margins": np.full(len(x_test), float(len(indices)))}

    def my_training(data: Any, seed: int) -> Any:
        return SimpleNamespace(logits=lambda inputs: inputs[:, :3] * data.mean())

    def load_dataset(_name: str, split: str) -> list[dict[str, Any]]:
        images, labels = (x, y) if split == "train" else (x_test, y_test)
        return [{"image": image, "label": int(label)} for image, label in zip(images, labels, strict=True)]

    sets = [(torch.as_tensor(images), torch.as_tensor(labels)) for images, labels in ((x, y), (x_test, y_test))]
    found = {
        "make_model": make_model,
        "my_training": my_training,
        "train": train,
        "load_dataset": load_dataset,
        "TorchRecipe": TorchRecipe,
    }
    return found | {"train_set": sets[0], "test_set": sets[1], "torch": torch}
