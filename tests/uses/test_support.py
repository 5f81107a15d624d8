"""Data support and brittleness: found exactly in known worlds, and certified there."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import worlds
from subtrain import Datamodels, Output
from subtrain.errors import InputError
from subtrain.tasks import batch, sklearn
from subtrain.uses.brittleness import brittleness
from subtrain.uses.kit.intervals import proportion
from subtrain.uses.kit.support_search import SupportSearch
from subtrain.uses.support import smallest, support

N, T = 40, 8
WEIGHT, _ = worlds.weights(N, T)
HELPFUL = np.maximum(WEIGHT, 0).sum(axis=0)
# Margins on everything: half, 1.5 times, and none of what the helpful units give; the rest of the bias makes it so.
MARGIN = np.array([0.5, 1.5, -0.2, 0.3, 0.7, 0.9, 0.1, 0.4]) * HELPFUL
BIAS = MARGIN - WEIGHT.sum(axis=0)
KNOWN = Datamodels(WEIGHT.astype(np.float32), BIAS, np.zeros(T), {"output": "test_margins"})


def planted(shift=0.0):
    """The linear world with these biases; `shift` moves every margin by a part of itself."""

    def train(masks, seeds):
        return {"test_margins": masks @ WEIGHT + BIAS + shift * MARGIN}

    return batch(train, N, {"test_margins": Output((T,), "float64")})


def by_hand(target, margin):
    left, ranked = margin, np.sort(WEIGHT[:, target])[::-1]
    for k, weight in enumerate(ranked, 1):
        left -= max(weight, 0)
        if left < 0:
            return k
    return -1


def test_the_support_is_the_smallest_set_that_flips(make_study, trained_here):
    study = make_study(done=False, task=planted())
    found = support(KNOWN, study).verify(2)
    assert np.allclose(found.margin, MARGIN, atol=1e-5)
    assert found.size.tolist() == [0 if t == 2 else by_hand(t, MARGIN[t]) for t in range(T)]
    assert found.size[1] == -1
    assert (found.after[1.0][found.size > 0] < 0).all()  # the world is linear: every estimate holds
    assert np.isnan(found.after[1.0][[1, 2]]).all()
    for share in found.certified.values():
        assert share.value == 6 / 7, "of all that are right: for one no set is predicted, which is not flipped"
    assert "x1 flips 86%" in repr(found)
    assert "of the 7 targets that are right" in repr(found)
    assert set(found.table()) == {"target", "margin", "support", "how", "control", "after_x1", "after_x1.2"}
    assert found.table()["how"].tolist()[:3] == ["predicted", "no set predicted", "wrong already"]
    found.figure()
    one_less = np.array(sorted(range(N), key=lambda u: -WEIGHT[u, 0])[: found.size[0] - 1], int)
    assert MARGIN[0] - WEIGHT[one_less, 0].sum() > 0


def test_a_margin_that_is_mispredicted_is_calibrated(make_study, trained_here):
    study = make_study(done=False, task=planted(shift=0.2))
    plain = support(KNOWN, study).verify(1)
    assert plain.certified[1.0].value < 1
    assert plain.certified[1.0].value <= plain.certified[1.2].value
    calibrated = support(KNOWN, study, calibrate=1).verify(1)
    assert np.allclose(calibrated.margin, 1.2 * MARGIN, atol=1e-5)
    assert calibrated.certified[1.0].value == 5 / 7, "of two not all helpful units together suffice"
    assert trained_here[0] == 1 and 0 in trained_here  # noqa: PT018  the control is trained once for both


def test_estimates_alone_train_nothing(make_study, trained_here):
    found = support(KNOWN, make_study(done=False, task=planted()), [0, 3])
    assert trained_here == [] and "none retrained" in repr(found)  # noqa: PT018
    found.figure()


# Linear up to a bend below zero: a set that no sum of weights predicts flips target 1, and noise hides the exact size.
def noisy(shift=0.4, noise=0.0):
    def train(masks, seeds):
        pairs = zip(masks, seeds, strict=True)
        own = np.stack([np.random.default_rng([seed, *np.flatnonzero(m)]).normal(size=T) for m, seed in pairs])
        return {"test_margins": masks @ WEIGHT + BIAS + shift * MARGIN + noise * own}

    return batch(train, N, {"test_margins": Output((T,), "float64")})


def true_size(target, margin):
    """The smallest number of units in the order of weights that flips this margin, also by units of negative weight."""
    left = margin - np.cumsum(np.sort(WEIGHT[:, target])[::-1])
    return int(np.flatnonzero(left < 0)[0]) + 1 if (left < 0).any() else -1


def test_certify_finds_the_smallest_set_and_none_where_there_is_none(make_study, trained_here):
    study = make_study(done=False, task=noisy())
    found = support(KNOWN, study).certify(runs=1, rounds=9)
    expected = [0 if t == 2 else true_size(t, 1.4 * MARGIN[t]) for t in range(T)]
    assert found.size.tolist() == expected
    assert -1 in expected
    shares = found.certified
    assert shares[1.0].value == shares[1.2].value == np.mean([k > 0 for k in expected if k != 0])
    assert "found by retraining in 9 rounds" in repr(found)
    assert found.table()["how"][expected.index(-1)] == "no set found by retraining"
    assert found.to_json()["support"][expected.index(-1)] is None
    before = sum(trained_here)
    again = support(KNOWN, study).certify(runs=1, rounds=9)
    assert again.size.tolist() == expected
    assert sum(trained_here) == before, "what was trained is found again"
    assert before <= support(KNOWN, study).certify_models(1, 9)


def test_certify_of_noisy_models_is_verified_by_models_that_it_did_not_see(make_study):
    study = make_study(done=False, task=noisy(noise=0.3))
    found = support(KNOWN, study).certify(runs=8, rounds=7)
    assert found.certified[1.2].value == 5 / 7, "two cannot be flipped"
    exact = np.array([true_size(t, 1.4 * MARGIN[t]) for t in range(T)])
    some = (exact > 0) & (found.size > 0)
    for t in np.flatnonzero(some):
        left = 1.4 * MARGIN[t] - np.cumsum(np.sort(WEIGHT[:, t])[::-1])
        assert left[found.size[t] - 1] < 0.1, "the margin without the set"
        assert found.size[t] <= 1 or left[found.size[t] // 2 - 1] > -1.0, "and the set is not far too large"
    with pytest.raises(InputError, match="runs must be 1 or more"):
        found.certify(0)


def test_the_search_ends_at_the_smallest_size_that_flips():
    truth = np.array([1, 2, 7, 36, 90, 1000])
    for start in (0, 1, 30, 90):
        search = SupportSearch.begin(np.full(6, start), 100)
        for _ in range(12):
            search = search.told((search.asked >= truth) & (search.asked > 0))
        assert not search.asked.any()
        assert search.flips[-1] == 0
        assert (np.abs(search.flips[:-1] - truth[:-1]) <= 0.05 * truth[:-1]).all()


def test_smallest():
    weights = np.array([[3.0, 1.0], [2.0, 0.5], [-1.0, -5.0]])
    assert smallest(np.array([4.9, 1.5]), weights).tolist() == [2, -1]
    assert smallest(np.array([3.0, 0.9]), weights).tolist() == [2, 1]


def test_what_is_refused(make_study):
    study = make_study(done=False, task=planted())
    with pytest.raises(InputError, match="train_logits is not margins"):
        support(Datamodels(KNOWN.weight, BIAS, KNOWN.lam, {"output": "train_logits"}), study)
    with pytest.raises(InputError, match="runs must be 1 or more"):
        support(KNOWN, study).verify(0)
    with pytest.raises(InputError, match="factors must be positive"):
        support(KNOWN, study).verify(1, factors=[0.0])
    with pytest.raises(InputError, match="targets are numbered 0 to 7, got 8"):
        support(KNOWN, study, [8])
    with pytest.raises(InputError, match="records no test_logits"):
        brittleness(KNOWN, study, [0])
    with pytest.raises(InputError, match="cannot relabel"):
        brittleness(KNOWN, study, [0], labels=[1]).verify(1)


def test_wilsons_interval():
    found = proportion(67, 100)
    assert (found.value, round(found.low, 3), round(found.high, 3)) == (0.67, 0.573, 0.754)
    assert np.isnan(proportion(0, 0).value)


def test_mislabeled_neighbours_flip_a_target(make_study, trained_here):
    """A target whose helpful examples are its own class: relabelling them to the runner-up flips it at a known size."""
    images, labels = load_digits(n_class=2, return_X_y=True)
    x, y = images[:30] / 16, labels[:30]
    x_test, y_test = images[100:104] / 16, labels[100:104]
    task = sklearn(LogisticRegression(), x, y, x_test, y_test, ["test_margins", "test_logits"])
    study = make_study(models=10, task=task, heldout=0, segment=10)
    same = (y[:, None] == y_test) * (1 + 0.01 * np.arange(30)[:, None])  # an order, the target's own class first
    dm = Datamodels(same.astype(np.float32), np.zeros(4), np.zeros(4), {"output": "test_margins"})
    sizes = [1, 4, 10]
    asked = brittleness(dm, study, sizes=sizes)
    assert "as removal would, not retrained" in repr(asked)
    assert np.allclose(asked.after[:, 0], same.sum(axis=0) - same.max(axis=0))
    asked.figure()
    found = asked.verify(1)
    assert np.array_equal(found.label, 1 - y_test)
    assert (found.control > 0).all()
    assert (found.support > 1).all()
    for target in range(4):
        for k, size in enumerate(sizes):
            units = np.argsort(-same[:, target], kind="stable")[: min(size, int((same[:, target] > 0).sum()))]
            changed = y.copy()
            changed[units] = 1 - y_test[target]
            score = LogisticRegression().fit(x, changed).decision_function(x_test[[target]])[0]
            assert np.isclose(found.after[target, k], score if y_test[target] else -score, atol=2e-2)
    assert "mislabeled" in repr(found)
    assert found.table()["support"].shape == (4,)
    found.figure()
