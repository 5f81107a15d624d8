"""The verbs that select, suspect and value units, in this process: what they print, write and refuse."""

import csv
import json
import sys

import pytest

from subtrain import Design, MeanDifference, Study, fit
from subtrain.cli.main import main
from subtrain.collection import train_segment
from subtrain.fits import save_fit


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Real digits, some of them mislabeled, with fits of both outputs."""
    made = Study.create(
        tmp_path_factory.mktemp("verbs") / "digits",
        "planted",
        Design(alpha=0.5, models=120, heldout=0),
        params={"n": 80, "targets": 30, "mislabeled": 8, "widths": [], "epochs": 4},
        segment=60,
    )
    (made.path / "segments").mkdir()
    for where in made.segments:
        train_segment(made, where)
    save_fit(made, fit(made, "train_margins", MeanDifference(), keep_counts=False))
    save_fit(made, fit(made, "test_margins", MeanDifference(), keep_counts=False), "test")
    return made


@pytest.fixture
def run(study, monkeypatch, capsys):
    """run(verb, *options): what it prints; its exit code must be `code`."""

    def call(verb, *options, code=0):
        monkeypatch.setattr(sys, "argv", ["subtrain", verb, str(study.path), *map(str, options)])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        assert (stop.value.code or 0) == code, said.err
        return said.err if code else said.out

    return call


@pytest.mark.parametrize("method", ["banzhaf", "influence", "memorization"])
def test_value(run, method):
    output = "train_margins" if method == "memorization" else "test_margins"
    found = json.loads(run("value", "--method", method, "--output", output, "--json"))
    assert method.capitalize()[:5] in found["summary"] or "Banzhaf" in found["summary"]
    assert "label" in found["table"]


def test_mislabeled_to_a_file(run, tmp_path):
    said = run("mislabeled", "--fit", "default", "--known", "0-7", "--out", tmp_path / "list.csv")
    assert "AUC" in said
    rows = list(csv.DictReader((tmp_path / "list.csv").open()))
    assert len(rows) == 80
    assert float(rows[0]["without"]) <= float(rows[-1]["without"])


def test_select(run, tmp_path):
    assert "keep 70 of 80 units" in run("select", "--fit", "test", "--drop", 10, "--out", tmp_path / "cut.png")
    assert (tmp_path / "cut.png").read_bytes().startswith(b"\x89PNG")
    helped = json.loads(run("select", "--fit", "test", "--drop", 10, "--worst-label", "--json"))
    assert helped["table"]["kept"].count(False) == 10


def test_poison(run):
    found = json.loads(run("poison", "--size", 5, "--known", "0-7", "--without", "70-79", "--json"))
    assert "5 of 80 units" in found["summary"]


def test_verification_retrains(run, monkeypatch):
    def here(found, **_options):
        (found.path / "segments").mkdir(exist_ok=True)
        for where in found.segments:
            train_segment(found, where)

    monkeypatch.setattr("subtrain.uses.retrain.collect", here)
    said = run("mislabeled", "--drop", 8, "--verify", "--runs", 2)
    assert "without" in said
    assert "random" in said


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (["value", "--method", "worth"], "choose from influence, memorization"),
        (["value", "--method", "influence", "--utility", "mean"], "neither --utility nor --targets"),
        (["value", "--method", "shapley"], "no one Shapley value"),
        (["select", "--fit", "test"], "the number of units to keep"),
        (["select", "--fit", "test", "--keep", "9", "--worst-label"], "--worst-label goes with --drop"),
        (["select", "--drop", "9", "--fit", "other"], "has no fit named 'other'"),
        (["mislabeled", "--by", "magic"], "choose from without"),
        (["mislabeled", "--fit", "test"], "these datamodels are of test_margins"),
        (["mislabeled", "--known", "0-99"], "0 to 79"),
        (["mislabeled", "--drop", "0", "--verify", "--runs", "2"], "leave out"),
        (["poison", "--fit", "test"], "not one number a training example"),
        (["poison", "--size", "60"], "2 to 40 of 80 units"),
    ],
)
def test_bad_input_is_one_sentence(run, call, sentence):
    said = " ".join(run(*call, code=2).split())
    assert sentence in said
    assert "Traceback" not in said
