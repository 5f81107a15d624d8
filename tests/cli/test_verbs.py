"""The command line as a person uses it: real processes, output read, exit codes checked."""

import json
import sys

import numpy as np
import pytest

from commands import ok, run
from subtrain.cli.main import main
from subtrain.errors import InputError
from subtrain.study import Study
from subtrain.uses.retrain import retrain


@pytest.fixture(scope="module")
def wine(tmp_path_factory):
    """A finished study of logistic regressions on real wine data, made from the command line only."""
    study = tmp_path_factory.mktemp("cli") / "wine"
    plan = ("--models", 200, "--heldout", 20, "--alpha", 0.5, "--kind", "fixed")
    ok("create", study, "--task", "tabular", "-p", "data=wine", *plan)
    ok("collect", study, "--workers", 2)
    ok("fit", study)
    return study


def test_the_whole_way_on_wine(wine):
    shown = ok("evaluate", wine)
    assert "LDS" in shown
    assert "upper bound (noise)" in shown
    found = json.loads(ok("evaluate", wine, "--json"))
    assert found["lds"]["low"] < found["lds"]["value"] < found["lds"]["high"]
    assert found["lds"]["value"] > 0.5
    assert found["subsets"] == 20
    kept = json.loads((wine / "fits/default/evaluation.json").read_text())
    assert {key: value for key, value in kept.items() if key not in ("fit_sha256", "seal")} == found
    assert np.load(wine / "fits/default/weight.npy").shape == (124, 54)


def test_status_for_people_and_machines(wine):
    assert "200 of 200" in ok("status", wine)
    data = json.loads(ok("status", wine, "--json"))
    assert (data["models"], data["done"], data["missing"]) == (258, 258, 0)
    assert "default" in data["fits"]


def test_another_estimator_under_another_name(wine):
    ok("fit", wine, "--estimator", "ridge", "--name", "smooth")
    assert json.loads((wine / "fits/smooth/datamodels.json").read_text())["estimator"] == "Ridge"
    assert json.loads(ok("evaluate", wine, "--fit", "smooth", "--json"))["lds"]["value"] > 0.5


def test_report(wine, tmp_path):
    page = tmp_path / "page.html"
    ok("report", wine, "--out", page, "--target", 3)
    assert "<html" in page.read_text()


def test_export_import_round_trip(wine, tmp_path):
    ok("export", wine, tmp_path / "out")
    masks = np.load(tmp_path / "out/wine/data/train_masks_50pct.npy", mmap_mode="r")
    assert masks.shape == (258, 124)
    assert masks.dtype == bool
    again = tmp_path / "again"
    assert "40 only for evaluation" in ok("import", again, tmp_path / "out/wine")
    ok("fit", again)
    mine, theirs = (np.load(folder / "fits/default/weight.npy") for folder in (wine, again))
    np.testing.assert_array_equal(mine, theirs)
    assert json.loads(ok("evaluate", again, "--json"))["replicates"] == 2


def test_import_of_two_arrays(tmp_path):
    rng = np.random.default_rng(0)
    masks = rng.random((300, 12)) < 0.5
    np.save(tmp_path / "m.npy", masks)
    np.save(tmp_path / "y.npy", masks @ rng.normal(size=(12, 2)))
    study = tmp_path / "mine"
    ok("import", study, "--masks", tmp_path / "m.npy", "--output", f"test_margins={tmp_path / 'y.npy'}")
    ok("fit", study)
    assert json.loads(ok("evaluate", study, "--json"))["lds"]["value"] > 0.99


def test_extend_then_collect_the_rest(tmp_path):
    study = tmp_path / "iris"
    ok("create", study, "-t", "tabular", "-p", "data=iris", "--models", 20, "--heldout", 3)
    ok("collect", study)
    assert "10 still to train" in ok("extend", study, "--models", 10)
    ok("collect", study)
    assert json.loads(ok("status", study, "--json"))["missing"] == 0


def test_task_from_a_file_with_parameters(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy as np, subtrain as st\n"
        "def make(scale=1.0):\n"
        "    w = np.arange(6.0)[:, None] * scale\n"
        "    return st.tasks.function(lambda i, s: {'test_margins': w[i].sum(0)}, n=6,"
        " outputs={'test_margins': [1]}, data=[w])\n"
    )
    study = tmp_path / "study"
    ok("create", study, "-t", "mine.py:make", "-p", "scale=2.5", "--models", 12, "--heldout", 3, cwd=tmp_path)
    ok("collect", study)
    assert "12 of 12" in ok("status", study)


BAD = [
    (["create", "{new}", "-t", "digits", "--alpha", "1.5"], 2, "strictly between 0 and 1"),
    (["create", "{new}", "-t", "digits", "--alpha", "0.2,half"], 2, "a number or several with commas"),
    (["create", "{new}", "-t", "digits", "--alpha", "0.2,1.5"], 2, "strictly between 0 and 1"),
    (["create", "{new}", "-t", "digits", "--alpha", "0.001"], 2, "every subset would be empty"),
    (["create", "{new}", "-t", "digits", "-p", "targets=0"], 2, "no targets"),
    (["create", "{new}", "-t", "nowhere:task"], 2, "nowhere"),
    (["create", "{new}", "-t", "digits", "-p", "wrong=1"], 2, "wrong"),
    (["create", "{new}"], 2, "--task"),
    (["create", "{wine}", "-t", "digits"], 2, "is a study already"),
    (["collect", "{new}"], 2, "is not a study"),
    (["collect", "{wine}", "-t", "digits"], 3, "another task"),
    (["collect", "{wine}", "--workers", "0"], 2, "workers"),
    (["collect", "{wine}", "--device", ""], 2, "devices must name at least one"),
    (["collect", "{wine}", "--workers", "2", "--per-device", "2"], 2, "not both"),
    (["collect", "{wine}", "--timeout", "0"], 2, "timeout must be above 0"),
    (["check", "nowhere:task"], 2, "nowhere"),
    (["check", "digits", "--models", "1"], 2, "models must be 2 or more"),
    (["fit", "{wine}", "--output", "train_losses"], 2, "records no output"),
    (["fit", "{wine}", "--estimator", "magic"], 2, "choose from lasso, ridge"),
    (["fit", "{wine}", "--validation", "1.5"], 2, "share below 1 or at least 2 folds"),
    (["fit", "{wine}", "--name", "../escape"], 2, "plain folder name"),
    (["evaluate", "{wine}", "--fit", "other"], 2, "has no fit named 'other'"),
    (["report", "{wine}", "--targets", "9999"], 2, "no target 9999"),
    (["report", "{wine}", "--target", "9999"], 2, "9999"),
    (["export", "{new}", "{new}"], 2, "is not a study"),
    (["import", "{new}"], 2, "give the data to import"),
    (["import", "{new}", "{wine}"], 2, "train_masks"),
    (["status", "{wine}", "--nonsense"], 2, "--nonsense"),
]


@pytest.mark.parametrize(("args", "code", "sentence"), BAD, ids=[" ".join(b[0]) for b in BAD])
def test_bad_input_is_one_sentence_and_writes_nothing(args, code, sentence, wine, tmp_path, monkeypatch, capsys):
    new = tmp_path / "new"
    monkeypatch.setattr(sys, "argv", ["subtrain", *(a.format(new=new, wine=wine) for a in args)])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr().err
    assert stop.value.code == code, said
    assert sentence in " ".join(said.split())
    assert "Traceback" not in said
    assert not new.exists()


def test_an_error_is_one_sentence_in_a_real_process_too(tmp_path):
    done = run("collect", tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"Error: {tmp_path} is not a study: it has no study.json; create one, or check the path\n"


def test_help_teaches():
    assert "subtrain demo" in ok("--help")
    for verb in (
        "demo",
        "check",
        "create",
        "collect",
        "status",
        "fit",
        "evaluate",
        "report",
        "export",
        "import",
        "extend",
    ):
        assert len(ok(verb, "--help").splitlines()) > 8
    assert ok("--version").startswith("subtrain ")


def test_create_says_which_design_it_made_and_extend_adds_validation_models(tmp_path):
    study = tmp_path / "wine"
    given = ("-t", "tabular", "-p", "data=wine", "--heldout", 3)
    shown = " ".join(ok("create", study, *given, "--models", 250, "--seeds", 6).split())
    assert "Models: 250 to fit on, 3 held-out subsets x 2, 20 to choose lambda by (validation), 24 to tell" in shown
    assert "paley, the default for alpha 0.5 and 100 units or more: a set of 2 x 127 models shares 6 training" in shown
    assert "--models 127 (one side of a set) or 254 (a whole set) would suit better" in shown
    assert json.loads((study / "study.json").read_text())["design"]["validation"] == 20
    assert "310 models" in " ".join(ok("extend", study, "--validation", 10).split())
    found = Study.open(study)
    assert found.design.role_rows("validation").tolist() == [*range(256, 276), *range(300, 310)]
    assert found.design.shared_seeds == 6
    assert "316 models" in " ".join(ok("extend", study, "--anchors", 6).split())
    assert Study.open(study).design.role_rows("anchor").tolist() == [*range(276, 300), *range(310, 316)]
    plain = " ".join(ok("create", tmp_path / "plain", *given, "--kind", "fixed", "--models", 250).split())
    assert "fixed, as you asked for" in plain
    assert "whole set" not in plain
    own = ok("create", tmp_path / "own", *given, "--models", 254, "--seeds", "pair", "--validation", 0)
    assert "share a training seed" in " ".join(own.split())
    assert "no pair" not in own
    assert json.loads((tmp_path / "own/study.json").read_text())["design"]["validation"] == 0
    side = " ".join(ok("create", tmp_path / "side", *given, "--models", 127, "--seeds", "pair").split())
    assert "no pair of a mask and its complement is there below 128 models" in side


def test_create_takes_alpha_as_a_fraction(tmp_path):
    given = ("-t", "tabular", "-p", "data=wine", "--models", 20, "--heldout", 3)
    shown = ok("create", tmp_path / "third", *given, "--alpha", "1/3", "--kind", "cyclotomic")
    assert "alpha 1/3" in shown
    assert Study.open(tmp_path / "third").design.alpha == 1 / 3
    rounded = run("create", tmp_path / "rounded", *given, "--alpha", "0.3333", "--kind", "cyclotomic")
    assert (rounded.returncode, "denominator up to 12" in " ".join(rounded.stderr.split())) == (2, True)
    for wrong in ("1/0", "1/x", "a half"):
        refused = run("create", tmp_path / "wrong", *given, "--alpha", wrong)
        assert (refused.returncode, "--alpha must be a number or several" in refused.stderr) == (2, True)


def test_masks_that_no_design_draws_have_no_validation_models(make_study):
    listed = retrain(make_study(), np.ones((1, 20), bool), engine="inline", progress=False).study
    with pytest.raises(InputError, match="no more subsets to draw"):
        listed.extend(validation=3)
