"""Maps and clusters: planted groups are found."""

import numpy as np
import pytest

from subtrain import Datamodels
from subtrain.explorer.data.maps import _components
from subtrain.fits import save_fit


@pytest.mark.parametrize("of", ["targets", "units"])
def test_a_map(client, settled, of):
    answer = settled(client, f"/api/map?of={of}")
    count = {"targets": 6, "units": 20}[of]
    assert answer["state"] == "done"
    assert answer["number"] == list(range(count))
    assert len(answer["x"]) == len(answer["y"]) == len(answer["cluster"]) == len(answer["label"]) == count
    assert (answer["error"] is None) == (of == "units")


def test_planted_groups_become_clusters(copy, serve, settled):
    random = np.random.default_rng(0)
    weight = np.zeros((20, 6), np.float32)
    weight[:10, [0, 2, 4]], weight[10:, [1, 3, 5]] = 1, 1
    weight += 0.01 * random.normal(size=weight.shape).astype(np.float32)
    save_fit(copy, Datamodels(weight, np.zeros(6), np.zeros(6), {"output": "test_margins"}), "grouped")
    with serve(copy, fit="grouped") as client:
        x = settled(client, "/api/map")["x"]
        clusters = settled(client, "/api/clusters")
    assert len({np.sign(x[t]) for t in (0, 2, 4)}) == 1
    assert np.sign(x[0]) != np.sign(x[1])
    assert sum(item["size"] for item in clusters["items"]) == 6
    first = clusters["items"][0]
    assert first["size"] == max(item["size"] for item in clusters["items"])
    assert all(one["weight"] > 0 for one in first["units"][:5])


def test_components_are_those_of_a_plain_decomposition():
    random = np.random.default_rng(0)
    rows = (random.normal(size=(30, 5)) @ random.normal(size=(5, 80))).astype(np.float32)
    rows[7] = 0
    found = _components(rows, np.arange(30))
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    np.testing.assert_allclose(found @ found.T, unit @ unit.T, atol=1e-4)
    assert (found[7] == 0).all()


def test_a_large_fit_is_mapped_by_its_components(copy, serve, settled, monkeypatch):
    monkeypatch.setattr("subtrain.explorer.data.maps.LARGE", 10)
    with serve(copy) as client:
        answer = settled(client, "/api/map?how=pca")
    assert answer["state"] == "done"
    assert "of 6 principal components" in answer["method"]


def test_many_points_are_clustered_by_k_means(copy, serve, settled, monkeypatch):
    monkeypatch.setattr("subtrain.explorer.data.maps.SPECTRAL", 4)
    with serve(copy) as client:
        answer = settled(client, "/api/map?how=pca")
        assert "k-means clusters" in answer["method"]
        sizes = np.bincount(answer["cluster"])
        assert sizes.sum() == 6
        assert (np.diff(sizes) <= 0).all()
        refused = settled(client, "/api/map?how=spectral")
    assert refused["state"] == "failed"
    assert "at most 4 points" in refused["why"]
