"""Leakage review: decisions are kept at once, survive the server, and leave as files."""

import csv
import io
import json

from subtrain.explorer.data.leakage_review import decisions


def test_pairs_are_listed_most_suspect_first(client, settled):
    answer = settled(client, "/api/leakage")
    scores = [item["score"] for item in answer["items"]]
    assert answer["total"] == len(scores) > 0
    assert scores == sorted(scores, reverse=True)
    first = answer["items"][0]
    assert first["pair"] == f"{first['target']['number']}-{first['unit']['number']}"
    assert first["decision"] is None


def test_a_decision_is_kept_in_the_study(copy, serve, settled):
    with serve(copy) as client:
        first, second = (item["pair"] for item in settled(client, "/api/leakage")["items"][:2])
        kept = client.put(f"/api/leakage/{first}", json={"decision": "yes"})
        assert kept.json() == {"pair": first, "decision": "yes", "decided": 1}
        assert client.put(f"/api/leakage/{second}", json={"decision": "no"}).json()["decided"] == 2
        assert client.put(f"/api/leakage/{second}", json={"decision": None}).json()["decided"] == 1
    assert decisions(copy, "test_margins") == {first: "yes"}
    with serve(copy) as client:
        answer = settled(client, "/api/leakage")
        assert answer["items"][0]["decision"] == "yes"
        assert answer["decided"] == 1
        left = client.get("/api/leakage?undecided=true").json()
        assert left["total"] == answer["total"] - 1
        assert first not in [item["pair"] for item in left["items"]]
        rows = list(csv.DictReader(io.StringIO(client.get("/api/leakage/export").text)))
        assert rows[0]["decision"] == "yes"
        assert len(rows) == answer["total"]
        assert json.loads(client.get("/api/leakage/export?format=json").text)[0]["decision"] == "yes"


def test_what_is_no_pair_is_refused(copy, serve):
    with serve(copy) as client:
        for pair in ("6-0", "0-20", "x", "1", "-1-2", "1-2-3", "٣-1"):
            answer = client.put(f"/api/leakage/{pair}", json={"decision": "yes"})
            assert answer.status_code == 404, pair
        assert client.put("/api/leakage/1-2", json={"decision": "perhaps"}).status_code == 422
        assert client.put("/api/leakage/1-2", json={}).status_code == 422
    assert not (copy.path / "reviews").exists()


def test_a_study_that_cannot_be_written_says_so(copy, serve, monkeypatch):
    from subtrain.errors import StorageError

    def full(*_args, **_kwargs):
        raise StorageError("no space left on the disk")

    monkeypatch.setattr("subtrain.explorer.data.leakage_review.put_sealed", full)
    with serve(copy) as client:
        answer = client.put("/api/leakage/1-2", json={"decision": "yes"})
    assert answer.status_code == 409
    assert answer.json() == {"detail": "no space left on the disk"}
