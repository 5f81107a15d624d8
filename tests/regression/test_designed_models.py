"""Pairs and shared seeds between reading models and counting them, in worlds whose answer is known."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

import subtrain as st
from subtrain.designs.model_rows import FIT, VALIDATION
from subtrain.errors import InputError
from subtrain.fits import models_said
from subtrain.regression.counting.count_stream import count_blocks
from subtrain.regression.counting.study_counts import counted
from subtrain.regression.designed_models import DesignedModels, as_designed
from subtrain.regression.fit_on_cluster import Here, count_on
from subtrain.regression.study_models import finished_models

N, T, Q = 100, 5, 103
random = np.random.default_rng(0)
WEIGHT = random.normal(size=(N, T)) * (random.random((N, T)) < 0.3)
PAIRED = random.integers(0, N, (40, 2))


class World:
    """Outputs that are linear in the mask, with what each seed adds, and effects of two units together."""

    def __init__(self, seed_effect=2.0, even=0.1, noise=0.0):
        self.seed_effect, self.even, self.noise = seed_effect, even, noise

    def __call__(self, indices, seed):
        mask = np.zeros(N)
        mask[indices] = 1
        held = 2 * mask - 1
        together = (held[PAIRED[:, 0]] * held[PAIRED[:, 1]]).sum()
        drawn = np.random.default_rng(seed)
        shared = drawn.normal(size=T)
        own = np.random.default_rng([seed, *np.flatnonzero(mask)]).normal(size=T)
        return {"y": 3.0 + mask @ WEIGHT + self.seed_effect * shared + self.even * together + self.noise * own}


def study_of(models, world=None, design=None, validation=0, **options):
    task = st.tasks.function(world or World(), n=N, outputs={"y": st.Output([T], "float64")})
    made = design or st.Design(models=models, heldout=0, validation=validation, **options)
    study = st.Study.create(":memory:", task, made)
    study.collect(progress=False)
    return study


def designed(study, rows=None, **changes):
    models = finished_models(study, "y")
    return as_designed(replace(models, rows=models.rows if rows is None else rows, **changes))


def test_pairs_hold_neither_seeds_nor_even_effects():
    models = designed(study_of(2 * Q))
    assert isinstance(models, DesignedModels)
    masks, outputs = models.read(models.rows)
    assert np.array_equal(models.rows, np.arange(Q))
    assert models.about() == {"pairs": Q, "single": 0, "seeds": 10, "seed_share": pytest.approx(0.27, abs=0.15)}
    linear = masks.unpack() @ WEIGHT
    left = outputs - linear
    # What is left is one number a target: the mean of all models.
    assert (left - left.mean(axis=0)).std() < 0.1 * linear.std()
    raw = models.outputs_of(models.rows) - linear
    assert (raw - raw.mean(axis=0)).std() > 0.5 * linear.std()
    everything = models.outputs_of(np.arange(2 * Q))
    assert np.allclose(outputs.mean(axis=0), everything.mean(axis=0), atol=0.05)


def test_least_squares_on_pairs_finds_the_weights():
    study = study_of(4 * Q)
    weight = study.fit("y", st.LeastSquares()).weight
    plain = st.LeastSquares().fit(study.masks(range(4 * Q)), study.read("y", range(4 * Q))).weight_

    def off(found):
        return np.abs((found - found.mean(axis=0)) - (WEIGHT - WEIGHT.mean(axis=0))).max()

    assert off(weight) < 0.1
    assert off(plain) > 4 * off(weight), "the same models without pairs and seeds"


def test_one_side_alone_gives_seeds_by_the_means_of_their_models():
    models = designed(study_of(Q, World(seed_effect=20.0, even=0.0)))
    masks, outputs = models.read(models.rows)
    left = outputs - masks.unpack() @ WEIGHT
    raw = models.outputs_of(models.rows) - masks.unpack() @ WEIGHT
    assert models.about()["pairs"] == 0
    assert left.std(axis=0).max() < 0.25 * raw.std(axis=0).min()


def test_a_seed_that_does_nothing_costs_nothing():
    for models in (Q, 2 * Q):
        found = designed(study_of(models, World(seed_effect=0.0, noise=1.0)))
        assert found.about()["seed_share"] < 0.02


@pytest.mark.filterwarnings("ignore::subtrain.regression.fit_warnings.FitWarning")
def test_a_plan_and_the_fit_s_meta_tell_pairs_and_models_apart():
    said = []
    study = study_of(2 * Q, validation=20)
    dm = study.fit(estimator="ridge", announce=lambda plan: said.append(str(plan)))
    assert said[0].startswith(f"{Q} pairs of {2 * Q} models and 20 single models x ")
    assert models_said(dm.meta) == f"{2 * Q} models to fit on ({Q} pairs) and 20 to choose lambda by"
    study = study_of(Q)
    dm = study.fit(estimator="ridge", announce=lambda plan: said.append(str(plan)))
    assert said[1].startswith(f"{Q} models x ")
    assert models_said(dm.meta) == f"{Q} models"
    assert models_said({**dm.meta, "models_planned": 2 * Q}) == f"{Q} of {2 * Q} models"


def test_missing_halves_are_fitted_as_they_are():
    study = study_of(2 * Q)
    rows = np.setdiff1d(np.arange(2 * Q), [3, Q + 8])
    models = designed(study, rows)
    assert np.array_equal(models.rows, np.setdiff1d([*range(Q), Q + 3], [3]))
    assert models.about()["single"] == 2
    _, outputs = models.read(models.rows)
    _, whole = designed(study).read(np.setdiff1d(np.arange(Q), [3, 8]))
    assert np.abs(outputs[np.isin(models.rows, np.setdiff1d(np.arange(Q), [3, 8]))] - whole).max() < 0.3
    assert np.array_equal(models.models_in(models.rows), rows)


@pytest.mark.parametrize("models", [40, Q, Q + 20, Q + 70, 2 * Q, 2 * Q + 30, 3 * Q])
def test_every_size_is_fitted_from_every_model_once(models):
    study = study_of(models)
    found = designed(study)
    second = found.adjustment.second
    used = np.sort(np.concatenate([found.rows, second[second >= 0]]))
    assert np.array_equal(used, np.arange(models))
    dm = study.fit("y", st.LeastSquares())
    assert dm.meta["models"] == models
    assert dm.meta["design"] == found.about()
    assert dm.meta["models_used"] == [[0, models]]


def test_a_set_is_read_alike_when_the_study_grows(tmp_path):
    study = study_of(2 * Q)
    before = designed(study).read(np.arange(Q))[1]
    longer = study_of(3 * Q)
    after = designed(longer)
    assert np.array_equal(after.read(np.arange(Q))[1], before)
    assert after.marks(np.arange(Q)) == designed(study).marks(np.arange(Q))


def test_kept_counts_grow_with_the_study(tmp_path):
    task = st.tasks.function(World(), n=N, outputs={"y": st.Output([T], "float64")})
    study = st.Study.create(tmp_path / "s", task, st.Design(models=2 * Q, heldout=0, validation=0))
    study.collect(progress=False)
    first = designed(study)
    counted(first, first.rows, "all")
    # Half of a new set: its rows are singles now, and pairs later, so its counts cannot be kept.
    for more in (Q, Q):
        study.extend(models=more)
        study.collect(progress=False)
        models = designed(study)
        kept = counted(models, models.rows, "all")
        fresh = count_blocks(models.blocks(models.rows), models=models.rows.size)
        assert np.array_equal(kept.gram, fresh.gram)
        assert np.allclose(kept.xty, fresh.xty, rtol=1e-12, atol=1e-9)


def test_counting_elsewhere_is_counting_here(tmp_path):
    task = st.tasks.function(World(), n=N, outputs={"y": st.Output([T], "float64")})
    study = st.Study.create(tmp_path / "s", task, st.Design(models=2 * Q, heldout=0, validation=0))
    study.collect(progress=False)
    models = designed(study)
    there = count_on(Elsewhere(), models, models.rows, "dense")
    here = count_blocks(models.blocks(models.rows), models=models.rows.size)
    assert np.array_equal(there.gram, here.gram)
    assert np.array_equal(there.xty, here.xty)


class Elsewhere(Here):
    """Sends everything through pickle, as a cluster does."""

    slots = 2

    def map(self, function, items, shared=()):
        return super().map(function, pickle.loads(pickle.dumps(items)), pickle.loads(pickle.dumps(shared)))


def test_validation_models_of_the_design_choose_lambda():
    study = study_of(2 * Q, World(noise=0.5), validation=40)
    models = designed(study)
    parts = models.parts(0.1, 0)
    assert [rows.size for rows in parts.values()] == [Q, 40]
    assert np.array_equal(parts["validation-own"], study.done(VALIDATION))
    dm = study.fit("y")
    assert dm.meta["parts"] == {"fit-all": Q, "validation-own": 40}
    assert not any("halved" in note for note in dm.meta["notes"])
    # Beside pairs they only choose: the weights are those of the pairs alone at these lambdas.
    train = models.read(models.rows)
    again = st.Lasso(lambdas=dm.lam[:, None], validation=None).fit(*train)
    assert np.allclose(again.weight_, dm.weight, atol=2e-3)


def test_without_validation_models_lambda_is_halved_and_said_so():
    study = study_of(2 * Q, World(noise=0.5))
    with pytest.warns(match="halved"):
        dm = study.fit("y")
    models = designed(study)
    parts = list(models.parts(0.1, 0).values())
    train, validation = (models.read(rows) for rows in parts)
    chosen = st.Lasso(refit=False).fit(*train, validation=validation)
    assert np.allclose(dm.lam, 0.5 * chosen.lam_)
    # All pairs are fitted in the end, those that chose too.
    again = st.Lasso(lambdas=dm.lam[:, None], validation=None).fit(*models.read(models.rows))
    assert np.allclose(again.weight_, dm.weight, atol=2e-3)


@pytest.mark.filterwarnings("ignore:for . of 5 targets the smallest")
@pytest.mark.parametrize("estimator", ["ridge", "shared-prior", "elastic-net", "lasso-large", "least-squares"])
def test_every_estimator_fits_a_designed_study(estimator):
    study = study_of(2 * Q, World(noise=0.2), validation=30)
    dm = study.fit("y", estimator)
    found = dm.weight - dm.weight.mean(axis=0)
    assert np.corrcoef(found.ravel(), (WEIGHT - WEIGHT.mean(axis=0)).ravel())[0, 1] > 0.95


def test_pairs_with_a_seed_of_their_own_need_no_effects_of_seeds():
    models = designed(study_of(2 * Q, seeds="pair"))
    masks, outputs = models.read(models.rows)
    left = outputs - masks.unpack() @ WEIGHT
    assert models.about() == {"pairs": Q, "single": 0, "seeds": 0, "seed_share": 0.0}
    assert np.abs(left - left.mean(axis=0)).max() < 1e-9


def test_random_masks_with_shared_seeds():
    study = study_of(300, World(seed_effect=4.0, even=0.0), kind="fixed", seeds=20)
    models = designed(study)
    assert models.about()["seeds"] == 40, "206 models share the first 20"
    dm = study.fit("y", st.LeastSquares())
    plain = st.LeastSquares().fit(study.masks(range(300)), study.read("y", range(300))).weight_
    truth = WEIGHT - WEIGHT.mean(axis=0)
    errors = [np.abs(w - w.mean(axis=0) - truth).mean() for w in (dm.weight, plain)]
    assert errors[0] < 0.5 * errors[1]


def test_a_study_of_older_kinds_is_read_as_ever():
    study = study_of(200, kind="fixed")
    models = finished_models(study, "y")
    assert as_designed(models) is models
    assert study.done(FIT).size == 200
    with pytest.raises(InputError, match="a role is"):
        study.done("judging")


class Noisy:
    """Outputs that 200 units move a little and noise moves more."""

    weight = np.random.default_rng(5).normal(size=(200, 20))

    def __call__(self, indices, seed):
        noise = np.random.default_rng([seed, *indices]).normal(size=20)
        return {"y": self.weight[indices].sum(axis=0) + 12 * noise}


@pytest.mark.parametrize("validation", [0, None])
@pytest.mark.filterwarnings("ignore:the design has no validation models")
def test_what_few_models_add_to_a_guess_does_no_harm(validation):
    task = st.tasks.function(Noisy(), n=200, outputs={"y": st.Output([20], "float64")})
    study = st.Study.create(":memory:", task, st.Design(models=60, heldout=0, validation=validation))
    study.collect(progress=False)
    guess = Noisy.weight + 0.7 * np.random.default_rng(6).normal(size=(200, 20))
    dm = study.fit("y", st.SharedPrior(guess=guess, pairs=None))
    masks = np.random.default_rng(7).random((400, 200)) < 0.5

    def agreement(weight):
        found, truth = masks @ weight, masks @ Noisy.weight
        return np.mean([np.corrcoef(found[:, t], truth[:, t])[0, 1] for t in range(20)])

    assert agreement(dm.weight) > agreement(guess) - 0.02
    assert 0.7 < agreement(guess) < 0.9


def test_a_guess_that_says_nothing_costs_nothing():
    study = study_of(2 * Q, World(noise=0.5))
    table = np.random.default_rng(8).normal(size=(N, T))
    with pytest.warns(match="no validation models"):
        dm = study.fit("y", st.SharedPrior(guess=table, pairs=None))
    plain = study.fit("y", st.SharedPrior(pairs=None, ranks=(1,), lasso=False, validation=None))
    truth = WEIGHT - WEIGHT.mean(axis=0)

    def off(weight):
        return np.corrcoef((weight - weight.mean(axis=0)).ravel(), truth.ravel())[0, 1]

    assert off(dm.weight) > off(plain.weight) - 0.01
