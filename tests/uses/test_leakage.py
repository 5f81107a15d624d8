"""Leakage: false discoveries as stated, whatever the tail; planted duplicates found."""

from __future__ import annotations

import json

import numpy as np
import pytest

from subtrain import Datamodels
from subtrain.errors import InputError
from subtrain.uses.leakage import leakage, recall_at
from uses.planted import world_of

N, T = 600, 400
TAILS = {
    "pareto": lambda random: random.pareto(2.0, (N, T)) + 1,
    "normal": lambda random: random.normal(size=(N, T)),
    "exponential": lambda random: random.exponential(size=(N, T)),
    "sparse": lambda random: random.exponential(size=(N, T)) ** 1.5 * (random.random((N, T)) < 0.3),
}


TIMES = {"pareto": 100, "sparse": 60}  # a copy must stand out from a tail that reaches far itself


def datamodels(weight):
    return Datamodels(weight.astype(np.float32), np.zeros(T), np.zeros(T), {"output": "test_margins"})


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("tail", TAILS)
def test_without_leaks_hardly_anything_is_suspect(tail, copies):
    weight = TAILS[tail](np.random.default_rng(1)) * np.random.default_rng(2).choice([-1, 1], (N, T))
    found = leakage(datamodels(weight), copies=copies)
    assert found.tested == T
    assert np.unique(found.target[found.q <= 0.1]).size <= 2
    assert 1.0 <= found.scale < 1.3
    if tail == "pareto" and copies == 1:  # the model of the tail holds exactly: p-values of single suspects are uniform
        assert np.isclose((found.all_p < 0.3).mean(), 0.3, atol=0.06)


@pytest.mark.parametrize("tail", TAILS)
def test_planted_duplicates_are_found_and_few_others(tail):
    random = np.random.default_rng(3)
    weight = TAILS[tail](random)
    leaked = random.choice(T, 60, replace=False)
    planted = set()
    for k, target in enumerate(leaked):
        largest = np.abs(weight[:, target]).max()
        for _ in range(1 + k % 3):  # one, two or three copies, the last of them with a wrong label
            unit = int(random.integers(N))
            weight[unit, target] = TIMES.get(tail, 6) * largest * (1 + 0.1 * random.random()) * [1, 1, -1][k % 3]
            planted.add((unit, int(target)))
    found = leakage(datamodels(weight), fdr=0.1, copies=3)
    suspect = found.q <= 0.1
    pairs = set(zip(found.unit[suspect].tolist(), found.target[suspect].tolist(), strict=True))
    assert len(pairs & planted) >= 0.85 * len(planted)
    targets = np.unique(found.target[suspect])
    assert np.isin(targets, leaked).mean() >= 0.85  # a tenth may be clean
    table = found.table()
    assert set(table["decision"].tolist()) == {""}
    assert np.all(np.diff(table["p"]) >= 0)
    assert "suspect pairs at 10% false discoveries" in repr(found)
    found.figure()
    json.dumps(found.to_json(), allow_nan=False)


def near(random, places, others):
    """Weights of units at `places` [n, D] on targets at `others` [T, D] that fall off with distance, and noise."""
    apart = np.linalg.norm(places[:, None] - others[None], axis=2)
    return np.exp(-apart) + 0.005 * random.normal(size=apart.shape)


def test_duplicates_that_no_weight_gives_away_are_found_by_their_datamodels():
    random = np.random.default_rng(4)
    places, others = random.normal(size=(300, 6)), random.normal(size=(200, 6))
    others[:20] = places[100:120]
    weight, own = near(random, places, others), near(random, places, places)
    weight[range(100, 120), range(20)] = 0  # the copies themselves do not count
    dm, train = (Datamodels(w.astype(np.float32), *np.zeros((2, w.shape[1]))) for w in (weight, own))
    found = leakage(dm, train=train)
    pairs = set(zip(found.target[found.q <= 0.1].tolist(), found.unit[found.q <= 0.1].tolist(), strict=True))
    assert len(pairs & {(k, 100 + k) for k in range(20)}) >= 18
    assert len({target for target, _ in pairs}) <= 24
    assert np.unique(leakage(dm).target[leakage(dm).q <= 0.1]).size <= 3
    with pytest.raises(InputError, match=r"train must be datamodels of the 300 training examples"):
        leakage(dm, train=dm)


def test_targets_with_few_weights_cannot_be_told():
    weight = np.zeros((N, T))
    weight[:4, :] = 1.0
    weight[:30, 0] = np.linspace(1, 2, 30)
    found = leakage(datamodels(weight))
    assert (found.tested, found.targets) == (1, T)
    assert set(found.target) == {0}
    empty = leakage(datamodels(np.zeros((N, T))))
    assert empty.tested == 0
    assert empty.table()["q"].size == 0
    empty.figure()
    with pytest.raises(InputError, match="fdr must be between"):
        leakage(datamodels(weight), fdr=1.0)
    with pytest.raises(InputError, match="copies must be in"):
        leakage(datamodels(weight), copies=0)


def test_recall_at_a_rate_of_false_positives():
    clean = np.arange(110) < 100
    score = np.concatenate([np.arange(100.0), [98.5, 99.5, 200, 97, 300, 98.2, 98.7, 99, 98.9, 98.1]])
    right = np.ones(110, bool)
    right[104] = False
    assert recall_at(score, clean, right, 0.01) == pytest.approx(0.2)  # above 99, the highest but none of a hundred
    with pytest.raises(InputError, match="needs both clean targets"):
        recall_at(score, np.ones(110, bool), right)


def test_training_without_the_suspects_shows_that_they_matter(make_study, trained_here):
    weight = np.random.default_rng(0).normal(size=(60, 30))
    weight[7, 3] = weight[9, 4] = 1000.0
    study = make_study(task=world_of(weight), models=20, segment=64)
    found = leakage(Datamodels(weight, np.ones(30), np.zeros(30), {"output": "test_margins"}), study)
    checked = found.verify(3)
    suspects = [(job.target, *job.units) for job in checked.removals if job.kind == "suspect"]
    assert {(3, 7), (4, 9)} <= set(suspects)
    effect = dict(zip(suspects, checked.observed.mean(axis=1), strict=False))
    assert effect[3, 7] == pytest.approx(-1000, abs=2)
    none = leakage(Datamodels(weight * 0, np.ones(30), np.zeros(30)), study)
    with pytest.raises(InputError, match="so there is nothing to leave out"):
        none.verify()
