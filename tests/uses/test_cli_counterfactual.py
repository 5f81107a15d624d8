"""The verbs of counterfactuals, support, neighbours and leakage: each does what its function does, and writes it."""

from __future__ import annotations

import csv
import itertools
import json

import numpy as np
import pytest
from typer.testing import CliRunner

import worlds
from subtrain import Datamodels, tasks
from subtrain.cli.main import load
from subtrain.cli.shared.app import app
from subtrain.errors import InputError

load()

N, T = 40, 6
WEIGHT, BIAS = worlds.weights(N, T)
META = {"output": "test_margins", "models": 10}


@pytest.fixture
def invoke(make_study, trained_here):
    """invoke("verb", *options): the result, on a study of known datamodels."""

    made = itertools.count()

    def run(verb, *options, task=None, weight=WEIGHT):
        study = make_study(done=False, name=f"study-{next(made)}", task=task or worlds.linear(N, T))
        bias = np.ones(weight.shape[1]) - 0.5 * weight.sum(axis=0)
        dm = Datamodels(weight.astype(np.float32), bias, np.zeros(weight.shape[1]), META)
        dm.save(study.path / "fits" / "default")
        found = CliRunner().invoke(app, [verb, str(study.path), *options])
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found.stdout

    return run


def test_counterfactual(invoke, tmp_path):
    out = invoke("counterfactual", "--targets", "0-2", "--sizes", "2,5", "--out", str(tmp_path / "cf.csv"))
    assert "predicted, not retrained" in out
    rows = list(csv.DictReader((tmp_path / "cf.csv").open(newline="")))
    assert {row["kind"] for row in rows} == {"helpful", "harmful", "random"}
    out = invoke("counterfactual", "--targets", "1", "--units", "3,4", "--json")
    effects = json.loads(out)["table"]["predicted"]
    assert np.allclose(effects, -WEIGHT[[3, 4], 1].sum(), atol=1e-5)


def test_verify_needs_the_task(invoke):
    with pytest.raises(InputError, match="does not know how to make its task again"):
        invoke("counterfactual", "--verify", "--runs", "2")


def test_support(invoke, tmp_path):
    out = invoke("support", "--out", str(tmp_path / "support.png"))
    assert "none retrained" in out
    assert (tmp_path / "support.png").read_bytes().startswith(b"\x89PNG")


def test_neighbors_and_leakage(invoke, tmp_path):
    task = tasks.digits(n=N, targets=T, epochs=1)
    assert "target 3" in invoke("neighbors", "--targets", "3", "-k", "2")
    out = invoke("neighbors", "--per-class", "-k", "1", "--json", task=task)
    assert set(json.loads(out)["table"]["group"]) <= {str(c) for c in range(10)}
    random = np.random.default_rng(0)
    weight = random.normal(size=(N, T))
    weight[7, 3] = 1000
    out = invoke("leakage", "--out", str(tmp_path / "review.csv"), weight=weight)
    assert "1 suspect pairs" in out
    first = next(csv.DictReader((tmp_path / "review.csv").open(newline="")))
    assert (first["unit"], first["target"], first["decision"]) == ("7", "3", "")
