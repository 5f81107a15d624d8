"""Components of planted datamodels are the planted directions, and removing their ends does what was planted."""

import numpy as np
import pandas as pd
import pytest
import sklearn.decomposition

from subtrain import Datamodels, fit
from subtrain.errors import InputError
from subtrain.uses.embedding import embedding
from subtrain.uses.kit.datamodel_vectors import vectors
from uses.planted import opposed_weights, world_of


def datamodels(weight, **meta):
    targets = weight.shape[1]
    return Datamodels(weight, np.zeros(targets), np.zeros(targets), {"output": "test_margins", "models": 9, **meta})


def test_components_are_scikit_learns_of_normalised_rows():
    weight = np.random.default_rng(0).normal(size=(30, 50)) * np.logspace(0, -1, 30)[:, None]
    rows = (weight / np.linalg.norm(weight, axis=0)).T
    expected = sklearn.decomposition.PCA(4).fit(rows)
    found = embedding(datamodels(weight), components=4)
    assert np.allclose(found.share, expected.explained_variance_ratio_)
    assert np.allclose(np.abs(np.sum(found.directions * expected.components_, axis=1)), 1)
    assert np.allclose(np.abs(found.scores), np.abs(expected.transform(rows)))
    assert (np.take_along_axis(found.directions, np.abs(found.directions).argmax(axis=1)[:, None], 1) > 0).all()
    units = embedding(datamodels(weight.T), components=4, of="units")
    assert np.allclose(units.scores, found.scores)


def test_the_planted_direction_is_found():
    found = embedding(datamodels(opposed_weights()), components=3)
    assert found.share[0] > 0.9
    high, low = found.direction_ends(0, 10)
    assert {frozenset(high.tolist()), frozenset(low.tolist())} == {frozenset(range(10)), frozenset(range(10, 20))}
    positive, negative = found.ends(0, 20)
    assert {frozenset(positive.tolist()), frozenset(negative.tolist())} == {
        frozenset(range(20)),
        frozenset(range(20, 40)),
    }
    first = set(range(20)) if high[0] < 10 else set(range(20, 40))
    assert set(positive.tolist()) == first, "targets of positive score are those that the positive units raise"


def test_targets_without_weights_are_left_out():
    weight = opposed_weights()
    weight[:, [3, 39]] = 0
    found = embedding(datamodels(weight), components=2, labels=[f"t{k}" for k in range(40)])
    assert found.vectors.index.size == 38
    assert 3 not in np.concatenate(found.ends(0, 19))
    table = pd.DataFrame(found.table())
    assert table["so far"].iloc[-1] == pytest.approx(found.share.sum())
    number, name = table["positive end"][0].split()[0].split(":")
    assert name == f"t{number}"
    assert "38 targets" in repr(found)
    assert "38 targets" in found.figure()._suptitle.get_text()
    assert embedding(datamodels(weight), components=1).figure()


def test_removing_both_ends_moves_targets_opposite_ways(make_study, trained_here):
    weight = opposed_weights()
    study = make_study(task=world_of(weight), models=300, heldout=3, segment=500)
    dm = fit(study)
    found = embedding(dm, study, 2).verify(3, units=10, targets=15)
    assert trained_here == [3 * (1 + 2 + 5)]
    (up, down), (back_up, back_down) = (found.effects[name] for name in ("positive end", "negative end"))
    assert up.low < -10 < up.high
    assert down.low < 10 < down.high
    assert back_up.low < 10 < back_up.high
    assert back_down.low < -10 < back_down.high
    assert all(effect.low < 0.5 and effect.high > -0.5 for effect in found.effects["random"])
    assert min(found.agreement) > 0.95
    table = pd.DataFrame(found.table())
    assert len(table) == 6
    assert np.abs(table.effect - table.predicted).max() < 1.5
    assert "3 runs" in repr(found)
    assert "\n" not in repr(found)
    assert "retrainings" in found.figure()._suptitle.get_text()


def test_what_cannot_be_is_refused(make_study):
    dm = datamodels(opposed_weights())
    with pytest.raises(InputError, match="have 1 to 39 components, got 40"):
        embedding(dm, components=40)
    with pytest.raises(InputError, match="of must be one of targets, units"):
        embedding(dm, of="rows")
    with pytest.raises(InputError, match="there are 40 targets, but 3 labels"):
        embedding(dm, components=2, labels=["a", "b", "c"])
    with pytest.raises(InputError, match="only 2 of 40 targets have a weight"):
        vectors(datamodels(np.where(np.arange(40) < 2, opposed_weights(), 0)))
    study = make_study(done=False)
    found = embedding(dm, study, 2)
    with pytest.raises(InputError, match="components are numbered 0 to 1, got 2"):
        found.ends(2)
    with pytest.raises(InputError, match="of='targets'"):
        embedding(dm, study, 2, of="units").verify()
    with pytest.raises(InputError, match="removing takes 1 to 10 of 20 units"):
        found.verify(units=11)
    with pytest.raises(InputError, match="nothing can be retrained without a study"):
        embedding(dm, components=2).verify()
