"""Losses in the explorer: what lowers them stands on the helpful side."""

from __future__ import annotations

import numpy as np
import pytest

from subtrain import Datamodels
from subtrain.fits import save_fit
from subtrain.studies.imports.arrays import import_arrays

N, HELPS, HARMS = 12, 3, 7


@pytest.fixture(params=[("test_losses", -1, "lower"), ("test_margins", 1, "higher"), ("test_predictions", 1, None)])
def shown(request, tmp_path):
    name, sign, better = request.param
    random = np.random.default_rng(0)
    masks = random.random((200, N)) < 0.5
    weight = np.zeros((N, 4), np.float32)
    weight[HELPS], weight[HARMS] = 2 * sign, -sign
    outputs = (5 + masks @ weight + 0.1 * random.normal(size=(200, 4))).astype("f4")
    study = import_arrays(tmp_path / "r", masks, {name: outputs})
    dm = Datamodels(weight, np.full(4, 5.0), np.zeros(4), {"output": name, "models": 180})
    save_fit(study, dm)
    return study, dm, better


def test_the_helpful_side_is_what_helps(shown, serve):
    study, _, better = shown
    client = serve(study)
    words = client.get("/api/study").json()["words"]
    target = client.get("/api/targets/0").json()
    assert words["better"] == better
    assert [one["unit"]["number"] for one in target["helpful"]] == [HELPS]
    assert [one["unit"]["number"] for one in target["harmful"]] == [HARMS]
    assert (target["helpful"][0]["weight"] < 0) == (better == "lower")
    helped, hurt = (client.get(f"/api/units/{unit}").json() for unit in (HELPS, HARMS))
    assert (helped["helped"], helped["hurt"]) == (4, 0)
    assert (hurt["helped"], hurt["hurt"]) == (0, 4)
    assert helped["helps"][0]["weight"] == pytest.approx(-2 if better == "lower" else 2)
    assert ("helpful" in words["helpful"]) == (better is not None)
    assert words["zero"] == words["right"] == (better == "higher")
