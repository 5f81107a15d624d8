"""Counterfactuals on a world whose effects are known, and how agreement and its ceiling are reckoned."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

import worlds
from subtrain import Datamodels
from subtrain.errors import InputError
from subtrain.uses.counterfactual import counterfactuals
from subtrain.uses.kit.effect_agreement import agreement
from subtrain.uses.kit.removals import Removal, default_sizes, removals

N, T = 40, 6
WEIGHT, BIAS = worlds.weights(N, T)
KNOWN = Datamodels(WEIGHT.astype(np.float32), BIAS, np.zeros(T), {"output": "test_margins"})


@pytest.fixture
def study(make_study):
    return make_study(done=False, task=worlds.linear(N, T, noise=0.3))


def test_removals_are_the_largest_weights_of_either_sign():
    jobs = removals(KNOWN, None, [2], sizes=[2, 4, 30], random=2)
    by_kind = {kind: [job.units for job in jobs if job.kind == kind] for kind in ("helpful", "harmful", "random")}
    order = np.argsort(-WEIGHT[:, 2])
    positive = int((WEIGHT[:, 2] > 0).sum())
    assert [len(units) for units in by_kind["helpful"]] == sorted({2, 4, positive})
    assert by_kind["helpful"][1] == order[:4].tolist()
    assert by_kind["harmful"][0] == order[::-1][:2].tolist()
    assert [len(units) for units in by_kind["random"]] == [2, 2, 4, 4, 30, 30]
    assert removals(KNOWN, None, [3], sizes=[4])[-1].units == removals(KNOWN, None, [5], sizes=[4])[-1].units
    assert default_sizes(50_000) == [10, 20, 40, 80, 160, 320, 640, 1280, 2560]
    assert default_sizes(30) == [3]


@pytest.mark.parametrize("base", ["full", "alpha"])
def test_true_weights_predict_what_retraining_shows(study, trained_here, base):
    found = counterfactuals(KNOWN, study, range(T), sizes=[2, 5], base=base).verify(8)
    assert found.runs == 8
    table = found.table()
    error = np.sqrt(sum(found.noise))
    assert np.abs((table["observed"] - table["predicted"]) / np.maximum(error, 1e-6)).max() < 6
    inside = (table["low"] <= table["predicted"]) & (table["predicted"] <= table["high"])
    assert inside.mean() > 0.8
    judged = found.agreement
    assert judged.pearson.value > 0.95
    assert judged.slope.low < 1 < judged.slope.high or abs(judged.slope.value - 1) < 0.1
    assert judged.pearson.value <= judged.ceiling + 0.02
    if base == "full":  # a mask of each removal; the random ones serve all targets; and the control
        different = {tuple(sorted(job.units)) for job in found.removals}
        assert trained_here == [8 * (len(different) + 1)]
    assert f"removed from the {base} set" in found.figure().axes[0].get_title()
    assert "8 runs each" in repr(found)
    slopes = found.slopes()
    assert set(slopes) == {(kind, size) for kind in ("helpful", "harmful") for size in (2, 5)}
    assert all(abs(slope - 1) < 0.15 for slope in slopes.values())
    half = replace(found, predicted=2 * found.predicted).slopes()
    assert all(np.isclose(half[key], slopes[key] / 2) for key in slopes)
    assert "slope by units removed, helpful 2: " in repr(found)
    json.dumps(found.to_json(), allow_nan=False)


def test_wrong_datamodels_are_found_out(study, trained_here):
    shuffled = np.random.default_rng(0).permutation(KNOWN.weight)
    found = counterfactuals(Datamodels(shuffled, BIAS, KNOWN.lam), study, range(T), sizes=[2, 5]).verify(4)
    assert abs(found.agreement.spearman.value) < 0.6
    assert found.agreement.ceiling > 0.9


def test_removals_of_ones_own_and_prediction_alone(study, trained_here):
    jobs = [Removal(0, [1, 2]), Removal(3, [5], "mine")]
    found = counterfactuals(KNOWN, study, jobs)
    assert trained_here == []
    assert np.allclose(found.predicted, [-WEIGHT[[1, 2], 0].sum(), -WEIGHT[5, 3]])
    assert list(found.table()) == ["target", "kind", "size", "predicted"]
    assert "predicted, not retrained" in repr(found)
    found.figure()
    with pytest.raises(InputError, match="nothing was retrained: verify"):
        _ = found.agreement


def test_what_is_refused(study, make_study):
    with pytest.raises(InputError, match="either removals or numbers"):
        counterfactuals(KNOWN, study, [Removal(0, [1]), 3])
    with pytest.raises(InputError, match="base='half'"):
        counterfactuals(KNOWN, study, [1], base="half")
    with pytest.raises(InputError, match="targets are numbered 0 to 5, got 6"):
        counterfactuals(KNOWN, study, [6])
    with pytest.raises(InputError, match="over 40 units, the study over 20"):
        counterfactuals(KNOWN, make_study(done=False, name="other"))
    with pytest.raises(InputError, match="a direction is helpful or harmful here"):
        removals(KNOWN, None, [1], directions=["sideways"])


def test_agreement_is_scipys_and_its_ceiling_what_noise_leaves():
    random = np.random.default_rng(5)
    target = np.repeat(np.arange(200), 6)
    truth = random.normal(size=1200)
    noisy = truth + random.normal(scale=0.7, size=1200) + 0.4 * random.normal(size=200)[target]
    found = agreement(2 * truth, noisy, target, np.full(1200, 0.49), np.full(1200, 0.16))
    assert np.isclose(found.spearman.value, spearmanr(truth, noisy).statistic)
    assert np.isclose(found.pearson.value, pearsonr(truth, noisy).statistic)
    each = [spearmanr(truth[target == t], noisy[target == t]).statistic for t in range(200)]
    assert np.isclose(found.target_spearman.value, np.mean(each))
    # A perfect predictor reaches its ceiling, pooled; per target six points make it biased by a little.
    assert abs(found.pearson.value - found.ceiling) < 0.02
    assert abs(found.target_pearson.value - found.target_ceiling) < 0.06
    assert np.isclose(found.slope.value, 0.5, atol=0.04)
    assert found.spearman.low < found.spearman.value < found.spearman.high
