"""How good datamodels are, in a world where that is known."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

import worlds
from subtrain import (
    Datamodels,
    Study,
    evaluate,
)
from subtrain.errors import InputError
from subtrain.evaluation import ceilings, correlation, rank, score


def true_datamodels(**meta):
    weight, bias = worlds.weights(20, 3)
    return Datamodels(weight, bias, np.zeros(3), {"output": "test_margins", **meta})


def planted(subsets=200, replicates=5, targets=6, noise=1.0, seed=0):
    """Expected outputs [S, T] and noisy ones [S, R, T] of a world that is linear in masks of 30 units."""
    random = np.random.default_rng(seed)
    masks = random.random((subsets, 30)) < 0.5
    exact = masks @ random.normal(size=(30, targets)) * random.uniform(0.2, 2, targets)
    return exact, exact[:, None] + noise * exact.std(axis=0) * random.normal(size=(subsets, replicates, targets))


@pytest.mark.parametrize("replicates", [1, 2, 5])
def test_scores_are_scipys(replicates):
    exact, outputs = planted(60, replicates)
    prediction = exact + np.random.default_rng(1).normal(size=exact.shape)
    found = score(prediction, outputs, bootstrap=0)
    mean = outputs.mean(axis=1)
    per_target = [spearmanr(prediction[:, t], mean[:, t])[0] for t in range(6)]
    assert np.allclose(found.per_target["lds"], per_target)
    assert np.isclose(found.lds.value, np.mean(per_target))
    one = [[spearmanr(prediction[:, t], outputs[:, r, t])[0] for r in range(replicates)] for t in range(6)]
    assert np.allclose(found.per_target["lds_one"], np.mean(one, axis=1))
    assert np.isclose(found.lds_one.value, np.mean(one))
    assert np.isclose(found.pearson, np.mean([pearsonr(prediction[:, t], mean[:, t])[0] for t in range(6)]))
    assert np.isclose(found.pooled_spearman, spearmanr(prediction.ravel(), mean.ravel())[0])
    assert np.isclose(found.pooled_pearson, pearsonr(prediction.ravel(), mean.ravel())[0])
    assert np.isclose(found.mse, ((prediction - mean) ** 2).mean())
    r2 = 1 - ((prediction - mean) ** 2).sum(axis=0) / ((mean - mean.mean(axis=0)) ** 2).sum(axis=0)
    assert np.isclose(found.r2, r2.mean())
    assert np.isnan(found.lds.low)


def test_ties_share_their_ranks():
    values = np.array([[1.0, 2.0], [1.0, 1.0], [3.0, 2.0], [0.0, 2.0]])
    assert rank(values).tolist() == [[2.5, 3], [2.5, 1], [4, 3], [1, 3]]
    other = np.arange(8.0).reshape(4, 2)
    assert np.allclose(
        correlation(rank(values), rank(other)), [spearmanr(values[:, t], other[:, t])[0] for t in range(2)]
    )


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_a_perfect_predictor_reaches_the_ceiling(noise):
    exact, outputs = planted(2000, 5, noise=noise)
    found = score(exact, outputs, bootstrap=0)
    share = noise**2 / (1 + noise**2)
    assert found.lds.value == pytest.approx(found.lds_ceiling, abs=0.015)
    assert found.lds_one.value == pytest.approx(found.lds_one_ceiling, abs=0.015)
    assert found.noise_share == pytest.approx(share, abs=0.04)
    assert found.pearson == pytest.approx(np.sqrt(1 / (1 + noise**2 / 5)), abs=0.015)
    assert found.mse == pytest.approx(found.mse_floor, rel=0.05)
    assert found.lds_one_ceiling < found.lds_ceiling < 1
    assert np.allclose(found.per_target["lds"], found.per_target["lds_ceiling"], atol=0.05)


def test_no_predictor_beats_the_ceiling_by_chance_alone():
    exact, outputs = planted(500, 5, targets=30)
    worse = exact + exact.std(axis=0) * np.random.default_rng(2).normal(size=exact.shape)
    found = score(worse, outputs, bootstrap=0)
    assert found.lds.value < found.lds_ceiling - 0.1
    assert found.lds_one.value < found.lds_one_ceiling - 0.1


def test_one_replicate_has_no_ceiling():
    exact, outputs = planted(100, 1)
    found = score(exact, outputs)
    assert np.isnan([found.lds_ceiling, found.lds_one_ceiling, found.noise_share, found.mse_floor]).all()
    assert found.lds == found.lds_one
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert told["lds_ceiling"] is None
    assert told["lds"]["value"] == found.lds.value
    assert "per_target" not in told


def test_pure_noise_has_a_ceiling_near_zero():
    random = np.random.default_rng(5)
    of_mean, of_one, noise = ceilings(np.stack([rank(random.normal(size=(400, 50))) for _ in range(4)], axis=1))
    assert of_mean.mean() < 0.15
    assert of_one.mean() < 0.08
    assert noise.mean() > 0.98


def test_the_bootstrap_interval_covers():
    """The score of a fixed predictor over a large population of subsets, found by 95 % intervals from 60 of them."""
    exact, outputs = planted(20_000, 1, targets=1, noise=1.0)
    truth = spearmanr(exact[:, 0], outputs[:, 0, 0])[0]
    hits = 0
    for k in range(100):
        rows = slice(60 * k, 60 * (k + 1))
        found = score(exact[rows], outputs[rows], bootstrap=200, seed=k).lds
        assert found.low < found.value < found.high
        hits += found.low <= truth <= found.high
    assert 86 <= hits <= 100


def test_the_interval_narrows_with_subsets_and_with_targets():
    widths = []
    for subsets, targets in ((50, 2), (500, 2), (500, 60)):
        exact, outputs = planted(subsets, 2, targets)
        found = score(exact, outputs, bootstrap=200)
        widths.append(found.lds.high - found.lds.low)
    assert widths[0] > widths[1] > widths[2] > 0
    exact, outputs = planted(50, 2)
    assert score(exact, outputs).lds == score(exact, outputs).lds, "the bootstrap is seeded"


def test_constant_targets_are_left_out_and_constant_predictions_score_nothing():
    exact, outputs = planted(80, 3)
    outputs[:, :, 2] = 4.0
    prediction = exact.copy()
    prediction[:, 4] = 0.1
    found = score(prediction, outputs)
    lds = found.per_target["lds"]
    assert np.isnan(lds[2])
    assert lds[4] == 0
    assert found.lds.value == pytest.approx(np.nanmean(lds))
    assert np.isfinite([found.lds.low, found.lds.high, found.lds_ceiling, found.r2, found.pearson]).all()
    assert found.lds.low <= found.lds.value <= found.lds.high
    dead = score(prediction, np.ones_like(outputs))
    assert np.isnan([dead.lds.value, dead.lds.low, dead.lds.high, dead.lds_ceiling, dead.r2]).all()
    assert json.loads(json.dumps(dead.to_json(), allow_nan=False))["lds"] == {"value": None, "low": None, "high": None}


def test_predictions_must_fit():
    with pytest.raises(InputError, match=r"predictions must be \[80, 6\] for outputs \[80, 3, 6\], got \[79, 6\]"):
        score(np.zeros((79, 6)), planted(80, 3)[1])


@pytest.mark.parametrize("replicates", [1, 5])
def test_true_datamodels_reach_the_ceiling_of_their_study(make_study, replicates):
    task = worlds.linear(noise=0.7, size=64)
    study = make_study(task=task, models=10, heldout=300, replicates=replicates, segment=500, seed=2)
    found = evaluate(true_datamodels(models=10), study)
    assert (found.output, found.subsets, found.replicates, found.targets) == ("test_margins", 300, replicates, 3)
    assert (found.alpha, found.models_fitted) == (0.5, 10)
    expected = true_datamodels().predict(study.masks(study.done("evaluation")[::replicates]))
    signal = expected.std(axis=0)
    ceiling = np.mean(signal / np.sqrt(signal**2 + 0.7**2 / replicates))
    assert found.pearson == pytest.approx(ceiling, abs=0.04)
    assert found.lds.low < ceiling < found.lds.high
    assert found.mse == pytest.approx(0.7**2 / replicates, rel=0.1)
    assert 0 < found.r2 == pytest.approx(found.pearson**2, abs=0.08)
    if replicates > 1:
        assert found.lds.value == pytest.approx(found.lds_ceiling, abs=0.04)
        assert found.lds_one.value == pytest.approx(found.lds_one_ceiling, abs=0.04)
        assert found.mse_floor == pytest.approx(0.7**2 / 5, rel=0.1)
    mean, random = found.baselines.values()
    assert mean["lds"] == 0
    assert abs(random["lds"]) < 0.25
    assert found.mse < mean["mse"] < random["mse"]
    assert "per target, mean over 3 targets, 300 held-out subsets" in repr(found)


def test_masks_and_outputs_of_a_subset_stay_together(make_study):
    """Without noise the true weights are exact on whatever rows are there, in whatever order they are named."""
    study = make_study(heldout=12, replicates=3, segment=5).extend(heldout=4, replicates=2)
    study.collect(workers=1, progress=False)
    everything = evaluate(true_datamodels(), study)
    assert everything.mse < 1e-10
    assert everything.lds.value == pytest.approx(1)
    assert (everything.subsets, everything.replicates) == (12, 3), "the count of replicates that covers most models"
    shuffled = np.random.default_rng(0).permutation(np.arange(10, 46))
    assert true_datamodels().evaluate(study, rows=shuffled).to_json() == everything.to_json()
    assert evaluate(true_datamodels(), study, rows=np.tile(shuffled, 2)).to_json() == everything.to_json()
    os.unlink(study.path / "segments" / "000010-000014.seg")
    some = evaluate(true_datamodels(), Study.open(study.path))
    assert (some.subsets, some.replicates) == (10, 3)
    assert some.mse < 1e-10
    last = evaluate(true_datamodels(), study, rows=range(46, 54))
    assert (last.subsets, last.replicates, last.mse < 1e-10) == (4, 2, True)


def test_a_few_subsets_with_many_runs_do_not_hide_the_rest(make_study):
    study = make_study(heldout=2, replicates=9).extend(heldout=4, replicates=2)
    study.collect(workers=1, progress=False)
    found = evaluate(true_datamodels(), study)
    assert (found.subsets, found.replicates) == (4, 2)


def test_models_used_in_fitting_are_refused(make_study):
    study = make_study(models=30, heldout=5).extend(models=10)
    study.collect(workers=1, progress=False)
    meta = {"study_id": study.identity, "models_used": [[0, 25], [40, 45]]}
    dm = true_datamodels(**meta)
    for rows in ([0, 31, 33, 35], range(20, 40), [24], study.done(), study.done("fit"), [44]):
        with pytest.raises(InputError, match=r"model \d+ \(and \d+ more\) was used to fit .* or to choose λ; judge on"):
            evaluate(dm, study, rows=rows)
    assert evaluate(dm, study).subsets == 5
    assert evaluate(dm, study, rows=range(25, 30)).subsets == 5, "fit rows that were not used"
    assert evaluate(true_datamodels(**meta | {"study_id": "another"}), study, rows=range(10)).subsets == 10
    with pytest.raises(InputError, match="was used to fit"):
        evaluate(true_datamodels(models_used=[[0, 25]]), study, rows=range(10))


@pytest.mark.parametrize(
    ("dm", "options", "sentence"),
    [
        (Datamodels(np.zeros((19, 3)), np.zeros(3), np.zeros(3)), {}, "over 19 units, the study over 20"),
        (Datamodels(np.zeros((20, 4)), np.zeros(4), np.zeros(4)), {}, "have 4 targets, test_margins has 3"),
        (true_datamodels(), {"output": "train_margins"}, "have 3 targets, train_margins has 20"),
        (true_datamodels(), {"output": "nothing"}, "records no output 'nothing'"),
        (true_datamodels(), {"rows": [10, 11, 12, 13]}, "2 finished held-out subsets are too few to judge on"),
        (true_datamodels(), {"rows": []}, "0 finished held-out subsets are too few"),
        (true_datamodels(), {"rows": [99]}, "row 99 does not exist"),
        (true_datamodels(), {"rows": np.ones(16, bool)}, "rows must be whole numbers"),
    ],
)
def test_what_cannot_be_judged(make_study, dm, options, sentence):
    with pytest.raises(InputError, match=sentence):
        evaluate(dm, make_study(), **options)


def test_a_study_without_held_out_models(make_study):
    with pytest.raises(
        InputError, match="0 finished held-out subsets are too few to judge on: collect them, or extend"
    ):
        evaluate(true_datamodels(), make_study(heldout=0))
