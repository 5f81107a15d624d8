"""The page as one file: everything in it, nothing of it script, no question to anybody."""

import base64
import json
import re

import pytest

pytest.importorskip("fastapi")

from subtrain.errors import InputError
from subtrain.explorer import page, single_file
from subtrain.explorer.open_studies import Library
from subtrain.explorer.page import MARK, with_data
from subtrain.explorer.single_file import export_page, gather

BUILT = f"<!doctype html><html><head>{MARK}<script>own()</script></head><body></body></html>"


@pytest.fixture(scope="module")
def data(world):
    return gather(Library({"": world}), targets=4)


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
    answers = gather(Library({"": world}), targets=2)["answers"]
    kept = {key for key in answers if key.startswith("/api/image/")}
    assert len(kept) == 3
    assert {one["image"] for one in single_file._pictured(answers)} == kept


def test_the_file_holds_the_data_and_nothing_else_runs(data, built, world, tmp_path):
    said = export_page(Library({"": world}), tmp_path / "new" / "page.html", targets=4)
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
        export_page(Library({"": world}), tmp_path / "page.html", targets=1)
    assert not (tmp_path / "page.html").exists()
