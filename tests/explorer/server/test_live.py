"""Others write while the explorer reads: it shows the old fit until the new one is whole, then the new one."""

from dataclasses import replace

import numpy as np
import pytest

from subtrain.explorer import open_studies
from subtrain.fits import load_fit, save_fit


@pytest.fixture(autouse=True)
def always_look(monkeypatch):
    monkeypatch.setattr(open_studies, "LOOK_AGAIN", 0.0)


def doubled(study):
    dm = load_fit(study)
    return replace(dm, weight=2 * np.array(dm.weight))


def first_weight(client):
    answer = client.get("/api/targets/1?k=1").json()
    return answer["helpful"][0]["weight"], answer["version"]


def until(condition):
    import time

    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never came to be")


def test_a_new_fit_takes_the_place_of_the_old_one(copy, serve):
    with serve(copy) as client:
        before, version = first_weight(client)
        save_fit(copy, doubled(copy))
        until(lambda: first_weight(client)[1] != version)
        after, newer = first_weight(client)
        assert after == pytest.approx(2 * before)
        assert client.get("/api/status").json()["fits"]["default"] == newer


def test_a_half_written_fit_is_never_shown(copy, serve):
    new = doubled(copy)
    meta = copy.path / "fits" / "default" / "datamodels.json"
    with serve(copy) as client:
        before = first_weight(client)
        meta.unlink()  # save_fit begins with this, writes the arrays, and ends with the metadata
        np.save(copy.path / "fits" / "default" / "weight.npy", new.weight)
        assert first_weight(client) == before
        assert "default" not in client.get("/api/status").json()["fits"]
        save_fit(copy, new)
        until(lambda: first_weight(client)[1] != before[1])
        assert first_weight(client)[0] == pytest.approx(2 * before[0])
    meta.unlink()
    with serve(copy) as client:
        assert client.get("/api/targets?fit=default").status_code == 404


def test_a_fit_that_is_damaged_leaves_the_old_one_on_show(copy, serve):
    with serve(copy) as client:
        before = first_weight(client)
        (copy.path / "fits" / "default" / "weight.npy").write_bytes(b"torn")
        for _ in range(3):
            assert first_weight(client) == before


def test_a_fit_of_models_that_came_later_is_judged_on_them_too(copy, serve):
    from subtrain.collection import train_segment

    with serve(copy) as client:
        _, version = first_weight(client)
        longer = copy.extend(heldout=5, replicates=2)
        for where in longer.segments[len(copy.segments) :]:
            train_segment(longer, where)
        save_fit(copy, doubled(copy))
        until(lambda: first_weight(client)[1] != version)
        detail = client.get("/api/targets/1").json()
        assert (detail["models"], detail["heldout"]["subsets"]) == (70, 15)
        assert detail["shown"]["image"]  # the task at hand is still there


def test_collected_meanwhile(make_study, serve):
    from subtrain.collection import train_segment

    study = make_study(done=False)
    with serve(study) as client:
        assert client.get("/api/status").json()["committed"] == 0
        (study.path / "segments").mkdir()
        train_segment(study, study.segments[0])
        assert client.get("/api/status").json()["committed"] == 4
        study.extend(models=4)
        assert client.get("/api/status").json()["models"] == 20
