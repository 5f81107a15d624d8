"""Targets: every figure against the planted world, searching, sorting, and what-ifs."""

import numpy as np
import pytest

from worlds import weights

NASTY = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


def listed(client, query=""):
    answer = client.get(f"/api/targets?{query}")
    assert answer.status_code == 200, answer.text
    return [item["number"] for item in answer.json()["items"]]


def test_a_page_of_the_gallery(client, world):
    answer = client.get("/api/targets?offset=2&limit=3").json()
    assert (answer["total"], answer["offset"], len(answer["items"])) == (6, 2, 3)
    item = answer["items"][0]
    margins = world.read("test_margins").astype(np.float64)
    weight, bias = weights(20, 6)
    assert item["number"] == 2
    assert item["margin"] == pytest.approx(margins[:, 2].mean(), rel=1e-5)
    assert item["correct"] == pytest.approx((margins[:, 2] > 0).mean())
    assert item["nonzero"] == np.count_nonzero(weight[:, 2])
    full = bias[2] + weight[:, 2].sum()
    falling = np.cumsum(-np.sort(-np.maximum(weight[:, 2], 0)))
    assert item["support"] == (0 if full <= 0 else int((falling <= full).sum()) + 1)
    assert item["lds"] > 0.9
    assert item["image"] == "/api/image/a/test/2.png"


@pytest.mark.parametrize("name", ["margin", "correct", "lds", "nonzero", "label", "target"])
def test_sorted_both_ways(client, name):
    up = client.get(f"/api/targets?sort={name}").json()["items"]
    down = client.get(f"/api/targets?sort=-{name}").json()["items"]
    column = {"target": "number"}.get(name, name)
    values = [item[column] for item in up]
    assert values == sorted(values)
    assert [item[column] for item in down] == sorted(values, reverse=True)


@pytest.mark.parametrize("name", ["margin", "lds", "support", "leakage"])
def test_bounds_hold_for_those_who_have_the_figure(client, name):
    column = {item["number"]: item[name] for item in client.get("/api/targets").json()["items"]}
    known = {number: value for number, value in column.items() if value is not None}
    middle = sorted(known.values())[len(known) // 2] if known else 0
    assert listed(client, f"min_{name}={middle}") == [n for n, v in known.items() if v >= middle]
    assert listed(client, f"max_{name}={middle}") == [n for n, v in known.items() if v <= middle]


def test_only_some_by_their_numbers(client):
    assert listed(client, "only=4,1,99") == [1, 4]
    assert [item["number"] for item in client.get("/api/units?only=19,3").json()["items"]] == [3, 19]
    for where in ("targets", "units"):
        assert client.get(f"/api/{where}?only=1,,2").status_code == 422


def test_searched_and_filtered(client):
    assert listed(client, "q=number 5") == [5]
    assert listed(client, "q=SCRIPT alert(1) number 4") == [4]
    assert listed(client, "label=cat") == [1, 4]
    assert listed(client, "label=dog") == []
    assert listed(client, "q=nothing like it") == []
    right, wrong = listed(client, "correct=true"), listed(client, "correct=false")
    assert sorted(right + wrong) == list(range(6))
    assert wrong
    items = client.get("/api/targets").json()["items"]
    middle = sorted(item["margin"] for item in items)[3]
    assert listed(client, f"min_margin={middle}") == [i["number"] for i in items if i["margin"] >= middle]
    assert listed(client, f"max_margin={middle}") == [i["number"] for i in items if i["margin"] <= middle]


def test_one_target_in_full(client, world):
    answer = client.get("/api/targets/3").json()
    weight, bias = weights(20, 6)
    column = weight[:, 3].astype(np.float32)
    order = [int(u) for u in np.argsort(-column, kind="stable") if column[u] > 0]
    assert [one["unit"]["number"] for one in answer["helpful"]] == order
    assert [one["weight"] for one in answer["helpful"]] == pytest.approx(column[order].tolist(), rel=1e-5)
    assert answer["harmful"][0]["unit"]["number"] == int(np.argmin(column))
    assert answer["full"] == pytest.approx(bias[3] + column.sum(), rel=1e-5)
    assert answer["average"] == pytest.approx(bias[3] + column.sum() / 2, rel=1e-5)
    assert sum(answer["margins"]["counts"]) == answer["models"] == 60
    assert len(answer["margins"]["edges"]) == len(answer["margins"]["counts"]) + 1
    margins = world.read("test_margins")[:, 3]
    assert answer["margins"]["edges"][0] == pytest.approx(margins.min(), rel=1e-5)
    assert answer["margins"]["edges"][-1] == pytest.approx(margins.max(), rel=1e-5)
    assert answer["heldout"]["runs"] == 2
    assert np.corrcoef(answer["heldout"]["predicted"], answer["heldout"]["actual"])[0, 1] > 0.99
    assert (answer["previous"], answer["next"]) == (2, 4)
    assert client.get("/api/targets/0").json()["previous"] is None
    assert client.get("/api/targets/5").json()["next"] is None


def test_the_interval_of_a_weight_is_that_of_a_difference_of_means(client, world):
    from subtrain import load_fit

    one = client.get("/api/targets/3?k=1").json()["helpful"][0]
    held = world.done("evaluation")
    error = world.read("test_margins", held)[:, 3] - load_fit(world).predict(world.masks(held), [3])[:, 0]
    half = 1.96 * np.sqrt((error**2).mean() / (40 * 0.25))
    assert one["high"] - one["weight"] == pytest.approx(half, rel=1e-3)
    assert one["weight"] - one["low"] == pytest.approx(half, rel=1e-3)


def test_hostile_labels_arrive_as_they_are(client):
    answer = client.get("/api/targets/0")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["shown"]["label"] == NASTY
    assert answer.json()["shown"]["row"] == {"length": "0", NASTY: "x"}
    assert answer.json()["shown"]["text"] == f"{NASTY} number 0"


def test_weights_by_falling_strength(client):
    answer = client.get("/api/targets/1/weights?limit=4").json()
    column = weights(20, 6)[0][:, 1]
    order = np.argsort(-np.abs(column), kind="stable")[:4]
    assert answer["unit"] == order.tolist()
    assert answer["weight"] == pytest.approx(column[order].tolist(), rel=1e-5)
    assert answer["total"] == np.count_nonzero(column)


def test_what_if(client):
    weight, bias = weights(20, 6)
    answer = client.post("/api/targets/2/whatif", json={"removed": [3, 7, 7]}).json()
    assert answer["full"] == pytest.approx(bias[2] + weight[:, 2].sum(), rel=1e-5)
    assert answer["predicted"] == pytest.approx(answer["full"] - weight[3, 2] - weight[7, 2], rel=1e-5)
    assert answer["low"] < answer["predicted"] < answer["high"]
    assert answer["weights"] == pytest.approx({"3": weight[3, 2], "7": weight[7, 2]}, rel=1e-5)
    nothing = client.post("/api/targets/2/whatif", json={"removed": []}).json()
    assert nothing["predicted"] == nothing["full"]


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("/api/targets/6", "numbered 0 to 5"),
        ("/api/targets/1?fit=none", "no fit named 'none'"),
        ("/api/targets/1?fit=../../x", "one plain folder name"),
        ("/api/targets?fit=.", "one plain folder name"),
    ],
)
def test_what_is_not_there_is_said(client, where, says):
    answer = client.get(where)
    assert answer.status_code == 404
    assert says in answer.json()["detail"]


def test_bad_requests_are_refused(client):
    assert client.post("/api/targets/1/whatif", json={"removed": [20]}).status_code == 404
    assert client.post("/api/targets/1/whatif", json={"removed": [-1]}).status_code == 422
    assert client.post("/api/targets/1/whatif", json={"removed": list(range(100_001))}).status_code == 422
    assert client.post("/api/targets/1/whatif", content=b"{").status_code == 422
    for query in ("limit=501", "limit=0", "offset=-1", "sort=nonsense", "min_margin=nan", f"q={'x' * 201}"):
        assert client.get(f"/api/targets?{query}").status_code == 422, query
