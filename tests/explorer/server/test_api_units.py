"""Training units against the planted world."""

import numpy as np
import pytest

from worlds import weights


def test_one_unit(client, world):
    answer = client.get("/api/units/4").json()
    row = weights(20, 6)[0][4]
    helps = [t for t in np.argsort(-row, kind="stable").tolist() if row[t] > 0]
    hurts = [t for t in np.argsort(row, kind="stable").tolist() if row[t] < 0]
    assert [one["target"]["number"] for one in answer["helps"]] == helps
    assert [one["target"]["number"] for one in answer["hurts"]] == hurts
    assert [one["weight"] for one in answer["hurts"]] == pytest.approx(row[hurts].tolist(), rel=1e-5)
    assert (answer["helped"], answer["hurt"]) == (len(helps), len(hurts))
    assert answer["effect"] == pytest.approx(row.sum(), abs=1e-5)
    assert answer["strength"] == pytest.approx(np.abs(row).sum(), rel=1e-5)
    assert answer["in_subsets"] == world.masks().unpack()[:, 4].sum()
    assert answer["subsets"] == 60
    assert answer["self_influence"] is None


def test_self_influence_where_targets_are_the_training_examples(client):
    answer = client.get("/api/units/4?fit=train").json()
    assert answer["self_influence"] == 1
    assert [one["target"]["number"] for one in answer["helps"]] == [4]
    detail = client.get("/api/targets/4?fit=train").json()
    assert [one["itself"] for one in detail["helpful"]] == [True]


@pytest.mark.parametrize("name", ["effect", "strength", "unit"])
def test_sorted_both_ways(client, name):
    column = {"unit": "number"}.get(name, name)
    up = [item[column] for item in client.get(f"/api/units?sort={name}").json()["items"]]
    down = [item[column] for item in client.get(f"/api/units?sort=-{name}").json()["items"]]
    assert up == sorted(up)
    assert down == up[::-1]


def test_searched_by_label_and_number(client):
    def found(q):
        return [item["number"] for item in client.get("/api/units", params={"q": q}).json()["items"]]

    assert found("cat") == [1, 4, 7, 10, 13, 16, 19]
    assert found("7") == [7]
    assert found("10") == [2, 5, 8, 11, 14, 17]  # a label comes before a number
    assert found("nobody") == []
    assert client.get("/api/units?q=cat&limit=2&offset=1").json()["total"] == 7


def test_a_unit_that_is_not_there(client):
    answer = client.get("/api/units/20")
    assert answer.status_code == 404
    assert "numbered 0 to 19" in answer.json()["detail"]
