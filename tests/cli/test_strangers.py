"""A stranger's study: every verb is tried on it, and none runs what it names unless that is trusted."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import subtrain as st
import worlds
from subtrain.cli.main import load
from subtrain.cli.shared.app import app
from subtrain.collection import train_segment
from subtrain.errors import CorruptError, InputError
from subtrain.fits import save_fit
from subtrain.store.seal import sealed
from subtrain.studies import trust
from subtrain.tasks import View

load()

pytestmark = pytest.mark.filterwarnings("ignore")
LABELS = {"train": ["a", "b"] * 10, "test": ["a", "b", "a"]}
NOT_RUN = r"was not created by you on this machine, so its training code is not run: it names the task .*evil\.py:task"
# Each verb with what it is given: READS must not run the study's code, TRAINS must refuse to, OTHERS take no study.
READS = {
    "status": ["{s}", "--check"],
    "cancel": ["{s}"],
    "fit": ["{s}", "--name", "again"],
    "evaluate": ["{s}"],
    "report": ["{s}"],
    "extend": ["{s}", "--models", "4"],
    "export": ["{s}", "{tmp}/exported"],
    "counterfactual": ["{s}", "--targets", "0"],
    "support": ["{s}"],
    "neighbors": ["{s}", "--targets", "0", "--out", "{tmp}/n.png"],
    "leakage": ["{s}"],
    "import-fit": ["{s}", "{s}/fits/default/datamodels.pt", "--name", "imported"],
    "significance": ["{s}"],
    "embed": ["{s}", "--components", "2"],
    "clusters": ["{s}", "--k", "2"],
    "compare": ["{s}", "{s}", "--fit-b", "same"],
    "audit": ["{s}"],
    "budget": ["{s}", "--lds", "0.5"],
    "select": ["{s}", "--keep", "10"],
    "mislabeled": ["{s}"],
    "poison": ["{s}", "--fit", "train", "--size", "4"],
    "value": ["{s}"],
    "ask": ["support", "{s}"],
    "explore": ["{s}", "--export", "{tmp}/page.html"],
}
TRAINS = {
    "collect": ["{s}"],
    "worker": ["{s}", "--segments", "0:100"],
    "guess": ["{s}", "--models", "4"],
    "collect slurm": ["{s}", "--engine", "slurm", "--dry-run"],
    "counterfactual": ["{s}", "--targets", "0", "--verify"],
    "support": ["{s}", "--verify"],
    "compare": ["{s}", "{s}", "--fit-b", "same", "--verify", "--component", "0", "--units", "2"],
    "audit": ["{s}", "--linearity"],
    "budget": ["{s}", "--alphas", "0.5", "--pilot", "50"],
    "select": ["{s}", "--keep", "10", "--verify", "--runs", "1"],
    "mislabeled": ["{s}", "--drop", "2", "--verify", "--runs", "1"],
    "poison": ["{s}", "--fit", "train", "--size", "4", "--verify", "--runs", "1"],
    "ask": ["support", "{s}", "--verify"],
    "ask sets": ["compare_training_sets", "{s}", "-o", "without=0-2", "--runs", "1"],
}
OTHERS = {"demo", "check", "create", "import", "import-reference", "public", "leakage-review"}


def make(path: Path, evil: Path) -> None:
    """A finished study with fits, as a stranger sends it: its source names a file that leaves a trace when it runs."""
    task = replace(worlds.linear(noise=0.1), view=View(labels=LABELS, images={"train": np.zeros((20, 4, 4), np.uint8)}))
    study = st.Study.create(path, task, st.Design(models=420, heldout=20, replicates=2, seed=1), segment=60)
    (study.path / "segments").mkdir()
    for where in study.segments:
        train_segment(study, where)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that train-set outputs of this world are the masks themselves
        save_fit(study, st.fit(study, keep_counts=False))
    save_fit(study, st.load_fit(study), "same")
    weight = np.random.default_rng(0).normal(size=(20, 20)).astype(np.float32)
    save_fit(study, st.Datamodels(weight, np.zeros(20), np.ones(20), {"output": "train_margins"}), "train")
    name_source(path, {"name": f"{evil}:task", "params": {}})


def name_source(path: Path, source: dict) -> None:
    manifest = json.loads((path / "study.json").read_text())
    manifest["task"]["source"] = source
    (path / "study.json").write_text(json.dumps(sealed(manifest)))


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    root = tmp_path_factory.mktemp("sent")
    (root / "evil.py").write_text(f"import pathlib\npathlib.Path({str(root / 'ran')!r}).touch()\n")
    make(root / "study", root / "evil.py")
    return root


@pytest.fixture
def stranger(sent, tmp_path, monkeypatch):
    """The study, fresh; whatever makes a task or starts a process is an error besides leaving its trace."""
    shutil.copytree(sent / "study", tmp_path / "study")
    monkeypatch.chdir(tmp_path)

    def refuse(*_args, **_kwargs):
        raise AssertionError("a task was made")

    monkeypatch.setattr(trust, "load_task", refuse)
    monkeypatch.setattr("subtrain.studies.new_study.load_task", refuse)
    yield tmp_path / "study"
    assert not (sent / "ran").exists()


def invoke(words, study):
    given = [word.format(s=study, tmp=study.parent) for word in words]
    return CliRunner().invoke(app, given)


def test_every_verb_is_tried():
    verbs = set(typer.main.get_command(app).commands)
    tried = {name.split()[0] for name in (*READS, *TRAINS)} | OTHERS
    assert verbs <= tried, "a new verb must be tried on a stranger's study, here"


@pytest.mark.parametrize("verb", READS)
def test_what_reads_runs_nothing(stranger, verb):
    pytest.importorskip("torch" if verb == "import-fit" else "numpy")
    done = invoke([verb, *READS[verb]], stranger)
    assert done.exit_code == 0, (done.output, done.exception)


@pytest.mark.parametrize("verb", TRAINS)
def test_what_trains_refuses_with_the_tasks_name(stranger, verb):
    if verb.startswith(("collect", "worker")):
        shutil.rmtree(stranger / "segments")
    done = invoke([verb.split()[0], *TRAINS[verb]], stranger)
    assert isinstance(done.exception, InputError), (done.output, done.exception)
    assert done.exception.exit_code == 2
    assert re.search(NOT_RUN, str(done.exception))


def test_explore_gives_its_second_study_a_task_of_its_own(stranger):
    looked = ["explore", "{s}", "--compare", "{s}", "--export", "{tmp}/two.html"]
    assert invoke(looked, stranger).exit_code == 0
    # The one place where tasks are made is closed here, so that a task for either study comes to light.
    given = invoke([*looked, "--task-b", "digits", "--param-b", "n=60"], stranger)
    assert isinstance(given.exception, AssertionError), "a task was made"
    alone = invoke(["explore", "{s}", "--task-b", "digits", "--export", "{tmp}/one.html"], stranger)
    assert isinstance(alone.exception, InputError)
    assert "name it with --compare STUDY_B" in str(alone.exception)


def test_python_reads_without_running(stranger):
    study = st.Study.open(stranger)
    dm = st.load_fit(study)
    for found in (
        st.neighbors(dm, study, [0]),
        st.support(dm, study),
        st.counterfactuals(dm, study, [0]),
        st.mislabeled(study),
        st.leakage(dm),
        st.evaluate(dm, study),
    ):
        assert repr(found)
        if hasattr(found, "_repr_html_"):
            assert found._repr_html_()
    assert repr(study)
    assert study.view.labels["train"] == LABELS["train"]
    for act in (lambda: study.task, study.collect, lambda: st.retrain(study, np.ones((1, 20), bool))):
        if act == study.collect:
            shutil.rmtree(stranger / "segments")
        with pytest.raises(InputError, match=NOT_RUN):
            act()


def test_the_explorers_api_runs_nothing(stranger):
    pytest.importorskip("fastapi")
    from fastapi.testclient import TestClient

    from subtrain.explorer.open_studies import Library
    from subtrain.explorer.server.app import make_app

    client = TestClient(make_app(Library({"": st.Study.open(stranger)}), hosts=None), base_url="http://127.0.0.1")
    sample = {"target": "0", "unit": "0", "which": "a", "split": "train", "number": "0", "job": "x"}
    asked = 0
    for path, verbs in client.get("/api/openapi.json").json()["paths"].items():
        if "get" in verbs and "{path}" not in path:
            answer = client.get(path.format(**sample) if "{" in path else path)
            assert answer.status_code in (200, 404, 409, 422), path
            asked += answer.status_code == 200
    assert asked > 8
    verify = client.get("/api/study").json()["features"]["verify"]
    assert not verify["available"]
    assert "its training code is not run" in verify["why"]
    assert str(stranger) not in verify["why"]
    body = {"target": 0, "removed": [1], "runs": 1}
    assert client.post("/api/verify", json=body, headers={"Origin": "http://127.0.0.1"}).status_code in (403, 409)


@pytest.mark.parametrize(
    "source",
    [
        {"name": "subprocess:check_output", "params": {"args": ["touch", "called"]}},
        {"name": "os:system", "params": {"command": "touch called"}},
        {"name": "here:task", "params": {}},
        {"name": "here.py:task", "params": {}},
        {
            "name": "subtrain.tasks.relabel:from_source",
            "params": {
                "name": "subprocess:check_output",
                "params": {"args": ["touch", "called"]},
                "units": [0],
                "labels": [1],
            },
        },
        {
            "name": "subtrain.tasks.tabular:tabular",
            "params": {"estimator": "subprocess:Popen", "params": {"args": ["touch", "called"]}},
        },
    ],
    ids=lambda source: source["name"],
)
def test_trust_calls_task_factories_only_and_looks_nowhere_near(sent, tmp_path, monkeypatch, source):
    shutil.copytree(sent / "study", tmp_path / "study")
    name_source(tmp_path / "study", source)
    (tmp_path / "here.py").write_text("import pathlib\npathlib.Path('called').touch()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError):
        _ = st.Study.open("study", trust=True).task
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("damaged", [{"name": 3, "params": {}}, {"name": "a:b", "params": 4}, {"params": {}}, "text"])
def test_a_source_that_is_none_is_a_damaged_study(sent, tmp_path, damaged):
    shutil.copytree(sent / "study", tmp_path / "study")
    name_source(tmp_path / "study", damaged)
    with pytest.raises(CorruptError):
        st.Study.open(tmp_path / "study")
