import shlex
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from subtrain import Datamodels, Design, Study
from subtrain.cli.shared.app import app
from subtrain.cli.verbs import create, extend  # noqa: F401 (registers the verbs)
from subtrain.explorer.data.provenance import provenance
from subtrain.tasks.base import Source

DM = Datamodels(np.zeros((124, 54)), np.zeros(54), np.zeros(54), {"output": "test_margins"})


def test_the_commands_make_the_same_study_again(tmp_path, monkeypatch):
    params = {"data": "wine", "params": {"C": 0.5}, "margin": "logsumexp", "test_size": 0.3, "outputs": None}
    study = Study.create(
        tmp_path / "a study", "tabular", Design(0.29, 12, seed=3, kind="bernoulli", heldout=4), params=params, segment=8
    )
    study = study.extend(models=5).extend(heldout=2, replicates=3)
    commands = [" ".join(parts) for parts in provenance(study, DM).commands]
    assert [command.split()[1] for command in commands][:4] == ["create", "extend", "extend", "collect"]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for command in commands[:3]:
        done = CliRunner().invoke(app, shlex.split(command)[1:])
        assert done.exit_code == 0, done.output
    again = Study.open("a study")
    assert again.identity == study.identity
    assert again.design == study.design
    assert again.segment == study.segment


@pytest.mark.parametrize(
    "design",
    [
        {"models": 30},
        {"models": 120, "seeds": 5, "validation": 0},
        {"models": 30, "kind": "fixed", "seeds": 4, "validation": 7},
        {"models": 30, "seeds": "pair"},
        {"models": 30, "kind": "fixed"},
        {"models": 30, "alpha": 0.25, "kind": "cyclotomic", "seeds": "model"},
    ],
    ids=str,
)
def test_the_commands_of_a_designed_study_give_its_seeds_and_validation_models_again(tmp_path, monkeypatch, design):
    study = Study.create(tmp_path / "a", "tabular", Design(**design), params={"data": "wine"}).extend(validation=4)
    monkeypatch.chdir(tmp_path)
    for parts in provenance(study, DM).commands[:2]:
        done = CliRunner().invoke(app, [word if word != "a" else "again" for word in shlex.split(" ".join(parts))[1:]])
        assert done.exit_code == 0, done.output
    again = Study.open("again")
    assert again.identity == study.identity
    assert np.array_equal(again.design.seeds(), study.design.seeds())


def test_fit_options_come_back(make_study):
    study = make_study(done=False)
    params = {"lambdas": 7, "eps": 0.01, "tol": 1e-3, "validation": 0.2, "objective": "raw", "seed": 4, "threads": 2}
    dm = replace(DM, meta={"output": "test_margins", "estimator": "Lasso", "params": params})
    fit = next(parts for parts in provenance(study, dm).commands if parts[0].startswith("subtrain fit"))
    assert fit[1:] == (
        "--output test_margins",
        "--lambdas 7",
        "--eps 0.01",
        "--tol 0.001",
        "--validation 0.2",
        "--objective raw",
        "--seed 4",
    )


def test_no_folder_of_the_machine_is_told(make_study, tmp_path):
    study = replace(make_study(done=False), source=Source(f"{tmp_path}/code.py:task", {"epochs": 3}))
    dm = replace(DM, meta={"study": str(study.path), "study_id": study.identity, "models": 10})
    told = repr(provenance(study, dm))
    assert "code.py:task" in told
    assert "--param epochs=3" in told
    assert str(tmp_path) not in told
