"""A study knows what it is: made once, opened only as itself, extended at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from subtrain import Design, Output, Study
from subtrain.designs.model_rows import VALIDATION
from subtrain.errors import CorruptError, InputError, MismatchError
from subtrain.store.seal import sealed
from subtrain.studies.manifest import EXTENSIONS, MANIFEST
from subtrain.tasks import batch
from worlds import linear

TASK_FILE = """
import subtrain as st

def make(targets=2, n=12, slope=2.0):
    return st.tasks.batch(
        lambda masks, seeds: {"test_margins": slope * masks[:, :targets]}, n, {"test_margins": (targets,)}
    )
"""


@pytest.fixture
def task_file(tmp_path):
    path = tmp_path / "task_code.py"
    path.write_text(TASK_FILE)
    return path


def listing(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_create_and_open_again(tmp_path, make_study):
    task, design = linear(), Design(0.5, 10, heldout=3, seed=1)
    study = Study.create(tmp_path / "deep" / "study", task, design, segment=4)
    assert listing(study.path) == [MANIFEST]
    assert (study.n, study.models, study.models_done()) == (20, 16, 0)
    again = Study.open(study.path)
    assert again.design == study.design == design.for_units(20)
    assert again.outputs == study.outputs == task.outputs
    assert (again.segment, again.fingerprint, again.identity) == (4, task.fingerprint, study.identity)
    assert repr(again) == (
        f"Study({str(study.path)!r}, models=0/16, units=20, alpha=0.5, outputs=['test_margins', 'train_margins'])"
    )
    with pytest.raises(InputError, match=r"does not know how to make its task again: give it"):
        _ = again.task
    assert again.with_task(task).task is task
    other = make_study(name="other", done=False, seed=5)
    assert other.identity != study.identity


def test_a_task_by_name_is_made_again(tmp_path, task_file, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = Study.create("study", "task_code.py:make", Design(models=4, heldout=0), params={"targets": 3})
    assert study.outputs["test_margins"].shape == (3,)
    monkeypatch.chdir("/")
    again = Study.open(study.path if study.path.is_absolute() else tmp_path / study.path)
    assert again.task.outputs == study.outputs
    task_file.write_text(TASK_FILE.replace("2.0", "3.0"))
    with pytest.raises(MismatchError, match="its data, code or settings have changed"):
        _ = Study.open(tmp_path / "study").task


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"targets": 3}, r"output test_margins was float16 \[2\] \(\), here it is float16 \[3\]"),
        ({"n": 13}, "it had 12 training examples, this one has 13"),
        ({"slope": 1.0}, r"its data, code or settings have changed \(changed: make.<lambda>\)"),
    ],
)
def test_another_task_is_refused_and_the_difference_shown(tmp_path, task_file, params, sentence):
    path, name, design = tmp_path / "study", f"{task_file}:make", Design(models=4, heldout=0)
    study = Study.create(path, name, design)
    before = listing(path)
    for attempt in (
        lambda: Study.open(path, name, params=params),
        lambda: study.with_task(name, params),
        lambda: Study.create(path, name, design, params=params, exist_ok=True),
    ):
        with pytest.raises(MismatchError, match=rf"{path} was made with another (task: .*{sentence}|design: n is 12)"):
            attempt()
    assert listing(path) == before


def test_outputs_that_came_or_went_are_named(make_study):
    study = make_study(done=False)
    other = batch(linear().train_batch, 20, {"test_margins": Output((3,), "float32"), "new": (2,)})
    with pytest.raises(MismatchError, match=r"output new was None, here it is float16 .2.*output train_margins was"):
        study.with_task(other)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"alpha": 0.4}, "alpha is 0.5, not 0.4"),
        ({"seed": 2}, "seed is 1, not 2"),
        ({"models": 11}, "models is 10, not 11"),
        ({"heldout": 4, "replicates": 3}, "heldout is 3, not 4; replicates is 2, not 3"),
        ({"kind": "bernoulli"}, "kind is 'fixed', not 'bernoulli'"),
        ({"n": 21}, "n is 20, not 21"),
        ({"groups": tuple(range(20))}, r"groups is None, not \(0, 1, 2,.*…"),
    ],
)
def test_another_design_is_refused_and_the_difference_shown(make_study, change, sentence):
    study = make_study(done=False)
    same = {"alpha": 0.5, "models": 10, "heldout": 3, "replicates": 2, "seed": 1}
    assert Study.open(study.path, design=Design(**same)).design == study.design
    with pytest.raises(MismatchError, match=f"{study.path} was made with another design: {sentence}"):
        Study.open(study.path, design=Design(**{**same, **change}))
    with pytest.raises((MismatchError, InputError)):
        Study.create(study.path, linear(), Design(**{**same, **change}), exist_ok=True)


def test_creating_over_a_study_is_refused(make_study):
    study = make_study()
    before = {p: p.read_bytes() for p in study.path.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match=f"{study.path} is a study already: open or extend it, or choose another"):
        Study.create(study.path, linear(), Design(models=3, heldout=0))
    same = Study.create(study.path, linear(), Design(0.5, 10, 1, heldout=3, replicates=2), exist_ok=True)
    assert same.models_done() == 16
    assert {p: p.read_bytes() for p in study.path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("task", "options", "sentence"),
    [
        (linear(), {"design": Design(n=21, models=4)}, "the design is over 21 units, but the task has 20"),
        (
            linear(),
            {"design": Design(models=2, heldout=0, groups=(0, 1, 2))},
            "groups name the unit of 3 examples, .* has 20",
        ),
        (linear(), {"design": Design(0.01, 4)}, r"alpha \* n = 0.01 \* 20 < 1"),
        (linear(), {"segment": 0}, "a segment needs at least one model, got 0"),
        (linear(), {"params": {"n": 3}}, "params go with a task's name"),
        ("nowhere", {}, "a task is named module:name"),
    ],
)
def test_what_cannot_be_made_leaves_nothing(tmp_path, task, options, sentence):
    with pytest.raises(InputError, match=sentence):
        Study.create(tmp_path / "study", task, **{"design": Design(models=4), **options})
    assert listing(tmp_path) == []


@pytest.mark.parametrize(
    ("damage", "error", "sentence"),
    [
        (lambda text: text[: len(text) // 2], CorruptError, "study.json is damaged"),
        (lambda text: "", CorruptError, "study.json is damaged"),
        (lambda text: "[]", CorruptError, "study.json is damaged: it is no table"),
        (lambda text: "{}", CorruptError, "study.json is damaged: its bytes have changed since they were written"),
        (lambda text: text.replace('"format": 2', '"format": 3'), CorruptError, "its bytes have changed"),
        (lambda text: text.replace('"alpha": 0.5', '"alpha": 0.6'), CorruptError, "its bytes have changed"),
        (lambda text: text.replace('"seal": ', '"sael": '), CorruptError, "its bytes have changed"),
        (lambda text: made_so(text, format=9), InputError, "has format 9; this version of subtrain"),
        (
            lambda text: made_so(text.replace('"alpha": 0.5', '"alpha": 5')),
            CorruptError,
            "not a study of this version: alpha must be a",
        ),
        (lambda text: made_so(text, outputs={}, task={}), CorruptError, "not a study of this version: KeyError"),
    ],
)
def test_a_damaged_manifest_is_named(make_study, damage, error, sentence):
    study = make_study(done=False)
    manifest = study.path / MANIFEST
    changed = damage(manifest.read_text())
    assert changed != manifest.read_text()
    manifest.write_text(changed)
    with pytest.raises(error, match=sentence):
        Study.open(study.path)


def made_so(text: str, **fields) -> str:
    """The manifest with these fields, as somebody who knows the format may have made it."""
    return json.dumps(sealed(json.loads(text) | fields))


def test_no_study_there(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match=f"{path} is not a study: it has no study.json; create one, or check"):
            Study.open(path)


def test_extending_is_a_pure_append(make_study):
    study = make_study()
    before = {p: p.read_bytes() for p in study.path.rglob("*") if p.is_file()}
    longer = study.extend(models=np.int64(5)).extend(heldout=2, replicates=3)
    assert (longer.models, longer.models_done()) == (16 + 5 + 6, 16)
    assert longer.task is study.task
    assert Study.open(study.path).design == longer.design
    assert all(p.read_bytes() == data for p, data in before.items())
    assert np.array_equal(longer.masks(range(16)).data, study.masks().data)
    assert np.array_equal(longer.read("test_margins"), study.read("test_margins"))
    assert longer.identity == study.identity
    assert Study.open(study.path, design=Design(0.5, 10, 1, heldout=3, replicates=2)).models == 27


@pytest.mark.parametrize("options", [{}, {"models": -1}, {"models": 1.5}, {"heldout": 1, "replicates": -1}])
def test_a_bad_extension_leaves_nothing(make_study, options):
    study = make_study(done=False)
    with pytest.raises(InputError):
        study.extend(**options)
    assert listing(study.path) == [MANIFEST]
    assert Study.open(study.path).models == 16


def test_validation_models_are_an_extension_too(make_study):
    study = make_study()
    longer = study.extend(models=4).extend(validation=np.int64(7))
    again = Study.open(study.path)
    assert longer.design == again.design
    assert again.design.role_rows(VALIDATION).tolist() == list(range(20, 27))
    assert np.array_equal(again.masks(range(16)).data, study.masks().data)
    assert again.done(VALIDATION).size == 0
    with pytest.raises(InputError, match="validation models to add must be a whole number"):
        study.extend(validation=2.5)


CREATE = """
import sys, time
import worlds
import subtrain as st
time.sleep(max(0, float(sys.argv[2]) - time.time()))
try:
    st.Study.create(sys.argv[1], worlds.linear(), st.Design(models=30, seed=int(sys.argv[3])))
    print("made")
except st.SubtrainError as error:
    print(error)
"""


def test_two_processes_create_at_once(tmp_path):
    path, start = tmp_path / "study", str(time.time() + 1.5)
    command = [sys.executable, "-c", CREATE, path, start]
    racers = [
        subprocess.Popen([*command, str(seed)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
        for seed in (1, 2)
    ]
    said = [racer.communicate()[0].strip() for racer in racers]
    assert sorted(s == "made" for s in said) == [False, True]
    assert f"{path} is a study already: open or extend it, or choose another folder" in said
    assert Study.open(path).design.seed == 1 + said.index("made")
    assert listing(path) == [MANIFEST]


RACE = """
import sys, time
import subtrain as st
study = st.Study.open(sys.argv[1])
time.sleep(max(0, float(sys.argv[2]) - time.time()))
for _ in range(10):
    study.extend(models=int(sys.argv[3]))
"""


def test_two_processes_extend_at_once(make_study):

    study = make_study()
    start = str(time.time() + 1.5)
    racers = [subprocess.Popen([sys.executable, "-c", RACE, study.path, start, str(k)]) for k in (1, 2)]
    assert [racer.wait() for racer in racers] == [0, 0]
    longer = Study.open(study.path)
    assert longer.models == 16 + 10 * 1 + 10 * 2
    assert sorted(os.listdir(study.path / EXTENSIONS)) == [f"{k:06d}.json" for k in range(1, 21)]
    assert np.array_equal(longer.read("test_margins"), study.read("test_margins"))
    assert np.unique(longer.masks().data, axis=0).shape[0] == 13 + 30


def test_a_damaged_extension_is_named(make_study):
    study = make_study(done=False).extend(models=3)
    path = study.path / EXTENSIONS / "000001.json"
    path.write_text(path.read_text()[:10])
    with pytest.raises(CorruptError, match=r"000001\.json is damaged"):
        Study.open(study.path)


def test_what_a_design_leaves_open_an_older_study_has_decided(tmp_path):
    """As a script of an older version leaves kind, seeds, validation models and anchors open."""
    task = linear(n=120)
    older = Design(models=300, kind="fixed", validation=0, anchors=0)
    Study.create(tmp_path / "s", task, older)
    again = Study.create(tmp_path / "s", task, Design(models=300), exist_ok=True)
    assert (again.design.kind, again.design.anchors, again.models) == ("fixed", 0, 340)
    for given, said in (
        ({"kind": "paley"}, "kind is 'fixed', not 'paley'"),
        ({"anchors": 3}, "anchors is None, not 3"),
    ):
        with pytest.raises(MismatchError, match=said):
            Study.create(tmp_path / "s", task, Design(models=300, **given), exist_ok=True)
    with pytest.raises(MismatchError, match="models is 300, not 200"):
        Study.create(tmp_path / "s", task, Design(models=200), exist_ok=True)


def test_roles_and_names_of_what_is_read(make_study):
    study = make_study()
    assert study.done("fit").tolist() == list(range(10))
    assert study.done("evaluation").tolist() == list(range(10, 16))
    with pytest.raises(InputError, match="a role is 'fit', 'validation', 'evaluation', 'anchor', got 'test'"):
        study.done("test")
    with pytest.raises(InputError, match="records no output 'margins'; it has test_margins, train_margins"):
        study.read("margins")
    assert np.array_equal(study.read("train_margins"), study.masks().unpack())


def test_the_manifest_is_plain_json(make_study):
    data = json.loads((make_study(done=False).path / MANIFEST).read_text())
    assert data["design"]["n"] == 20
    assert data["outputs"]["test_margins"] == {"shape": [3], "dtype": "float32", "meaning": ""}
    assert set(data["versions"]) >= {"subtrain", "python", "numpy"}
