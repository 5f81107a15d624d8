"""Means over the models of a designed study: its masks are alike for every unit, so means are of the models as they
are, and the errors of random masks are never too small for them."""

import numpy as np
import pytest

import subtrain as st
from subtrain.errors import InputError
from subtrain.regression.study_models import finished_models
from subtrain.tasks import batch
from subtrain.uses.kit.mean_differences import differences
from uses.planted import seeded_study

pytestmark = pytest.mark.filterwarnings("ignore::subtrain.regression.fit_warnings.FitWarning")
N, Q = 100, 103
DESIGNS = [{"models": 2 * Q}, {"models": 2 * Q + 60}, {"models": Q}, {"models": 300, "kind": "fixed", "seeds": 20}]


def about(weight):
    return weight - weight.mean(axis=0)


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_differences_of_means_are_unbiased_and_their_errors_hold(design):
    study, weight = seeded_study(**design)
    models = finished_models(study, None)
    found = differences(models.blocks(models.rows))
    z = (found.value - about(weight)) / found.error
    assert abs(z.mean()) < 0.05
    assert z.std() < 1.06
    slope = (found.value * about(weight)).sum() / (about(weight) ** 2).sum()
    assert slope == pytest.approx(1, abs=0.1)
    if design == {"models": 2 * Q}:
        assert z.std() < 0.8, "no unit is mistaken for another, which errors of random masks allow for"


def test_a_mean_difference_of_pairs_is_that_of_all_models():
    study, weight = seeded_study(2 * Q, even=0.0, noise=0.1)
    dm = study.fit(estimator=st.MeanDifference())
    assert dm.meta["models"] == 2 * Q
    slope = (dm.weight * about(weight)).sum() / (about(weight) ** 2).sum()
    assert slope == pytest.approx(1, abs=0.03)
    assert np.abs(dm.weight - about(weight)).max() < 0.25


@pytest.mark.parametrize("design", DESIGNS[:2], ids=str)
def test_banzhaf_of_a_paley_study_is_of_an_additive_game_its_values_about_their_mean(design):
    study, weight = seeded_study(targets=1, noise=0.2, **design)
    found = st.banzhaf(study, utility="mean")
    off = found.value - about(weight)[:, 0]
    assert np.abs(off / found.error).max() < 4
    assert "about the mean over units, as subsets have nearly one size" in found.exact
    assert found.method == "Banzhaf"
    assert np.allclose(st.ame(study, utility="mean").value, found.value)
    with pytest.raises(InputError, match="have no one Shapley value"):
        st.shapley(study)


def own_world(seed_effect=1.0, faults=8):
    """Margins of 100 training examples: a model that holds one knows it by heart, and the others matter to it in
    another way; examples 0 to 7 are contradicted by all others."""
    random = np.random.default_rng(1)
    weight = random.normal(size=(N, N)) * (random.random((N, N)) < 0.2)
    np.fill_diagonal(weight, 0)
    other = random.normal(size=(N, N)) * 0.3
    level = np.where(np.arange(N) < faults, -3.0, 3.0)

    def train(masks, seeds):
        unseen, seen = about_half(masks) @ weight + level, 8.0 + about_half(masks) @ other
        noise = np.stack([np.random.default_rng(int(s)).normal(size=N) for s in seeds])
        return {"train_margins": np.where(masks, seen, unseen) + seed_effect * noise}

    return batch(train, N, {"train_margins": st.Output((N,), "float64")}, 64), weight, level


def about_half(masks):
    return masks.astype(float) - 0.5


@pytest.fixture(scope="module")
def owned():
    task, weight, level = own_world()
    study = st.Study.create(":memory:", task, st.Design(models=8 * Q, heldout=0))
    study.collect(progress=False)
    return study, weight, level


def test_what_models_without_an_example_say_of_it(owned):
    study, _, level = owned
    found = st.mislabeled(study, known=range(8))
    assert found.scores["without"] == pytest.approx(level, abs=0.9)
    assert np.mean(found.scores["without"] - level) == pytest.approx(0, abs=0.1)
    assert found.auc["without"] == found.auc["agreement"] == 1
    assert set(found.order[:8].tolist()) == set(range(8))
    memory = st.memorization(study)
    assert memory.value[:8].min() > 0.7
    assert memory.value[8:].max() < 0.4


def test_leave_self_out_never_sees_a_model_that_was_trained_on_the_target(owned):
    """The difference of a pair would: one of its halves holds the unit."""
    study, weight, _ = owned
    dm = study.fit("train_margins", "leave-self-out")
    assert not np.diag(dm.weight).any()
    found = about(np.where(np.eye(N, dtype=bool), 0, dm.weight))
    truth = about(weight)
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.93
    assert (found * truth).sum() / (truth**2).sum() > 0.75
    assert dm.meta["design"]["pairs"] == 0
    assert dm.meta["design"]["seeds"] == 40
