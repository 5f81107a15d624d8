"""The study as the API tells of it, before anything is fitted too."""

import numpy as np
import pytest

from subtrain import Datamodels, Study
from subtrain.collection import train_segment
from subtrain.collection.workers.train_segment import record_failure
from subtrain.evaluation import evaluate
from subtrain.fits import load_fit, save_fit
from subtrain.system.machine import host
from worlds import weights


def test_what_was_run_and_what_it_is_worth(client, world):
    answer = client.get("/api/study").json()
    assert (answer["name"], answer["n"], answer["targets"], answer["models"]) == ("planted", 20, 6, 60)
    assert [one["ref"] for one in answer["fits"]] == ["default", "train", "wrong"]
    assert answer["fit"] == "default"
    assert answer["words"]["short"] == "margin"
    assert answer["has_images"] is True
    expected = evaluate(load_fit(world), world).to_json()
    for figure in ("lds", "lds_ceiling", "lds_one", "lds_one_ceiling", "mse", "mse_floor", "pooled_spearman"):
        assert answer["evaluation"][figure] == pytest.approx(expected[figure], rel=1e-6), figure
    assert sum(answer["evaluation"]["histogram"]["counts"]) == 6
    assert {facts["title"] for facts in answer["provenance"]["facts"]} == {"Study", "Design", "Fit", "Made with"}
    assert answer["features"]["compare"]["available"] is True
    assert answer["features"]["verify"] == {"available": True, "why": ""}, "its task is at hand, and can be sent"
    assert str(world.path.parent) not in client.get("/api/study").text


def test_another_fit(client):
    answer = client.get("/api/study?fit=train").json()
    assert (answer["fit"], answer["output"], answer["targets"]) == ("train", "train_margins", 20)
    assert client.get("/api/study?fit=none").status_code == 404


def test_status_counts_what_is_committed(client):
    answer = client.get("/api/status").json()
    assert (answer["models"], answer["committed"], answer["state"]) == (60, 60, "done")
    assert set(answer["fits"]) == {"default", "wrong", "train"}
    assert answer["fits"]["default"] == client.get("/api/study").json()["version"]


def test_a_study_without_a_fit(make_study, serve):
    study = make_study()
    with serve(Study.open(study.path)) as client:
        answer = client.get("/api/study").json()
        assert answer["fit"] is None
        assert answer["fits"] == []
        assert not any(one["available"] for one in answer["features"].values())
        assert "run subtrain fit" in client.get("/api/targets").json()["detail"]
        assert client.get("/api/targets").status_code == 404
        assert client.get("/api/status").json()["committed"] == 16
        assert client.get("/").status_code == 200


def test_models_that_failed_are_named(make_study, serve):
    study = make_study(done=False)
    record_failure(study, study.segments[0], 3, 0, "It burst.", "Traceback")
    with serve(study) as client:
        answer = client.get("/api/status").json()
    assert answer["state"] == "stopped"
    assert answer["failures"] == [{"model": 3, "why": "It burst.", "host": host()}]


def test_the_curve_says_why_there_is_none(client, settled):
    answer = settled(client, "/api/curve")
    assert answer["state"] == "failed"
    assert "too few models for a learning curve" in answer["why"]
    assert answer["points"] == []


def test_the_page(client):
    answer = client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.filterwarnings("ignore:4 of 12 models to judge on are missing")
def test_what_was_left_out_is_said_beside_the_scores(make_study, serve):
    study = make_study(models=30, heldout=6, done=False)
    for where in study.segments:
        if where != study.segments[-1]:
            train_segment(study, where)
    study.store.replace("failures/000041.txt", lambda file: file.write(b"model 41\nhere, pid 1\nIt burst.\nTraceback"))
    weight, bias = weights(20, 3)
    said = "2 of 30 models to fit on failed"
    about = {"output": "test_margins", "models": 30, "models_used": [[0, 30]], "notes": [said]}
    save_fit(study, Datamodels(weight, bias, np.full(3, 0.01), about))
    expected = evaluate(load_fit(study), study).to_json()
    assert expected["notes"]
    with serve(study) as client:
        shown = client.get("/api/study").json()["evaluation"]
    assert shown["notes"] == expected["notes"]
    assert shown["fit_notes"] == [said]
    assert shown["targets_judged"] == expected["targets_judged"] == 3
