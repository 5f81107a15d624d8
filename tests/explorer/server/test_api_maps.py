"""Maps and clusters: planted groups are found."""

from dataclasses import replace

import numpy as np
import pytest

from subtrain import Datamodels
from subtrain.explorer.mapped import draw_map
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


def test_components_are_those_of_a_plain_decomposition(world):
    from subtrain.explorer.opened import open_fit

    fit = open_fit(world, "default", "default")
    found = draw_map(replace(fit), "targets")
    weight = np.asarray(fit.sidecar.weight, np.float64)
    centred = weight - weight.mean(axis=0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(found.x), np.abs(left[:, 0] * size[0]), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(np.abs(found.y), np.abs(left[:, 1] * size[1]), rtol=1e-3, atol=1e-4)
