"""Poisons are found in a known world and among real digits, and clean data has no edge to its tightest set."""

import numpy as np
import pytest

from subtrain import Datamodels, MeanDifference, fit, poison
from subtrain.errors import InputError
from subtrain.outputs import Output
from subtrain.tasks import batch
from subtrain.tasks.planted import planted


def hand_in_hand(n=60, poisons=8):
    """Poisons are right about one another as far as others of them are there; everything else has weak friends."""
    weight = np.random.default_rng(0).normal(0, 0.1, (n, n))
    weight[:poisons, :poisons] = 0.5
    np.fill_diagonal(weight, 3)

    def train(masks, seeds):
        return {"train_margins": (masks @ weight).astype("float32"), "test_margins": masks[:, :1].astype("float32")}

    return batch(
        train, n, {"train_margins": Output((n,), "float32"), "test_margins": Output((1,), "float32")}, 64
    ), weight


@pytest.fixture
def world(make_study):
    task, weight = hand_in_hand()
    study = make_study(task=task, models=20, segment=32)
    meta = {"output": "train_margins", "models": 1000}
    return study, Datamodels(weight.astype(np.float32), np.zeros(60), np.zeros(60), meta)


def test_a_planted_set_is_found_with_and_without_its_size(world):
    study, dm = world
    for size in (None, 8):
        found = poison(dm, study, size, known=range(8))
        assert sorted(found.suspects.tolist()) == list(range(8))
        assert (found.precision, found.recall) == (1.0, 1.0)
        assert found.apart > 3
        assert "8 of 60 units" in repr(found)
        assert "precision 1.000, recall 1.000" in repr(found)
    table = found.table()
    assert table["suspect"].tolist() == [True] * 8 + [False] * 52
    assert found.figure().axes


def test_training_without_the_suspects_is_compared(world, trained_here):
    study, dm = world
    found = poison(dm, study, size=8).verify(2, randoms=3, output="train_margins", groups={"poisons": range(8)})
    assert found.sizes == {"all": 60, "without": 52, "random": 52}
    lost = dm.weight[:8, :8].sum(axis=0).mean()
    assert found.gain("without", "all", "poisons", "mean").value == pytest.approx(-lost, abs=1e-4)


def test_support_is_the_mean_of_what_a_unit_gives_and_takes(world):
    study, dm = world
    found = poison(dm, study, size=8)
    w = np.array(dm.weight, np.float64)
    others = np.arange(1, 8)
    assert found.support[0] == pytest.approx((w[0, others].sum() + w[others, 0].sum()) / 2)


def test_a_set_without_an_edge_says_so(make_study):
    task, _ = hand_in_hand()
    study = make_study(task=task, models=20, segment=32)
    noise = np.random.default_rng(1).normal(size=(60, 60)).astype(np.float32)
    found = poison(Datamodels(noise, np.zeros(60), np.zeros(60), {"output": "train_margins"}), study)
    assert found.apart < 2


def test_weights_on_a_groups_examples_are_averaged(make_study):
    task, _ = hand_in_hand()
    study = make_study(task=task, groups=tuple(i // 2 for i in range(60)), models=20, segment=32)
    weight = np.random.default_rng(2).normal(0, 0.1, (30, 60))
    weight[:5, :10] += 1
    dm = Datamodels(weight.astype(np.float32), np.zeros(60), np.zeros(60), {"output": "train_margins"})
    found = poison(dm, study)
    assert sorted(found.suspects.tolist()) == [0, 1, 2, 3, 4]
    assert found.table()["examples"].tolist() == [2] * 30


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": 1}, "2 to 30 of 60 units"),
        ({"known": [60]}, "0 to 59"),
        ({"known": []}, "some but not all"),
    ],
)
def test_what_makes_no_sense_is_said(world, options, sentence):
    study, dm = world
    with pytest.raises(InputError, match=sentence):
        poison(dm, study, **options)


def test_datamodels_of_test_targets_are_refused(world):
    study, _ = world
    dm = Datamodels(np.zeros((60, 1), np.float32), np.zeros(1), np.zeros(1), {"output": "test_margins"})
    with pytest.raises(InputError, match="not one number a training example"):
        poison(dm, study)


def test_a_second_search_goes_on_without_the_first_set(world):
    study, dm = world
    first = poison(dm, study)
    second = poison(dm, study, without=first.suspects)
    assert not np.intersect1d(first.suspects, second.suspects).size


def test_a_backdoor_in_real_digits_is_among_the_first_sets(make_study):
    """Of so few digits with weights so rough, a whole class may be more close-knit than the poisons."""
    task = planted(n=300, targets=20, poisoned=25, widths=(32,), outputs=["train_margins"])
    study = make_study(task=task, models=800, heldout=0, segment=400)
    dm, seen = fit(study, "train_margins", MeanDifference()), []
    for _ in range(3):
        found = poison(dm, study, without=seen, known=range(25))
        seen += found.suspects.tolist()
        if found.recall > 0:
            break
    assert found.recall > 0.9
    assert found.precision > 0.6
    assert found.label[0] == "0"
    assert "labeled 0" in repr(found)


@pytest.mark.slow
def test_a_backdoor_in_real_digits_is_found_to_the_last_example(make_study):
    study = make_study(task=planted(poisoned=25), models=2000, heldout=0, segment=500)
    found = poison(fit(study, "train_margins"), study, known=range(25))
    assert (found.precision, found.recall) == (1.0, 1.0)
    assert found.apart > 2
