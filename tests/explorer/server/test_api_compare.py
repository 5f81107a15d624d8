"""Two fits, and two studies, side by side."""

import numpy as np
import pytest

from subtrain import Study


def test_two_fits(client, settled):
    answer = settled(client, "/api/compare?other=wrong")
    assert (answer["a"], answer["b"], answer["total"]) == ("default", "wrong", 6)
    cosine = {item["target"]["number"]: item["cosine"] for item in answer["items"]}
    assert [cosine[t] for t in range(6)] == pytest.approx([-1, 1, -1, 1, -1, 1], abs=1e-6)
    assert answer["mean_cosine"] == pytest.approx(0, abs=1e-6)
    assert [item["target"]["number"] for item in answer["items"][:3]] == [0, 2, 4]
    assert answer["items"][0]["overlap"] == 0
    assert answer["items"][-1]["overlap"] == 1
    assert answer["mean_lds_a"] > answer["mean_lds_b"]
    assert answer["items"][0]["a"]["lds"] == pytest.approx(-answer["items"][0]["b"]["lds"])


def test_two_studies(world, copy, serve, settled):
    with serve(world, second=Study.open(copy.path, task=world.task)) as client:
        refs = [one["ref"] for one in client.get("/api/study").json()["fits"]]
        assert "default@b" in refs
        answer = settled(client, "/api/compare?fit=default&other=default@b")
        assert [item["cosine"] for item in answer["items"]] == pytest.approx(np.ones(6).tolist())
        detail = client.get("/api/targets/1?fit=wrong@b").json()
        assert detail["shown"]["image"] == "/api/image/b/test/1.png"
        assert client.get(detail["shown"]["image"]).status_code == 200
        assert client.get("/api/study?fit=default@b").json()["name"] == "copy"


def test_fits_that_do_not_match(client, settled):
    answer = settled(client, "/api/compare?other=train")
    assert answer["state"] == "failed"
    assert "only fits of the same units and targets" in answer["why"]
    assert client.get("/api/compare?other=none").status_code == 404
    assert client.get("/api/compare").status_code == 422
