"""Selection, group debiasing and their verification in a world whose weights are known."""

import numpy as np
import pytest

from subtrain import Datamodels, Output, debias_group, select
from subtrain.errors import InputError
from subtrain.tasks import batch
from subtrain.uses.training_sets import compare_training_sets, split_targets

N, T = 20, 8


def weights():
    """Units 0-4 help every target, 5-9 help the first four and hurt the others, the rest does nothing."""
    weight = np.zeros((N, T))
    weight[:5] = 1.0
    weight[5:10, :4], weight[5:10, 4:] = 0.4, -2.0
    return weight


def world(noise=0.1):
    weight = weights()

    def train(masks, seeds):
        bias = np.array([0.5] * 4 + [2.0] * 4)
        noisy = np.stack([np.random.default_rng(int(s)).normal(0, noise, T) for s in seeds])
        return {"test_margins": (masks @ weight - 3 + bias + noisy).astype("float32")}

    return batch(train, N, {"test_margins": Output((T,), "float32")}, 64)


@pytest.fixture
def study(make_study, trained_here):
    return make_study(task=world(), models=40, segment=64)


@pytest.fixture
def dm():
    meta = {"output": "test_margins", "models": 40}
    return Datamodels(weights().astype(np.float32), np.zeros(T), np.zeros(T), meta)


def test_the_units_with_the_best_mean_weight_are_kept(study, dm):
    chosen = select(dm, study, keep=10, targets=[0, 1])
    assert np.flatnonzero(chosen.kept).tolist() == list(range(10))
    for_others = select(dm, study, drop=5, targets=[6, 7])
    assert np.flatnonzero(~for_others.kept).tolist() == list(range(5, 10))
    assert for_others.groups["others"].tolist() == list(range(6))
    assert "keep 15 of 20 units" in repr(for_others)
    assert for_others.table()["unit"][0] in range(5)
    assert for_others.figure().axes


def test_of_losses_less_is_better(study, dm, make_study):
    def train(masks, seeds):
        return {"test_losses": np.ones((len(masks), T), np.float32)}

    task = batch(train, N, {"test_losses": Output((T,), "float32")}, 64)
    other = make_study(task=task, models=20, name="losses")
    losses = Datamodels(dm.weight, dm.bias, dm.lam, {"output": "test_losses"})
    assert not select(losses, other, keep=10, targets=[0]).kept[:10].any()


def test_half_of_the_targets_only_judge_by_default(study, dm):
    chosen = select(dm, study, keep=5)
    parts = list(chosen.groups.values())
    assert sorted(np.concatenate(parts).tolist()) == list(range(T))
    assert parts[0].size == parts[1].size == 4
    assert list(select(dm, study, keep=5, others=0).groups) == ["chosen for"]


def test_retraining_shows_what_the_weights_promise(study, dm):
    chosen = select(dm, study, keep=5, targets=[0, 1])
    found = chosen.verify(6, randoms=8)
    truth = weights()[:5, :2].sum(axis=0).mean() - 2.5
    assert found.mean("selected", "chosen for", "mean").value == pytest.approx(truth, abs=0.1)
    gain = found.gain("selected", "random", "chosen for", "mean")
    assert gain.low > 0
    assert found.gain("worst", "random", "chosen for", "mean").high < 0
    table = found.table()
    assert set(table["trained on"]) == {"selected", "random", "all", "worst"}
    random = (table["trained on"] == "random") & (table["group"] == "chosen for")
    assert table["sets"][random].tolist() == [8, 8]
    assert table["units"][random].tolist() == [5, 5]
    assert "retrained, 95 % intervals" in repr(found)
    assert found.figure().axes


def test_intervals_hold_the_truth_as_often_as_they_say(make_study, trained_here):
    study = make_study(task=world(noise=1.0), models=20, segment=64)
    truth = -2.5 + weights().sum(axis=0)[:1].mean()
    arms = {"all": np.ones(N, bool)}
    inside = []
    for seed in range(40):
        found = compare_training_sets(study, arms, 3, groups={"one": [0]}, seed=seed, name=f"again-{seed}")
        interval = found.mean("all", "one", "mean")
        inside.append(interval.low <= truth <= interval.high)
    assert 0.85 <= np.mean(inside) <= 1


def test_one_run_has_no_interval(study):
    found = compare_training_sets(study, {"all": np.ones(N, bool)}, runs=1)
    assert np.isnan(found.table()["low"]).all()
    assert np.isfinite(found.table()["value"]).all()


def test_the_worst_group_is_helped_at_last(study, dm):
    groups = ["a"] * 4 + ["b"] * 4
    chosen = debias_group(dm, study, groups, drop=5)
    assert list(chosen.groups) == ["b, chosen for", "b, others", "other groups"]
    assert np.flatnonzero(~chosen.kept).tolist() == list(range(5, 10))
    found = chosen.verify(3, randoms=6)
    assert found.mean("all", "b, others").value == 0.0
    assert found.mean("selected", "b, others").value == 1.0
    assert found.gain("selected", "random", "b, others").low > 0
    assert not debias_group(dm, study, groups, drop=10, group="a").kept[10:].all()


def test_leaving_units_out_is_compared_with_leaving_out_random_ones(study):
    groups = split_targets(study, "test_margins", second=[4, 5, 6, 7])
    found = compare_training_sets(study, runs=4, groups=groups, without=range(5, 10), randoms=6)
    assert found.gain("without", "all", "second", "mean").value == pytest.approx(10, abs=0.3)
    assert found.gain("without", "all", "others", "mean").value == pytest.approx(-2, abs=0.3)
    assert found.gain("without", "random", "second", "mean").low > 0
    assert split_targets(study, "test_margins", second=None) is None


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda s, dm: select(dm, s), "the number of units to keep"),
        (lambda s, dm: select(dm, s, keep=2, drop=2), "the number of units to keep"),
        (lambda s, dm: select(dm, s, keep=20), "keeps 1 to 19 of 20"),
        (lambda s, dm: select(dm, s, keep=3, targets=[8]), "targets 0 to 7"),
        (lambda s, dm: select(dm, s, keep=3, others=1.0), "below 1"),
        (lambda s, dm: debias_group(dm, s, ["a"] * 8, drop=2), "at least two different"),
        (lambda s, dm: debias_group(dm, s, ["a"] * 4 + ["b"] * 4, drop=2, group="c"), "there are a, b"),
        (lambda s, dm: compare_training_sets(s, without=[]), "some but not all"),
        (lambda s, dm: compare_training_sets(s, {"all": np.ones(N)}, groups={"none": []}), "no targets in group none"),
        (lambda s, dm: select(Datamodels(dm.weight[:5], dm.bias, dm.lam), s, keep=2), "over 5 units"),
        (lambda s, dm: select(Datamodels(dm.weight, dm.bias, dm.lam), s, keep=2), "records no output"),
    ],
)
def test_what_cannot_be_selected_is_said(study, dm, call, sentence):
    with pytest.raises(InputError, match=sentence):
        call(study, dm)
