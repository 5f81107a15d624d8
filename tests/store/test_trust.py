"""Whose a study is, and where its code is when things have moved."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from subtrain import Design, Study
from subtrain.cli.main import load
from subtrain.cli.shared.app import app
from subtrain.errors import InputError
from subtrain.store.seal import sealed
from subtrain.studies import trust
from subtrain.tasks import Source, importable, load_task
from subtrain.tasks.loading.task_factory import task_factory

load()

CODE = """
import numpy as np
import subtrain as st
from helper import TARGETS

def train(masks, seeds):
    return {"test_margins": masks[:, :TARGETS].astype("float32")}

def plain(n=20):
    return st.tasks.batch(train, n, {"test_margins": st.Output((TARGETS,), "float32")})

@st.task_factory
def marked(n=20):
    return plain(n)

task = plain()
"""
SOURCE = Source("code.py:task", {"n": 5})


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBTRAIN_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with code, in which one works."""
    write_code(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def write_code(folder: Path) -> None:
    folder.mkdir()
    (folder / "code_of_task.py").write_text(CODE)
    (folder / "helper.py").write_text("TARGETS = 3\n")


def new(path="study", name="code_of_task.py:task", **params):
    return Study.create(path, name, Design(models=4, heldout=2), params=params or None)


def test_the_key_is_made_once_and_for_its_user_alone(state):
    trust.sign("id", SOURCE)
    key = state / "key"
    before = key.read_bytes()
    assert (len(before), stat.S_IMODE(key.stat().st_mode)) == (32, 0o600)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert trust.signed("id", SOURCE, trust.sign("id", SOURCE))
    assert key.read_bytes() == before
    assert os.listdir(state) == ["key"]


def test_many_who_make_it_at_once_have_the_same(state):
    code = "from subtrain.studies.trust import Source, sign; print(sign('id', Source('a:b')))"
    racers = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {racer.communicate()[0] for racer in racers}
    assert len(said) == 1
    assert "None" not in said.pop()


@pytest.mark.parametrize(
    ("identity", "source"),
    [
        ("other", SOURCE),
        ("id", Source("other.py:task", {"n": 5})),
        ("id", Source("code.py:task", {"n": 6})),
        ("id", Source("code.py:task", {"n": 5}, file="/elsewhere/code.py")),
    ],
)
def test_a_signature_is_of_one_source_in_one_study(state, identity, source):
    assert not trust.signed(identity, source, trust.sign("id", SOURCE))


@pytest.mark.parametrize("signature", [None, 3, "", "0" * 64, "ü", ["x"]])
def test_what_is_no_signature_signs_nothing(state, signature):
    trust.sign("id", SOURCE)
    assert not trust.signed("id", SOURCE, signature)


def test_a_signature_survives_json(state):
    source = Source("a:b", {"sizes": (1, 2), "by": {1: "x"}})
    read = Source.from_json(json.loads(json.dumps(source.to_json())))
    assert trust.signed("id", read, trust.sign("id", source))


@pytest.mark.parametrize("spoil", ["readable", "short", "folder", "link", "pipe", "no place"])
def test_a_key_that_is_no_secret_is_none(state, spoil, tmp_path):
    made = trust.sign("id", SOURCE)
    key = state / "key"
    if spoil == "readable":
        key.chmod(0o640)
    elif spoil == "short":
        key.write_bytes(b"x")
    else:
        key.unlink()
    if spoil == "folder":
        key.mkdir()
    elif spoil == "link":
        (tmp_path / "theirs").write_bytes(b"x" * 32)
        key.symlink_to(tmp_path / "theirs")
    elif spoil == "pipe":
        os.mkfifo(key, 0o600)
    elif spoil == "no place":
        state.rmdir()
        state.write_text("a file")
    assert trust.sign("id", SOURCE) is None
    assert not trust.signed("id", SOURCE, made)


def test_where_the_key_lies(monkeypatch, tmp_path):
    monkeypatch.delenv("SUBTRAIN_STATE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert trust.state() == Path("/state/subtrain")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert trust.state() == Path("/home/me/.local/state/subtrain")


def test_ones_own_study_makes_its_task_wherever_its_folder_lies(project, tmp_path, monkeypatch):
    new(name="code_of_task.py:plain", n=20)
    shutil.move("study", tmp_path / "moved")
    monkeypatch.chdir("/")
    assert Study.open(tmp_path / "moved").task.n == 20


@pytest.mark.parametrize("field", ["name", "params", "file", "fingerprint", "models"])
def test_an_edited_study_is_nobodys(project, field):
    study = new(name="code_of_task.py:plain", n=20)
    manifest = json.loads((study.path / "study.json").read_text())
    if field == "models":
        manifest["design"]["models"] = 8
    elif field == "fingerprint":
        manifest["task"]["fingerprint"] = "0" * 64
    else:
        manifest["task"]["source"][field] = {"params": {"n": 21}}.get(field, "/elsewhere/code.py")
    (study.path / "study.json").write_text(json.dumps(sealed(manifest)))
    with pytest.raises(InputError, match="was not created by you on this machine, so its training code is not run"):
        _ = Study.open("study").task


def test_another_user_is_told_the_task_and_what_to_say(project, tmp_path, monkeypatch):
    new(name="code_of_task.py:plain", n=20)
    monkeypatch.setenv("SUBTRAIN_STATE", str(tmp_path / "theirs"))
    with pytest.raises(InputError, match=r"the task .*code_of_task\.py:plain with \{.n.: 20\}\. Say --trust"):
        _ = Study.open("study").task


def test_a_user_without_a_place_for_a_key_is_told_so(project, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SUBTRAIN_STATE", str(tmp_path / "file"))
    new()
    with pytest.raises(InputError, match=r"may not be yours \(no key to tell by can be kept in .*/file: let SUBTRAIN"):
        _ = Study.open("study").task
    assert Study.open("study", trust=False, task="code_of_task.py:task").task.n == 20


def test_create_says_when_the_study_will_not_be_known_as_ones_own(project, tmp_path, monkeypatch):
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("SUBTRAIN_STATE", str(tmp_path / "state"))
    create = ["create", "--task", "code_of_task.py:task", "--models", "4", "--heldout", "0"]

    def said(study):
        done = CliRunner().invoke(app, [*create, study])
        assert done.exit_code == 0
        return done.output.replace("\n", " ")

    assert "Next: subtrain collect known " in said("known")
    (tmp_path / "state" / "key").chmod(0o644)
    heard = said("unknown")
    assert "key, a key to tell by, is not yours alone to read, or damaged: delete it to get a new one" in heard
    assert "Next: subtrain collect unknown --task code_of_task.py:task" in heard


def test_trust_runs_what_is_marked_and_nothing_else(project, tmp_path, monkeypatch):
    new("unmarked", "code_of_task.py:plain")
    new("marked", "code_of_task.py:marked")
    new("task", "code_of_task.py:task")
    monkeypatch.setenv("SUBTRAIN_STATE", str(tmp_path / "theirs"))
    assert Study.open("marked", trust=True).task.n == 20
    assert Study.open("task", trust=True).task.n == 20
    with pytest.raises(InputError, match=r"code_of_task\.py:plain, named by .* is not marked as a task factory"):
        _ = Study.open("unmarked", trust=True).task
    assert Study.open("unmarked", task="code_of_task.py:plain").task.n == 20, "what one types oneself needs no mark"


def test_a_task_whose_class_has_no_source_can_be_made_by_a_factory():
    class Own:
        n, outputs, fingerprint = 2, {}, ""

        def train(self, masks, seeds): ...

    assert task_factory(Own)().n == 2
    assert importable is task_factory


def test_workers_train_what_their_parent_may(project, tmp_path, monkeypatch):
    new("marked", "code_of_task.py:marked")
    monkeypatch.setenv("SUBTRAIN_STATE", str(tmp_path / "theirs"))
    done = Study.open("marked", trust=True).collect(workers=1, progress=False)
    assert done.done == done.total


def test_paths_are_kept_as_they_were_written(project):
    new()
    source = json.loads(Path("study/study.json").read_text())["task"]["source"]
    assert source["name"] == "code_of_task.py:task"
    assert source["file"] == str(project / "code_of_task.py")
    assert source["beside"] == "../code_of_task.py"
    assert load_task("./code_of_task.py:task")[1].name == "./code_of_task.py:task"


def test_code_and_study_that_moved_together_are_found(project, tmp_path, monkeypatch):
    new()
    monkeypatch.chdir("/")
    project.rename(tmp_path / "renamed")
    study = Study.open(tmp_path / "renamed" / "study")
    assert study.making.source.file == str(tmp_path / "renamed" / "code_of_task.py")
    done = study.collect(workers=1, progress=False)
    assert done.done == done.total


def test_code_is_found_from_the_folder_one_works_in(project, tmp_path, monkeypatch):
    new(tmp_path / "study")
    project.rename(tmp_path / "renamed")
    monkeypatch.chdir(tmp_path / "renamed")
    assert Study.open(tmp_path / "study").task.n == 20


def test_another_file_at_the_place_of_one_that_moved_is_not_run(project, tmp_path, monkeypatch):
    new()
    monkeypatch.chdir("/")
    project.rename(tmp_path / "renamed")
    trace = tmp_path / "ran"
    (tmp_path / "renamed" / "code_of_task.py").write_text(f"open({str(trace)!r}, 'w')\n" + CODE)
    with pytest.raises(InputError, match=r"there is no file .*project/code_of_task\.py .*--task FILE\.py:NAME"):
        _ = Study.open(tmp_path / "renamed" / "study").task
    assert not trace.exists()


def test_a_task_that_is_given_is_what_workers_make(project, tmp_path, monkeypatch):
    """Though the study's own source leads nowhere."""
    new(tmp_path / "study")
    monkeypatch.chdir("/")
    project.rename(tmp_path / "elsewhere")
    study = Study.open(tmp_path / "study", task=f"{tmp_path / 'elsewhere'}/code_of_task.py:task")
    assert study.collect(workers=1, progress=False).done == study.models
    assert study.extend(models=2).collect(workers=1, progress=False).trained == 2


def test_a_task_object_that_is_given_travels_to_workers(project, tmp_path, monkeypatch):
    new(tmp_path / "study")
    task = load_task("code_of_task.py:task")[0]
    monkeypatch.chdir("/")
    project.rename(tmp_path / "elsewhere")
    study = Study.open(tmp_path / "study", task=task)
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    assert study.collect(workers=1, progress=False).done == study.models


def test_models_retrained_below_a_strangers_study_are_not_ones_own(project, tmp_path, monkeypatch):
    import numpy as np

    from subtrain import retrain

    new("marked", "code_of_task.py:marked")
    monkeypatch.setenv("SUBTRAIN_STATE", str(tmp_path / "theirs"))
    found = retrain(Study.open("marked", trust=True), np.ones((1, 20), bool), workers=1, progress=False)
    with pytest.raises(InputError, match="its training code is not run"):
        _ = Study.open(found.study.path).task
