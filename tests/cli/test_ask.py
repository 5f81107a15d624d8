"""`subtrain ask`: keywords are read by the types that a question gives them, and whatever trains takes its options."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import subtrain as st
from subtrain.cli.main import load
from subtrain.cli.shared.app import app
from subtrain.cli.shared.keywords import keywords
from subtrain.errors import InputError
from subtrain.fits import save_fit
from subtrain.uses import USES

load()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """40 digits with fits of the outputs of both, by the default name and by "train"."""
    params = {"n": 40, "targets": 12, "widths": [], "epochs": 3, "outputs": ["test_margins", "train_margins"]}
    design = st.Design(models=60, heldout=0)
    made = st.Study.create(tmp_path_factory.mktemp("ask") / "digits", "digits", design, params=params)
    made.collect(engine="inline", progress=False)
    for name, output in (("default", "test_margins"), ("train", "train_margins")):
        save_fit(made, made.fit(output, st.MeanDifference(), keep_counts=False), name)
    return made


def ask(*words):
    """What `subtrain ask …` prints; the error of a failure is raised."""
    found = CliRunner().invoke(app, ["ask", *map(str, words)])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.stdout


def test_datamodels_are_named_as_a_fit_or_as_a_folder(study, tmp_path):
    named = json.loads(ask("leakage", study.path, "-o", "train=train", "--json"))
    wanted = st.leakage(st.load_fit(study), study, train=st.load_fit(study, "train"))
    assert named["table"] == wanted.to_json()
    st.load_fit(study, "train").save(tmp_path / "kept")
    assert json.loads(ask("leakage", study.path, "-o", f"train={tmp_path / 'kept'}", "--json")) == named
    with pytest.raises(InputError, match="has no fit named 'trian'"):
        ask("leakage", study.path, "-o", "train=trian")


def test_another_study_is_named_by_its_folder_and_its_fit_by_name(study):
    told = ask("compare", study.path, "-o", "other=default", "-o", f"other_study={study.path}", "-o", "names=this,that")
    assert "this and that: mean cosine" in told


def test_training_sets_can_be_compared_from_the_command_line(study, tmp_path):
    fast = ("--engine", "inline", "--json")
    told = json.loads(
        ask("compare_training_sets", study.path, "-o", "without=0-3,9", "--runs", 2, "-o", "randoms=2", *fast)
    )
    sizes = dict(zip(told["table"]["trained on"], told["table"]["units"], strict=True))
    assert sizes == {"all": 40, "without": 35, "random": 35}
    assert set(told["table"]["runs"]) == {2}
    half = np.arange(40) < 20
    np.save(tmp_path / "half.npy", half)
    arms = json.dumps({"half": str(tmp_path / "half.npy"), "rest": (~half).astype(int).tolist()})
    told = json.loads(ask("compare_training_sets", study.path, "-o", f"arms={arms}", "-o", "runs=1", *fast))
    assert set(told["table"]["trained on"]) == {"half", "rest"}
    assert set(told["table"]["units"]) == {20}
    assert set(told["table"]["runs"]) == {1}


def test_verify_takes_the_options_of_training(study):
    asked = ("neighbors", study.path, "--targets", 3, "-o", "k=2", "--verify", "--runs", 1)
    assert "1 run, which gives no interval" in ask(*asked, "--engine", "inline")
    with pytest.raises(InputError, match="engine inline has no option workers"):
        ask(*asked, "--engine", "inline", "--workers", 2)
    with pytest.raises(InputError, match="engine local has no option partition"):
        ask(*asked, "--partition", "gpu")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["neighbors", "-o", "k=many"], "neighbors: k must be a whole number, got 'many'"),
        (["neighbors", "-o", "together=1"], "neighbors: together must be true or false, got '1'"),
        (["leakage", "-o", "fdr=low"], "leakage: fdr must be a number, got 'low'"),
        (["significance", "-o", "progress=print"], "significance takes a function as progress, which only Python can"),
        (["neighbors", "-o", "study=x"], "has its study from STUDY and its datamodels from --fit: leave out -o study="),
        (["memorization", "--targets", "3"], "memorization has no keyword targets: leave out --targets"),
        (["neighbors", "-o", "targets=3-x"], "targets"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(study, words, sentence):
    with pytest.raises(InputError, match=sentence):
        ask(words[0], study.path, *words[1:])


def test_values_are_read_by_the_types_of_a_signature(tmp_path):
    def read(question, *pairs):
        return keywords(question, USES[question], pairs)

    np.save(tmp_path / "q.npy", np.eye(2))
    assert read("select", "better=higher", "keep=3", "others=0.5", "targets=1,4-6") == {
        "better": "higher",
        "keep": 3,
        "others": 0.5,
        "targets": [1, 4, 5, 6],
    }
    assert read("audit", "rhos=0.1,0.2", "pairs=null", "output=7") == {"rhos": [0.1, 0.2], "pairs": None, "output": "7"}
    assert read("poison", "without=7", "known=[1, 2]") == {"without": [7], "known": [1, 2]}
    assert read("clusters", "labels=a,b") == {"labels": ["a", "b"]}
    np.testing.assert_array_equal(read("neighbors", f"q={tmp_path / 'q.npy'}")["q"], np.eye(2))


TRAINS = "counterfactual support neighbors leakage embed compare select mislabeled poison audit budget ask"


@pytest.mark.parametrize("verb", TRAINS.split())
def test_every_verb_that_trains_has_the_options_of_engines(verb):
    said = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "200"}).output
    for option in ("--task", "--trust", "--engine", "--workers", "--device", "--timeout", "--partition", "--address"):
        assert option in said
    assert "--detach" not in said


def test_a_verb_hands_the_engine_on(study, monkeypatch):
    given = {}
    monkeypatch.setattr("subtrain.uses.retrain.collect", lambda study, progress, **options: given.update(options))
    words = ["neighbors", study.path, "--targets", "1", "-k", "1", "--verify", "--runs", "1", "--engine", "slurm"]
    CliRunner().invoke(app, [*map(str, words), "--partition", "big", "--workers", "3"])
    assert given == {"engine": "slurm", "partition": "big", "workers": 3}
