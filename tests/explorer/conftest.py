"""A planted study with pictures, hostile labels and three fits, and a client of its explorer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from subtrain import Datamodels, Design, Study
from subtrain.collection import train_segment
from subtrain.explorer.open_studies import Library
from subtrain.fits import save_fit
from subtrain.tasks import View
from worlds import linear, weights

N, TARGETS = 20, 6
NASTY = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


def pictured() -> View:
    random = np.random.default_rng(3)
    sizes = {"train": N, "test": TARGETS}
    return View(
        images={split: random.integers(0, 256, (k, 8, 8), np.uint8) for split, k in sizes.items()},
        labels={split: [(NASTY, "cat", "10")[i % 3] for i in range(k)] for split, k in sizes.items()},
        texts={"test": [f"{NASTY} number {i}" for i in range(TARGETS)]},
        tables={"test": {"length": np.arange(TARGETS) / 3, NASTY: ["x"] * TARGETS}},
    )


def true_fit(**meta) -> Datamodels:
    """Datamodels that are the truth, so that every figure is known."""
    weight, bias = weights(N, TARGETS)
    about = {"output": "test_margins", "models": 40, "models_used": [[0, 40]]} | meta
    return Datamodels(weight.astype(np.float32), bias, np.full(TARGETS, 0.01), about)


def planted(path: Path) -> Study:
    """40 models to fit on and 10 held-out subsets with 2 runs each of the linear world, trained in this process."""
    task = replace(linear(N, TARGETS, noise=0.1), view=pictured())
    study = Study.create(path, task, Design(models=40, heldout=10, replicates=2, seed=1), segment=20)
    (study.path / "segments").mkdir()
    for where in study.segments:
        train_segment(study, where)
    return study


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Study:
    """Read only: the planted study with its true fit, one that is half wrong, and one of the training examples."""
    study = planted(tmp_path_factory.mktemp("explorer") / "planted")
    save_fit(study, true_fit())
    wrong = true_fit()
    weight = wrong.weight.copy()
    weight[:, ::2] = -weight[:, ::2]
    save_fit(study, replace(wrong, weight=weight), "wrong")
    own = np.eye(N, dtype=np.float32)
    save_fit(study, Datamodels(own, np.zeros(N), np.zeros(N), {"output": "train_margins"}), "train")
    return study


@pytest.fixture(scope="session")
def client(world) -> Iterator[SimpleNamespace]:
    with serving(world) as found:
        yield found


def serving(study: Study, *, second: Study | None = None, fit: str | None = None, **options):
    """A client of the explorer of this study, which calls itself 127.0.0.1."""
    testclient = pytest.importorskip("fastapi.testclient")
    from subtrain.explorer.server.app import make_app

    library = Library({"": study} | ({"@b": second} if second is not None else {}), fit)
    return testclient.TestClient(make_app(library, **options), base_url="http://127.0.0.1", follow_redirects=False)


@pytest.fixture
def serve() -> Callable:
    return serving


@pytest.fixture
def copy(world, tmp_path) -> Study:
    """The planted study for a test that writes to it."""
    import shutil

    shutil.copytree(world.path, tmp_path / "copy")
    return Study.open(tmp_path / "copy", task=world.task)


@pytest.fixture
def settled() -> Callable:
    """settled(client, where): the answer when what is computed in the background is done."""
    import time

    def ask(client, where: str):
        for _ in range(300):
            answer = client.get(where)
            assert answer.status_code == 200, answer.text
            if answer.json()["state"] not in ("queued", "computing"):
                return answer.json()
            time.sleep(0.05)
        raise AssertionError(f"{where} never settled")

    return ask
