"""`subtrain significance`, `embed`, `clusters` and `compare`: what they print, write and refuse."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

from subtrain import fit, load_fit, significance
from subtrain.cli.main import main
from subtrain.cli.shared.options import numbers
from subtrain.errors import InputError
from subtrain.fits import save_fit


@pytest.fixture
def subtrain(monkeypatch, capsys):
    """subtrain("verb", …) in this process: exit code, standard output, standard error."""

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["subtrain", *map(str, args)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        said = capsys.readouterr()
        return code or 0, said.out, said.err

    return run


@pytest.fixture
def study(make_study):
    made = make_study(
        task="worlds:linear", params={"noise": 0.3, "targets": 8, "size": 64}, models=200, heldout=3, segment=500
    )
    save_fit(made, fit(made))
    return made


def test_significance(subtrain, study, tmp_path):
    code, said, _ = subtrain("significance", study.path, "--targets", "0,2-3", "--out", tmp_path / "found.csv")
    assert code == 0
    assert "3 targets, 20 units, debiased from 200 models" in said
    written = pd.read_csv(tmp_path / "found.csv")
    assert set(written.target) == {0, 2, 3}
    code, said, _ = subtrain("significance", study.path, "--method", "exact", "--per-target", "--fdr", 0.01, "--json")
    told = json.loads(said)
    assert len(told["table"]["q"]) > 20
    assert max(told["table"]["q"]) <= 0.01
    assert "among each target" in told["summary"]


def test_neighbors_tell_how_sure_they_are(subtrain, study):
    code, said, _ = subtrain("neighbors", study.path, "--targets", "1,4", "-k", 3, "--significance", "--json")
    assert code == 0
    table = json.loads(said)["table"]
    found = significance(load_fit(study), study, [1, 4])
    column = np.array([list(dict.fromkeys(table["group"])).index(name) for name in table["group"]])
    assert np.allclose(table["q"], found.q[table["unit"], column])
    code, _, said = subtrain("neighbors", study.path, "--significance", "--together")
    assert code == 2
    assert "of single targets" in said


def test_embed_and_its_removal(subtrain, study, tmp_path, trained_here):
    code, said, _ = subtrain("embed", study.path, "--components", 3, "--out", tmp_path / "map.png")
    assert code == 0
    assert "3 components of 8 targets" in said
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    code, said, _ = subtrain("embed", study.path, "--remove", 1, "--units", 4, "--runs", 2, "--json")
    assert code == 0
    assert trained_here == [2 * 8]
    assert json.loads(said)["table"]["removed"].count("random") == 2


def test_clusters(subtrain, study, tmp_path):
    code, said, _ = subtrain("clusters", study.path, "-k", 2, "--affinity", "cosine", "--out", tmp_path / "c.json")
    assert code == 0
    assert "2 of 8 targets by cosine affinity" in said
    assert sum(json.loads((tmp_path / "c.json").read_text())["size"]) == 8


def test_compare_and_its_check(subtrain, study, make_study, trained_here):
    other = make_study(
        name="other",
        task="worlds:linear",
        params={"targets": 8, "noise": 0.5, "size": 64},
        models=200,
        heldout=3,
        segment=500,
    )
    save_fit(other, fit(other))
    code, said, _ = subtrain("compare", study.path, other.path, "--components", 2)
    assert code == 0
    assert "study without other" in said
    code, said, _ = subtrain("compare", study.path, other.path, "--verify", 0, "--units", 3, "--runs", 2, "--json")
    assert code == 0
    assert json.loads(said)["table"]["algorithm"] == ["study", "study", "other", "other"]
    assert trained_here == [2 * 7] * 2


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["significance", "{study}", "--targets", "3-1"], "targets must be numbers with commas, or ranges"),
        (["significance", "{study}", "--targets", "8"], "numbered 0 to 7, got 8"),
        (["significance", "{study}", "--out", "found.txt"], "must end in .csv, .json or .png"),
        (["embed", "{study}", "--of", "rows"], "must be one of targets, units"),
        (["clusters", "{study}", "-k", "9"], "make 2 to 7 clusters, got 9"),
        (["compare", "{study}", "{study}", "--verify", "7"], "directions are numbered 0 to 4, got 7"),
    ],
)
def test_bad_input_is_one_sentence(subtrain, study, args, sentence):
    code, _, said = subtrain(*(arg.format(study=study.path) for arg in args))
    assert code == 2
    assert sentence in " ".join(said.split())


def test_lists_of_numbers():
    assert numbers("3, 8,10-12") == [3, 8, 10, 11, 12]
    assert numbers(None) is None
    for text in ("", "a", "1-", "-3", "5-2", "1,,2"):
        with pytest.raises(InputError, match="must be numbers"):
            numbers(text)
    assert np.array_equal(numbers("0"), [0])
