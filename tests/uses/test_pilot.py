"""Pilots of worlds whose parts of the variance are known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from commands import ok
from subtrain import Design, Output, pilot
from subtrain.errors import InputError
from subtrain.tasks import batch
from subtrain.uses.kit.design_savings import NONLINEAR, Planned, enough, linear_variance, orders, planned
from subtrain.uses.kit.variance_shares import VarianceShares, interval_of, shares_of
from subtrain.uses.retrain import retrain

N, TARGETS = 120, 40


def drawn(stream, seed, shape=TARGETS):
    return np.random.default_rng([stream, int(seed)]).normal(size=shape)


def world(linear=1.0, even=0.0, seed=0.0, both=0.0, noise=None, n=N):
    """Outputs with these variances: linear effects of units; even ones (products of two); the seed's own; of seed and
    mask together; and noise from elsewhere, a generator that no seed sets."""
    one = np.random.default_rng(0).normal(size=(n, TARGETS)) * np.sqrt(linear / n)
    two = np.random.default_rng(1).normal(size=(n // 2, TARGETS)) * np.sqrt(even / (n // 2))

    def train(masks, seeds):
        signs = 2.0 * masks - 1
        y = signs @ one + (signs[:, : n // 2] * signs[:, n // 2 : 2 * (n // 2)]) @ two
        for k, (mask, each) in enumerate(zip(masks, seeds, strict=True)):
            y[k] += np.sqrt(seed) * drawn(2, each)
            if both:
                y[k] += np.sqrt(both) * np.random.default_rng([3, int(each), *np.packbits(mask)]).normal(size=TARGETS)
        if noise is not None:
            y += noise.normal(size=y.shape)
        return {"test_margins": y.astype(np.float32)}

    return batch(train, n, {"test_margins": Output((TARGETS,), "float32")}, 64)


@pytest.mark.parametrize(
    ("even", "seed", "both"), [(0.0, 0.6, 0.4), (0.2, 0.1, 0.4), (0.1, 0.0, 0.3), (0.1, 0.02, 0.01)]
)
def test_the_shares_are_those_of_the_world(make_study, trained_here, even, seed, both):
    study = make_study(False, task=world(1.0, even, seed, both), heldout=0)
    found = pilot(study, models=256)
    assert (found.masks, found.seeds, sum(trained_here)) == (16, 16, 256)
    truths = (seed + both) / (1 + even + seed + both), seed / (seed + both), even / (1 + even)
    for told, truth in zip((found.noise, found.same, found.even), truths, strict=True):
        assert told.value == pytest.approx(truth, abs=0.08)
    # Interaction that is drawn anew for each mask is half odd and half even.
    assert found.shares.interaction_odd == pytest.approx(found.shares.interaction_even, rel=0.25)


def test_intervals_hold_what_they_promise():
    random, held = np.random.default_rng(0), []
    shares = (lambda made: made.same_share), (lambda made: made.even_share), (lambda made: made.noise_share)
    for _ in range(200):
        odd, even = random.normal(size=(8, 1, 40)), 0.45 * random.normal(size=(8, 1, 40))
        y = np.concatenate([even + odd, even - odd]) + 0.3 * random.normal(size=(1, 8, 40))
        y = y + 0.6 * random.normal(size=(16, 8, 40))
        told = [interval_of(y, True, share) for share in shares]
        truths = 0.09 / 0.45, 0.2025 / 1.2025, 0.45 / (0.45 + 1.2025)
        held.append([one.low <= truth <= one.high for one, truth in zip(told, truths, strict=True)])
    assert (np.mean(held, axis=0) >= 0.92).all()


def test_components_are_unbiased_by_enumeration():
    """Means over many small grids of the same world; two pairs and two seeds are the least there is."""
    random, found = np.random.default_rng(0), []
    for _ in range(400):
        odd, even = random.normal(size=(2, 2, 1, 50))
        both = 0.7 * random.normal(size=(4, 3, 50))
        y = np.concatenate([odd + even, even - odd]) + 1.5 * random.normal(size=(1, 3, 50)) + both
        made = shares_of(y, True)
        total = y.var(axis=(0, 1)).mean()
        found.append([total * part for part in (made.odd, made.even, made.seed, made.interaction)])
    # Parts are relative to each grid's own variance, so that only their ratios are those of the world.
    mean = np.mean(found, axis=0)
    np.testing.assert_allclose(mean / mean[0], [1.0, 1.0, 2.25, 0.49], rtol=0.04)


def test_a_learner_that_ignores_its_seed(make_study, trained_here):
    found = pilot(make_study(False, task=world(1.0, 0.1), heldout=0), models=64)
    assert found.shares.noise < 1e-9
    assert "models on one mask come out alike with every seed" in repr(found)
    assert (found.best.kind, found.best.seeds) == ("paley", "model")
    assert json.dumps(found.to_json())


def test_a_learner_that_nothing_repeats(make_study, trained_here):
    task = world(1.0, 0.1, noise=np.random.default_rng(7))
    found = pilot(make_study(False, task=task, heldout=0), models=128)
    assert found.noise.value == pytest.approx(1 / 2.1, abs=0.08)
    assert found.same.low <= 0.02
    assert found.best.seeds == "model"
    assert "no effect of the seed alone is seen" in repr(found) or found.same.low > 0


def test_what_is_suggested_follows_from_the_shares(make_study, trained_here):
    shared = pilot(make_study(False, "shared", task=world(1.0, 0.05, 0.6, 0.1), heldout=0), models=128)
    assert shared.suggestion().startswith("Suggested: --kind paley --models 254 --seeds 10, as good as ")
    table = shared.table()
    by_design = dict(zip(zip(table["kind"], table["seeds"], strict=True), table["saved"], strict=True))
    assert by_design["fixed", "model"] == 0
    assert by_design["paley", "10"] > by_design["paley", "pair"] > by_design["paley", "model"] > 0
    assert by_design["fixed", "10"] > 0
    assert len(shared.figure().axes) == 2
    odd = pilot(make_study(False, "odd", task=world(1.0, 0.1, 0.3), heldout=0, alpha=0.25), models=64)
    assert (odd.even, odd.best.kind) == (None, "cyclotomic")
    assert "cannot be told from odd ones at alpha = 0.25" in repr(odd)
    few = pilot(make_study(False, "few", task=world(1.0, 0.1, 0.3, n=60), heldout=0), models=64)
    assert few.best.kind == "fixed"


def test_a_pilot_is_trained_once_and_its_seeds_are_the_same_on_every_mask(make_study, trained_here):
    study = make_study(False, task=world(1.0, 0.1, 0.3), heldout=0)
    first, second = pilot(study, models=64), pilot(study, models=64)
    assert trained_here == [64, 0]
    assert repr(first) == repr(second)
    masks = Design(models=3, n=N, heldout=0, kind="fixed").masks()
    grid = retrain(study, masks, 4, same_seeds=True)
    seeds = grid.study.design.seeds().reshape(4, 3)
    assert (seeds == seeds[:, :1]).all()
    assert np.unique(seeds).size == 4
    again = retrain(study, masks, 4, same_seeds=True)
    assert again.study.identity == grid.study.identity
    assert retrain(study, masks, 4).study.location != grid.study.location
    longer = retrain(study, masks, 6, same_seeds=True)
    assert np.array_equal(longer.study.design.seeds().reshape(6, 3)[:4], seeds)


def test_random_models_that_a_design_is_worth_by_simulation():
    """Ridge with its best penalty on random masks: what it misses is what `missed` says."""
    random, n, targets = np.random.default_rng(0), 200, 60
    weight = random.normal(size=(n, targets)) / np.sqrt(n)
    for models, noise in ((150, 0.3), (400, 0.3), (400, 1.5)):
        signs = random.choice([-1.0, 1.0], size=(models, n))
        y = signs @ weight + np.sqrt(noise) * random.normal(size=(models, targets))
        fitted = np.linalg.solve(signs.T @ signs + noise * n * np.eye(n), signs.T @ y)
        missed = ((fitted - weight) ** 2).sum(axis=0).mean() / (weight**2).sum(axis=0).mean()
        told = Planned("fixed", "model", noise, 1.0, 1)
        assert told.missed(models, 1.0, n) == pytest.approx(missed, rel=0.08)
        assert told.models_for(told.missed(models, 1.0, n), 1.0, n) == pytest.approx(models)
    clean = Planned("paley", "pair", 0.0, 0.0, 254)
    assert clean.missed(254, 1.0, n) == 0.0
    assert Planned("fixed", "model", 0.0, 1.0, 1).missed(100, 1.0, n) == pytest.approx(0.5)
    assert enough(clean, 1.0, n) == 254


def test_orders_fall_by_one_fraction():
    """0.8, 0.2, 0.05, 0.0125, … of the orders 1, 2, 3, 4, …"""
    every = 0.8 * 0.25 ** np.arange(40)
    shares = VarianceShares(every[::2].sum(), every[1::2].sum(), 0.0, 0.0, 0.0)
    np.testing.assert_allclose(orders(shares), [0.8, every[1::2].sum(), every[2::2].sum()])
    unknown = VarianceShares(1.0, None, 0.0, 0.0, None)
    assert linear_variance(unknown) == 1 - NONLINEAR
    with pytest.raises(InputError, match="no effect of single units"):
        linear_variance(VarianceShares(0.0, 0.4, 0.1, 0.1, 0.1))


def test_designs_without_a_difference_set_are_left_out():
    shares = VarianceShares(1.0, None, 0.1, 0.1, None)
    assert {one.kind for one in planned(shares, 500, 0.123)} == {"fixed"}
    assert {one.kind for one in planned(shares, 500, 0.25)} == {"fixed", "cyclotomic"}


def test_what_no_pilot_can_tell_is_refused(make_study, trained_here):
    with pytest.raises(InputError, match="one alpha"):
        pilot(make_study(False, "several", alpha=(0.3, 0.5)))
    with pytest.raises(InputError, match="takes 32 to 4,096 models, got 8"):
        pilot(make_study(False), models=8)
    flat = batch(lambda masks, seeds: {"y": np.ones((len(masks), 2))}, 120, {"y": [2]}, 8)
    with pytest.raises(InputError, match="no target varies"):
        pilot(make_study(False, "flat", task=flat), models=32)


def test_the_verb(tmp_path):
    study = tmp_path / "wine"
    ok("create", study, "-t", "tabular", "-p", "data=wine", "--models", 254)
    shown = ok("audit", study, "--pilot", "--models", 32, "--engine", "inline")
    assert "Pilot(test_margins: " in shown
    assert "Suggested: --kind " in shown
    told = json.loads(ok("audit", study, "--pilot", "--models", 32, "--engine", "inline", "--json"))
    assert told["table"]["kind"][0] == "fixed"
