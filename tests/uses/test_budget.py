"""Budgets from curves whose continuation is known."""

from __future__ import annotations

import numpy as np
import pytest

import worlds
from subtrain import budget, compare_alphas, guess, learning_curve
from subtrain.collection import train_segment
from subtrain.errors import InputError
from subtrain.evaluation import Interval, evaluate
from subtrain.formatting import duration
from subtrain.guesses import Guess, load_guess, save_guess
from subtrain.uses import alphas as alphas_module
from subtrain.uses.budget import from_curve, lds_after, machine_rate
from subtrain.uses.kit.guess_plan import GuessWorth, best_within, cheapest, worth
from subtrain.uses.kit.saturating_curve import needed
from subtrain.uses.learning_curve import LearningCurve, Point

SIZES = np.array([250, 500, 1000, 2000, 4000])


def curve(parameters, error=0.0, seed=0, ceiling=0.98):
    value = lds_after(SIZES.astype(float), np.array(parameters))
    random = np.random.default_rng(seed)
    value = value + error * (0.8 * random.normal() + 0.6 * random.normal(size=value.size))
    points = [
        Point(int(m), Interval(v, v - 1.96 * (error or 0.005), v + 1.96 * (error or 0.005)), ceiling)
        for m, v in zip(SIZES, value, strict=True)
    ]
    return LearningCurve("test_margins", 50, 100, 5, tuple(points))


def test_a_known_curve_is_carried_on():
    truth = (0.9, 3000.0, 0.9)
    found = from_curve(curve(truth), 0.8, 4000, rate=10.0)
    exact = 3000.0 * ((0.9 / 0.8) ** 2 - 1) ** (-1 / 0.9)
    assert found.models.value == pytest.approx(exact, rel=0.1)
    assert found.models.low < exact < found.models.high
    assert found.seconds == pytest.approx((found.models.value - 4000) / 10)
    assert "to reach LDS 0.8 you need about" in repr(found)
    assert f"], {duration(found.seconds)} on this machine; you have 4,000 to fit on; mean over 50 targets" in repr(
        found
    )
    assert set(found.to_json()) == {"models", "lds", "low", "high", "predicted"}
    assert found.figure().axes


def test_intervals_hold_the_truth_where_the_curve_is_noisy():
    truth, exact = (0.9, 3000.0, 0.9), 3000.0 * ((0.9 / 0.8) ** 2 - 1) ** (-1 / 0.9)
    inside = 0
    for seed in range(8):
        found = from_curve(curve(truth, 0.008, seed), 0.8, 4000)
        inside += found.models.low <= exact <= found.models.high
    assert inside >= 7


def test_a_score_beyond_the_limit_is_out_of_reach():
    found = from_curve(curve((0.7, 500.0, 1.2)), 0.9, 4000)
    assert found.models.value == np.inf
    assert found.limit == pytest.approx(0.7, abs=0.03)
    assert "out of reach: more models lead to about 0.7" in repr(found)
    assert found.figure().axes


def test_a_study_answers_its_own_question(make_study):
    study = make_study(task=worlds.linear(n=60, targets=6, noise=4.0), models=1600, heldout=60, segment=4096)
    there = learning_curve(study, [1200]).points[0].lds.value
    early = budget(study, there, sizes=[50, 75, 100, 150, 200, 300])
    assert early.have == 1600
    assert early.models.low <= 1200 <= early.models.high
    assert 400 < early.models.value < 3600
    assert machine_rate(study) > 0


def test_the_guesses_of_the_study_are_said_beside_the_curve(make_study):
    study = make_study(task=worlds.linear(n=60, targets=6, noise=4.0), models=200, heldout=20, segment=4096)
    tables = [np.random.default_rng(k).normal(size=(study.n, 6)).astype(np.float32) for k in range(2)]
    for name, output in (("mine", "test_margins"), ("other", "another")):
        meta = {"output": output, "models": [0, 1], "study_id": study.identity}
        save_guess(study, Guess(*tables, np.ones(study.n, np.int64), meta), name)
    found = budget(study, 0.5, sizes=[50, 75, 100, 200])
    assert list(found.guesses) == ["mine"]
    mine = found.guesses["mine"]
    assert mine.models == 2
    assert mine.lds == evaluate(load_guess(study, "mine"), study, bootstrap=0).lds.value
    assert np.isnan(mine.table)
    assert "the guess mine of 2 models has an LDS of" in found.finding()
    assert found.plan is None, "nobody knows what a table costs, and the LASSO does not reach it"


CURVE = np.array([0.9, 200.0, 1.6])


def of(models: int, level: float = 0.89, noise: float = 1.0, table: float = 2.0) -> GuessWorth:
    """A guess whose LDS by itself follows level / sqrt(1 + noise / models)."""
    lds = level / np.sqrt(1 + noise / models)
    return GuessWorth(models, lds, needed(lds, CURVE), table)


def test_a_guess_is_worth_the_models_that_the_lasso_needs_for_its_score() -> None:
    tables = np.zeros((3, 2), np.float32)
    guess = Guess(tables, tables, np.zeros(3, np.int64), {"models": [0, 1, 2, 3], "seconds_each": 3.0})
    found = worth(guess, 0.8, CURVE, 0.5)
    assert lds_after(np.array(found.worth), CURVE) == pytest.approx(0.8)
    assert found.table == pytest.approx(3 / 0.5 - 1), "one training is that of the model itself"
    assert worth(guess, -0.1, CURVE, 0.5).worth == 0
    assert worth(guess, 0.95, CURVE, 0.5).worth == np.inf
    assert np.isnan(worth(guess, 0.8, CURVE, np.nan).table)


def test_the_cheapest_plan_is_that_of_a_search() -> None:
    guesses = [of(10), of(40)]
    for lds in (0.5, 0.8, 0.85, 0.88, 0.89, 0.897):
        lasso = needed(lds, CURVE)
        costs = {0: max(50, lasso)}
        for count in range(1, 201):
            alone = of(count)
            costs[count] = max(50, count, 0 if alone.lds >= lds else lasso - alone.worth) + 2 * count
        found = cheapest(lds, CURVE, guesses)
        assert found.trainings == pytest.approx(min(costs.values()), rel=1e-6)
        assert costs[found.guess] == pytest.approx(found.trainings, rel=1e-6)
        assert found.trainings == pytest.approx(found.models + 2 * found.guess)
    # Tables that cost little are many, and tables that cost a thousand trainings none.
    assert cheapest(0.88, CURVE, guesses, table=0.01).guess > cheapest(0.88, CURVE, guesses).guess > 0
    assert cheapest(0.88, CURVE, guesses, table=1e4).guess == 0
    assert cheapest(0.5, CURVE, guesses, table=1e4).models == pytest.approx(needed(0.5, CURVE))
    assert cheapest(0.95, CURVE, guesses) is None


def test_guesses_of_one_size_and_useless_ones_plan_too() -> None:
    assert cheapest(0.85, CURVE, [of(40)]).guess == pytest.approx(cheapest(0.85, CURVE, [of(10), of(40)]).guess, abs=3)
    useless = GuessWorth(20, -0.02, 0.0, 2.0)
    assert cheapest(0.85, CURVE, [useless]).guess == 0
    assert cheapest(0.85, CURVE, [useless, of(10), of(40)]) == cheapest(0.85, CURVE, [of(10), of(40)])


def test_what_a_time_gives_is_the_best_score_that_it_pays() -> None:
    guesses = [of(10), of(40)]
    for trainings in (60, 100, 300, 3000):
        lds = best_within(trainings, CURVE, guesses, None)
        assert cheapest(lds, CURVE, guesses).trainings <= trainings
        more = cheapest(lds + 0.001, CURVE, guesses)
        assert more is None or more.trainings > trainings
    assert best_within(0.1, CURVE, guesses, None) == 0


def test_a_study_plans_models_and_tables(make_study) -> None:
    study = make_study(task=worlds.guessable(n=60, targets=6, noise=4.0), models=800, heldout=60, segment=4096)
    guess(study, 10, progress=False, engine="inline")
    sizes = [50, 100, 200, 400, 800]
    found = budget(study, 0.9, sizes=sizes, table_cost=1.5)
    assert found.plan.guess > 0
    assert found.plan.trainings < found.models.value
    assert found.plan.trainings == pytest.approx(found.plan.models + 1.5 * found.plan.guess)
    said = found.finding()
    assert "by itself, which " in said
    assert f"models and a guess of {found.plan.guess}: as much as " in said
    timed = budget(study, sizes=sizes, table_cost=1.5, seconds=100 / machine_rate(study))
    assert timed.plan.trainings <= 100
    assert 0.5 < timed.lds < 1
    for wrong, sentence in (
        ({}, "give either lds"),
        ({"lds": 0.5, "seconds": 1.0}, "give either lds"),
        ({"seconds": -1.0}, "seconds must be above 0"),
        ({"seconds": 1e-9, "sizes": sizes}, "less than a few models take"),
        ({"lds": 0.5, "table_cost": -1.0}, "table_cost must be a number of trainings"),
    ):
        with pytest.raises(InputError, match=sentence):
            budget(study, **wrong)


def test_what_cannot_be_told_is_said(make_study):
    study = make_study(models=60)
    with pytest.raises(InputError, match="60 models are too few"):
        budget(study, 0.5)
    with pytest.raises(InputError, match="between 0 and 1"):
        budget(study, 1.5)
    with pytest.raises(InputError, match="pilots of 50"):
        compare_alphas(study, [0.5], pilot=10)


def test_pilots_of_each_alpha_are_compared(make_study, monkeypatch):
    def here(study, **options):
        missing = [where for where in study.segments if where not in study.rows.whole()]
        (study.path / "segments").mkdir(exist_ok=True)
        for where in missing:
            train_segment(study, where)

    monkeypatch.setattr(alphas_module, "collect", here)
    study = make_study(task=worlds.linear(n=30, targets=4, noise=1.0), models=50)
    found = compare_alphas(study, [0.2, 0.5], pilot=150)
    assert found.alpha.tolist() == [0.2, 0.5]
    assert np.all(found.lds > 0.5)
    assert np.all(found.lds < found.ceiling + 0.05)
    # Linear outputs vary most at one half, and the noise is the same at each.
    assert found.noise_share[0] > found.noise_share[1]
    assert found.best in (0.2, 0.5)
    assert "pilots" in str(next(study.path.glob("pilots/alpha-0.2-150")))
    assert repr(found).startswith("Alphas(test_margins, best 0.")
    assert found.figure().axes


def test_pilots_of_a_design_with_orthogonal_masks_draw_theirs(make_study, monkeypatch):
    drawn = []

    def none(study, **options):
        drawn.append(study.design)
        raise InputError("enough")

    monkeypatch.setattr(alphas_module, "collect", none)
    study = make_study(done=False, task=worlds.linear(n=120), models=120, kind="paley")
    with pytest.raises(InputError, match="enough"):
        compare_alphas(study, [0.2], pilot=60)
    assert (drawn[0].alpha, drawn[0].kind, drawn[0].models) == (0.2, "fixed", 60)
