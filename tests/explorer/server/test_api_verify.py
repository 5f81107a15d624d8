"""Verify: models are retrained in the background, and what they answer is set beside the prediction."""

import time

import numpy as np
import pytest

import worlds
from subtrain import Datamodels, Study
from subtrain.explorer.retraining import RetrainOrder
from subtrain.explorer.verification import effect, summary
from subtrain.fits import save_fit
from worlds import weights


@pytest.fixture
def trainable(make_study):
    """A study that other processes can train more models of, with its true fit."""
    study = make_study(task=f"{worlds.__file__}:linear", params={"noise": 0.1}, models=8, heldout=3)
    weight, bias = weights(20, 3)
    save_fit(study, Datamodels(weight.astype(np.float32), bias, np.zeros(3), {"output": "test_margins"}))
    return study


def finished(client, job):
    for _ in range(600):
        answer = client.get(f"/api/verify/{job}").json()
        if answer["state"] not in ("queued", "running"):
            return answer
        time.sleep(0.1)
    raise AssertionError("it never finished")


def test_a_removal_is_retrained(trainable, serve):
    weight, bias = weights(20, 3)
    wanted = {"target": 1, "removed": [2, 5], "runs": 3}
    with serve(trainable) as client:
        assert client.get("/api/study").json()["features"]["verify"]["available"] is True
        begun = client.post("/api/verify", json=wanted)
        assert begun.status_code == 202
        answer = finished(client, begun.json()["job"])
        assert answer["state"] == "done", answer["error"]
        assert (answer["done"], answer["total"]) == (6, 6)
        full = bias[1] + weight[:, 1].sum()
        lost = weight[[2, 5], 1].sum()
        assert answer["predicted"] == pytest.approx({"full": full, "removed": full - lost}, rel=1e-4)
        assert answer["observed"]["full"]["mean"] == pytest.approx(full, abs=0.5)
        assert answer["observed"]["removed"]["mean"] == pytest.approx(full - lost, abs=0.5)
        assert answer["observed"]["effect"]["mean"] == pytest.approx(-lost, abs=0.5)
        assert answer["observed"]["effect"]["low"] < answer["observed"]["effect"]["high"]
        assert client.post("/api/verify", json=wanted).json() == begun.json()
    with serve(trainable) as client:  # what is finished outlives the server
        assert client.get(f"/api/verify/{begun.json()['job']}").json() == answer
        assert client.get("/api/verify?target=1").json() == [answer]
        assert client.get("/api/verify?target=2").json() == []
        (trainable.path / "reviews" / "verified" / "torn.json").write_text('{"target": 1')
        (trainable.path / "reviews" / "verified" / "other.json").write_text('{"target": 1}')
        assert client.get("/api/verify").json() == [answer]


def test_one_that_waits_can_be_cancelled(trainable, serve):
    with serve(trainable) as client:
        desk = client.app.state.desk
        with desk._turn:  # somebody else's is under way
            job = client.post("/api/verify", json={"target": 0, "removed": [1], "runs": 1}).json()["job"]
            assert client.get(f"/api/verify/{job}").json()["state"] == "queued"
            assert client.delete(f"/api/verify/{job}").json()["state"] == "cancelled"
            for unit in range(8):
                assert client.post("/api/verify", json={"target": 1, "removed": [unit]}).status_code == 202
            refused = client.post("/api/verify", json={"target": 1, "removed": [9]})
            assert refused.status_code == 409
            assert "waiting already" in refused.json()["detail"]
            desk.stop()
    assert not (trainable.path / "retrained").exists()


def test_training_that_fails_says_why(trainable, serve, monkeypatch):
    with serve(trainable) as client:
        whole = RetrainOrder.to_json
        gone = str(trainable.path / "gone")
        monkeypatch.setattr(RetrainOrder, "to_json", lambda self: whole(self) | {"study": gone})
        answer = finished(client, client.post("/api/verify", json={"target": 0, "removed": [1]}).json()["job"])
    assert answer["state"] == "failed"
    assert "is not a study" in answer["error"]


def test_a_task_that_cannot_be_sent_to_the_process_that_trains_says_so(trainable, serve, monkeypatch):
    def refuse(self):
        raise TypeError("cannot pickle this")

    with serve(trainable) as client:
        monkeypatch.setattr(RetrainOrder, "to_json", refuse)
        answer = finished(client, client.post("/api/verify", json={"target": 0, "removed": [1]}).json()["job"])
    assert (answer["state"], answer["error"]) == ("failed", "cannot pickle this")


def test_what_cannot_be_verified_is_refused(world, trainable, serve):
    with serve(Study.open(world.path)) as client:
        answer = client.post("/api/verify", json={"target": 0, "removed": [1]})
    assert answer.status_code == 409
    assert "import path" in answer.json()["detail"]
    with serve(trainable) as other:
        for wanted, code in (
            ({"target": 3, "removed": [1]}, 404),
            ({"target": 0, "removed": [20]}, 404),
            ({"target": 0, "removed": []}, 422),
            ({"target": 0, "removed": list(range(20))}, 422),
            ({"target": 0, "removed": [1], "runs": 101}, 422),
            ({"target": 0, "removed": [1], "base": "half"}, 422),
        ):
            assert other.post("/api/verify", json=wanted).status_code == code, wanted
        assert other.get("/api/verify/none").status_code == 404
        assert other.delete("/api/verify/none").status_code == 404


def test_masks_with_and_without(world):
    whole = RetrainOrder(world, "test_margins", 0, (3, 4), 5, "full", {}).masks()
    assert whole[0].all()
    assert np.flatnonzero(~whole[1]).tolist() == [3, 4]
    pairs = RetrainOrder(world, "test_margins", 0, (3, 4), 5, "alpha", {}).masks()
    assert pairs.shape == (10, 20)
    assert pairs[0::2, [3, 4]].all()
    assert not pairs[1::2, [3, 4]].any()
    others = np.delete(np.arange(20), [3, 4])
    assert (pairs[0::2, others] == pairs[1::2, others]).all()
    assert abs(pairs[:, others].mean() - 0.5) < 0.1


def test_intervals_are_students_and_welchs():
    from scipy import stats

    random = np.random.default_rng(0)
    a, b = random.normal(0, 1, 6), random.normal(1, 3, 6)
    told = summary(a.tolist())
    low, high = stats.t.interval(0.95, 5, a.mean(), stats.sem(a))
    assert (told["low"], told["high"]) == pytest.approx((low, high))
    interval = stats.ttest_ind(b, a, equal_var=False).confidence_interval()
    found = effect({"full": a.tolist(), "removed": b.tolist()}, "full")
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high))
    interval = stats.ttest_rel(b, a).confidence_interval()
    found = effect({"full": a.tolist(), "removed": b.tolist()}, "alpha")
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high))
    assert effect({"full": [1.0], "removed": [2.0]}, "full") == {"mean": 1.0, "low": None, "high": None}
    assert effect({}, "full") is None
    same = effect({"full": [1.0, 1.0], "removed": [2.0, 2.0]}, "full")
    assert same["mean"] == same["low"] == same["high"] == 1
