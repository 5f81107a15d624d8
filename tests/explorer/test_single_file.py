"""The page as one file: everything in it, nothing of it script, no question to anybody."""

import base64
import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import subtrain
from subtrain import Datamodels, Study, evaluate
from subtrain.errors import InputError
from subtrain.explorer import page, single_file
from subtrain.explorer.open_studies import Library
from subtrain.explorer.page import MARK, with_data
from subtrain.explorer.single_file import gather, write_page
from subtrain.fits import load_fit, save_fit
from subtrain.studies.imports.arrays import import_arrays
from subtrain.tasks import View
from subtrain.tasks.base import Source
from worlds import linear

BUILT = f"<!doctype html><html><head>{MARK}<script>own()</script></head><body></body></html>"


@pytest.fixture(scope="module")
def data(world):
    return gather(Library({"": world}), most=4)


@pytest.fixture
def built(monkeypatch):
    monkeypatch.setattr(page, "page", lambda: BUILT)


def test_answers_are_those_of_the_server(data, client, settled):
    chosen = [item["number"] for item in data["answers"]["/api/targets"]["items"]]
    assert data["note"] == "4 of 6 targets"
    assert len(chosen) == 4
    for target in chosen:
        for where in (f"/api/targets/{target}", f"/api/targets/{target}/weights"):
            assert data["answers"][where] == client.get(where).json(), where
    for where in ("/api/map?of=units", "/api/clusters", "/api/leakage"):
        assert data["answers"][where] == settled(client, where), where
    assert data["answers"]["/api/curve"]["state"] == "failed"
    assert data["answers"]["/api/study"]["features"]["verify"]["available"] is False
    assert data["answers"]["/api/units/3"]["shown"]["number"] == 3


def test_pictures_are_inside(data):
    where = data["answers"]["/api/targets"]["items"][0]["image"]
    head, _, body = data["answers"][where].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(body).startswith(b"\x89PNG")


def test_pictures_beyond_the_limit_are_left_out(world, monkeypatch):
    monkeypatch.setattr(single_file, "IMAGES", 3)
    answers = gather(Library({"": world}), most=2)["answers"]
    kept = {key for key in answers if key.startswith("/api/image/")}
    assert len(kept) == 3
    assert {one["image"] for one in single_file._pictured(answers)} == kept


def test_the_file_holds_the_data_and_nothing_else_runs(data, built, world, tmp_path):
    said = write_page(Library({"": world}), tmp_path / "new" / "page.html", most=4)
    html = (tmp_path / "new" / "page.html").read_text()
    assert said.startswith("4 of 6 targets; ")
    assert html.count("<script") == 2
    found = re.search(r'<script type="application/json" id="subtrain-data">(.*?)</script>', html, re.DOTALL)
    assert json.loads(found[1])["answers"].keys() == data["answers"].keys()
    assert "<" not in found[1]
    assert "alert(1)" in found[1]
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[1]
    assert "default-src 'none'" in policy
    assert "connect-src data:" in policy
    assert "http:" not in policy


def test_hostile_data_cannot_end_its_element(built):
    html = with_data({"x": "</script><script>alert(1)</script><!--", "y": "\u2028"})
    assert html.count("<script") == 2
    assert "\\u003c/script>" in html


def test_without_the_built_page_there_is_nothing_to_export(world, monkeypatch, tmp_path):
    monkeypatch.setattr(page, "page", lambda: page.PLACEHOLDER)
    with pytest.raises(InputError, match="lacks the explorer's page"):
        write_page(Library({"": world}), tmp_path / "page.html", most=1)
    assert not (tmp_path / "page.html").exists()


def data_in(path) -> dict:
    """What a written page holds."""
    found = re.search(r'<script type="application/json" id="subtrain-data">(.*?)</script>', path.read_text(), re.DOTALL)
    return json.loads(found[1])


def test_the_page_that_ships_asks_nobody_and_runs_only_its_own_scripts(world, tmp_path):
    write_page(Library({"": world}), tmp_path / "page.html", most=2)
    html = (tmp_path / "page.html").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[1]
    assert {"default-src 'none'", "connect-src data:", "form-action 'none'"} <= set(policy.split("; "))
    assert html.count("<script") == html.count("</script>") == 2
    assert not re.search(r"<(iframe|object|embed|base|form)\b", html.partition("<script")[0])
    assert not re.search(r'(src|href)="?https?:', html)
    assert html.index("Content-Security-Policy") < html.index("<script")


def test_no_answer_holds_a_number_that_is_none(data):
    json.dumps(data, allow_nan=False)


def test_key_figures_are_the_evaluation_s(data, world):
    found = evaluate(load_fit(world), world, bootstrap=10)
    shown = data["answers"]["/api/study"]["evaluation"]
    for name in ("lds", "lds_one"):
        assert shown[name]["value"] == pytest.approx(getattr(found, name).value)
        assert shown[f"{name}_ceiling"] == pytest.approx(getattr(found, f"{name}_ceiling"))
    assert shown["pooled_spearman"] == pytest.approx(found.pooled_spearman)
    assert {one["name"]: one["lds"] for one in shown["baselines"]} == {
        name: pytest.approx(of["lds"]) for name, of in found.baselines.items()
    }
    assert len(shown["baselines"]) > 0


def test_a_weak_fit_says_so_in_the_page(data, world):
    assert data["answers"]["/api/study"]["weak"] == ""
    weak = gather(Library({"": world}, "wrong"), [0])["answers"]["/api/study"]["weak"]
    assert weak.startswith("weak fit: LDS")


def test_chosen_targets_and_wrong_ones(world, tmp_path):
    path = tmp_path / "page.html"
    assert write_page(Library({"": world}), path, [5, 0, 5]).startswith("2 of 6 targets")
    assert [one["number"] for one in data_in(path)["answers"]["/api/targets"]["items"]] == [0, 5]
    before = path.read_bytes()
    for wrong in (6, -1):
        with pytest.raises(InputError, match=f"no target {wrong}: targets are numbered 0 to 5"):
            write_page(Library({"": world}), path, [0, wrong])
    assert path.read_bytes() == before


def test_a_study_of_bare_arrays_with_targets_that_never_vary(tmp_path):
    random = np.random.default_rng(0)
    masks = random.random((60, 20)) < 0.5
    outputs = (masks @ random.normal(size=(20, 3))).astype("f4")
    outputs[:, 1] = 0
    study = import_arrays(tmp_path / "<b>study & co", masks, {"anything": outputs}, heldout=20)
    save_fit(study, Datamodels(random.normal(size=(20, 3)), np.zeros(3), np.zeros(3), {"output": "anything"}))
    write_page(Library({"": study}), tmp_path / "page.html")
    assert "<b>study" not in (tmp_path / "page.html").read_text()
    answers = data_in(tmp_path / "page.html")["answers"]
    about = answers["/api/study"]
    assert about["name"] == "<b>study & co"
    assert about["words"]["helpful"] == "Raise it most"
    assert about["evaluation"]["lds_ceiling"] is None
    assert "made elsewhere and imported" in about["provenance"]["remarks"][0]
    assert [one["lds"] is None for one in answers["/api/targets"]["items"]] == [False, True, False]
    assert "Examples are shown by number" in about["why_not"]


def test_groups_are_shown_by_number(make_study):
    task = replace(linear(40, 3), view=View(labels={"train": [str(i // 4) for i in range(40)]}))
    study = make_study(task=task, groups=tuple(i // 2 for i in range(40)), heldout=6)
    save_fit(study, Datamodels(np.eye(20, 3, dtype="f4"), np.zeros(3), np.zeros(3), {"output": "test_margins"}))
    answers = gather(Library({"": study}))["answers"]
    unit = answers["/api/targets/1"]["helpful"][0]["unit"]
    assert (unit["name"], unit["note"], unit["label"]) == ("group 1", "2 examples", "0")
    assert "groups.npy" in " ".join(answers["/api/study"]["provenance"]["remarks"])


def test_pictures_are_the_study_s_and_not_the_code_s(copy):
    lost = replace(Study.open(copy.path), source=Source("no_such_module:task"))
    answers = gather(Library({"": lost}), [0])["answers"]
    assert answers[answers["/api/targets/0"]["shown"]["image"]].startswith("data:image/png")


def test_the_same_study_gives_the_same_page(data, world):
    again = gather(Library({"": world}), most=4)
    timeless = [
        re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d( UTC|\+00:00)", "", json.dumps(one["answers"]))
        for one in (data, again)
    ]
    assert timeless[0] == timeless[1]


def test_it_needs_no_web_server(world, tmp_path):
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('fastapi', 'uvicorn', 'starlette')))\n"
        "sys.argv = ['subtrain', 'report', sys.argv[1], '--targets', '1', '--out', sys.argv[2]]\n"
        "from subtrain.cli.main import main\n"
        "main()"
    )
    command = [sys.executable, "-c", code, str(world.path), str(tmp_path / "page.html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "/api/targets/1" in data_in(tmp_path / "page.html")["answers"]


def test_version_0_1_s_function_writes_the_same_page_of_any_datamodels(world, tmp_path):
    with pytest.warns(FutureWarning, match="write_report is removed in the next release"):
        write_report = subtrain.write_report
    dm = load_fit(world, "wrong")
    assert write_report(world, dm, evaluate(dm, world, bootstrap=0), tmp_path / "r.html", targets=[1]).exists()
    answers = data_in(tmp_path / "r.html")["answers"]
    expected = gather(Library({"": world}, "wrong"), [1])["answers"]
    for key in ("helpful", "harmful", "lds", "heldout"):
        assert answers["/api/targets/1"][key] == expected["/api/targets/1"][key]
    assert world.fits == ("default", "train", "wrong")
