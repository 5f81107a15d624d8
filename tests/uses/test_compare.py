"""Two planted algorithms that differ in one group of units: the group is found, and retraining confirms it."""

import numpy as np
import pandas as pd
import pytest

from subtrain import Datamodels, fit
from subtrain.errors import InputError
from subtrain.uses.compare import compare
from uses.planted import world_of

GROUP, ITS_TARGETS = np.arange(10), np.arange(15)


def weights(seed=0):
    """Weights [60, 40] of B, and of A, which learns targets 0 to 14 from units 0 to 9 as well."""
    random = np.random.default_rng(seed)
    plain = np.where(random.random((60, 40)) < 0.3, random.normal(size=(60, 40)), 0.0)
    plain[GROUP] *= 0.1
    more = plain.copy()
    more[np.ix_(GROUP, ITS_TARGETS)] += 1.0
    return more, plain


def datamodels(weight):
    zero = np.zeros(weight.shape[1])
    return Datamodels(weight, zero, zero, {"output": "test_margins", "models": 9})


def test_the_group_that_only_one_algorithm_learns_from_is_found():
    a, b = weights()
    found = compare(datamodels(a), None, datamodels(b), components=3)
    assert set(found.units(0, 10)) == set(GROUP)
    assert set(found.subpopulation(0, 15)) == set(ITS_TARGETS)
    assert found.of_a.own[0] > 10 * found.of_a.other[0]
    assert np.allclose(found.similarity[15:], 1)
    assert found.similarity[:15].max() < 0.9
    residual = found.similarity[:, None] * (b / np.linalg.norm(b, axis=0)).T
    residual = (a / np.linalg.norm(a, axis=0)).T - residual
    _, vectors = np.linalg.eigh(residual.T @ residual)
    assert abs(vectors[:, -1] @ found.of_a.vectors[0]) == pytest.approx(1)
    unit = (b / np.linalg.norm(b, axis=0)).T @ found.of_a.vectors[0]
    assert found.of_a.other[0] == pytest.approx((unit**2).mean())
    turned = compare(datamodels(b), None, datamodels(a), components=3)
    assert np.array_equal(turned.of_b.own, found.of_a.own)
    assert np.array_equal(turned.units(0, 10, "b"), found.units(0, 10))


def test_an_algorithm_does_not_differ_from_itself():
    a, _ = weights()
    found = compare(datamodels(a), None, datamodels(3 * a), components=2)
    assert np.allclose(found.similarity, 1)
    assert found.of_a.own == pytest.approx(found.of_a.other)


def test_table_and_figure():
    a, b = weights()
    found = compare(datamodels(a), None, datamodels(b), None, 2, ("cnn", "mlp"), [f"t{k}" for k in range(40)])
    table = pd.DataFrame(found.table())
    assert list(table["own to"]) == ["cnn"] * 2 + ["mlp"] * 2
    assert table["share of cnn"][0] == found.of_a.own[0]
    assert table["share of mlp"][2] == found.of_b.own[0]
    first = table["targets"][0].split()[0]
    assert first == f"{found.subpopulation(0, 1)[0]}:t{found.subpopulation(0, 1)[0]}"
    assert "\n" not in repr(found)
    assert "40 targets" in repr(found)
    assert "40 targets" in found.figure()._suptitle.get_text()


@pytest.mark.filterwarnings("ignore::subtrain.regression.fit_warnings.FitWarning")
def test_retraining_confirms_it(make_study, trained_here):
    worlds = [world_of(weight) for weight in weights()]
    studies = [
        make_study(name=name, task=task, models=300, heldout=3, segment=500)
        for name, task in zip("ab", worlds, strict=True)
    ]
    found = compare(fit(studies[0]), studies[0], fit(studies[1]), studies[1], components=2)
    check = found.verify(3, units=10, targets=15)
    assert trained_here == [3 * (1 + 1 + 5)] * 2
    (of_a, random_a), (of_b, random_b) = check.effects.values()
    for of, weight, study in zip((of_a, of_b), weights(), studies, strict=True):
        spread = study.read("test_margins").std(axis=0)[check.targets]
        assert of.value == pytest.approx((-weight[GROUP][:, check.targets].sum(axis=0) / spread).mean(), abs=0.1)
    assert of_a.high < -3 < -1 < of_b.low
    assert max(abs(random_a.value), abs(random_b.value)) < 1
    table = pd.DataFrame(check.table())
    assert list(table.algorithm) == ["A", "A", "B", "B"]
    assert list(table.effect) == [effect.value for pair in check.effects.values() for effect in pair]
    assert "3 runs" in repr(check)
    assert "15 of 40 targets" in check.figure()._suptitle.get_text()
    back = found.verify(2, side="b", units=10, targets=5)
    assert "of B without A" in repr(back)


def test_what_cannot_be_is_refused(make_study):
    a, b = weights()
    with pytest.raises(InputError, match="over 60 units and 40 targets, those over 59 and 40"):
        compare(datamodels(a), None, datamodels(b[:59]))
    with pytest.raises(InputError, match="have 1 to 40 directions, got 41"):
        compare(datamodels(a), None, datamodels(b), components=41)
    found = compare(datamodels(a), None, datamodels(b), components=2)
    with pytest.raises(InputError, match="directions are numbered 0 to 1, got 2"):
        found.units(2)
    with pytest.raises(InputError, match="side must be 'a' or 'b'"):
        found.units(0, side="c")
    study = make_study(done=False)
    a, b = (Datamodels(weight[:20], np.zeros(40), np.zeros(40), {"output": "test_margins"}) for weight in (a, b))
    with pytest.raises(InputError, match="ask with other_study="):
        compare(a, study, b, components=2).verify()
    with pytest.raises(InputError, match="has 0 finished models"):
        compare(a, study, b, study, 2).verify(units=5)
    study = make_study(name="done")
    with pytest.raises(InputError, match="runs must be 1 or more"):
        compare(a, study, b, study, 2).verify(0, units=5)
    with pytest.raises(InputError, match="removing takes 1 to 10 of 20 units"):
        compare(a, study, b, study, 2).verify(units=11)
