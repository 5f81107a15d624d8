"""Data values: small games with exact answers, a maintained library, and what each design is exact for."""

import games
import numpy as np
import pytest

from subtrain import Design, Study, ame, banzhaf, shapley
from subtrain.designs.samplers import shapley_alphas
from subtrain.errors import InputError
from subtrain.studies.imports.arrays import import_arrays
from subtrain.uses.valuation import quadrature

# The fewest units with more different coalitions than there are models.
N = 13


@pytest.fixture
def play(make_study):
    """play(utility, **design): a study of 2,500 coalitions of the game."""

    def make(utility, **design) -> Study:
        plan = {"models": 2500, "heldout": 0, "kind": "bernoulli", "segment": 2500} | design
        return make_study(task=games.task(utility, N), **plan)

    return make


def within(found, truth, errors=4.5):
    """Every value as near to the truth as its standard error says it is, and the errors no excuse."""
    assert np.all(np.abs(found.value - truth) <= errors * found.error), (found.value, truth, found.error)
    assert found.error.max() < 0.2 * np.ptp(truth)


def test_banzhaf_of_every_coalition_is_exact(tmp_path):
    utility = games.polynomial(N, order=4)
    every = games.coalitions(N)
    twice = np.concatenate([every, every[:3]])
    study = import_arrays(tmp_path / "all", twice, {"value": utility(twice)[:, None]}, heldout=3)
    found = banzhaf(study)
    np.testing.assert_allclose(found.value, games.marginal(utility, N, 0.5), atol=1e-12)
    assert "if each unit was drawn by itself" in repr(found)


def test_banzhaf_of_a_design(play):
    utility = games.polynomial(N, order=4)
    within(banzhaf(play(utility)), games.marginal(utility, N, 0.5))
    other = banzhaf(play(utility, alpha=0.3, name="other"))
    within(other, games.marginal(utility, N, 0.3))
    assert other.method == "Banzhaf weighted by alpha = 0.3"


def test_subsets_of_fixed_size_give_an_additive_games_values_about_their_mean(play):
    truth = np.arange(N) / 10 + 1
    found = banzhaf(play(lambda masks: masks @ truth, kind="fixed", models=1500))
    within(found, truth - truth.mean())
    assert "about the mean over units" in found.exact


def test_a_stratified_design_gives_an_additive_games_values_about_their_classes_mean(play):
    truth, strata = np.arange(N) / 10 + 1, np.array([0] * 4 + [1] * (N - 4))
    found = banzhaf(play(lambda masks: masks @ truth, kind="stratified", strata=strata.tolist(), models=700))
    within(found, truth - np.array([truth[:4].mean(), truth[4:].mean()])[strata])
    assert "about the mean over the unit's class" in found.exact


def test_shapley_is_exact_for_as_many_interactions_as_it_says(play):
    utility = games.polynomial(N, order=6)
    alphas = shapley_alphas(3)
    weights, order = quadrature(np.array(alphas))
    by_alpha = np.array([games.marginal(utility, N, alpha) for alpha in alphas])
    assert order == 6
    np.testing.assert_allclose(weights @ by_alpha, games.shapley(utility, N), atol=1e-12)
    study = play(utility, alpha=alphas)
    found = shapley(study)
    within(found, games.shapley(utility, N))
    assert found.exact == "unbiased for interactions of up to 6 units"
    within(ame(study), by_alpha.mean(axis=0))


@pytest.mark.parametrize(("nodes", "order"), [([0.5], 2), ([0.3], 1), ([0.2, 0.4, 0.6, 0.8], 4), ([0.1, 0.5], 2)])
def test_the_order_of_other_alphas(nodes, order):
    weights, found = quadrature(np.array(nodes))
    assert found == order
    assert weights.sum() == pytest.approx(1)
    utility = games.polynomial(N, order)
    by_alpha = np.array([games.marginal(utility, N, alpha) for alpha in nodes])
    np.testing.assert_allclose(weights @ by_alpha, games.shapley(utility, N), atol=1e-12)


def test_a_maintained_library_agrees(play):
    shapiq = pytest.importorskip("shapiq", reason="shapiq is not installed: pip install 'subtrain[dev]'")

    class Game(shapiq.Game):
        def __init__(self, utility):
            self.utility = utility
            super().__init__(n_players=N, normalize=False)

        def value_function(self, coalitions):
            return self.utility(np.asarray(coalitions, bool))

    utility = games.polynomial(N, order=5, seed=7)
    exact = shapiq.ExactComputer(Game(utility), n_players=N)
    theirs = {index: np.array([exact(index, order=1)[(unit,)] for unit in range(N)]) for index in ("SV", "BV")}
    np.testing.assert_allclose(games.shapley(utility, N), theirs["SV"], atol=1e-9)
    within(banzhaf(play(utility)), theirs["BV"])
    within(shapley(play(utility, alpha=shapley_alphas(3), name="several")), theirs["SV"])


def test_standard_errors_are_those_of_repeated_studies(play):
    utility = games.polynomial(N, order=3)
    runs = [banzhaf(play(utility, models=100, seed=seed, name=str(seed))) for seed in range(30)]
    spread = np.std([run.value for run in runs], axis=0, ddof=1)
    np.testing.assert_allclose(np.mean([run.error for run in runs], axis=0), spread, rtol=0.4)


def test_accuracy_of_chosen_targets_is_the_utility_of_margins(make_study):
    study = make_study(models=60, kind="bernoulli")
    found = banzhaf(study, "test_margins", targets=[0, 2])
    rows = study.done("fit")
    right = (study.read("test_margins", rows)[:, [0, 2]] > 0).mean(axis=1)
    masks = study.masks(rows).unpack()
    assert found.value[5] == pytest.approx(right[masks[:, 5]].mean() - right[~masks[:, 5]].mean())
    assert found.utility == "accuracy of test_margins"
    assert list(found.table()) == ["unit", "value", "error"]
    assert np.all(np.diff(found.table()["value"]) <= 0)
    assert "beyond 3 standard errors" in repr(found)
    assert found.figure().axes


def test_units_that_are_groups_are_named_in_the_table(make_study):
    study = make_study(models=20, groups=tuple(i // 2 for i in range(20)))
    assert banzhaf(study).table()["examples"].tolist() == [2] * 10


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda study: banzhaf(study, "value", utility="accuracy"), "does not tell whether a model is right"),
        (lambda study: banzhaf(study, utility="worth"), "choose from accuracy, mean"),
        (lambda study: banzhaf(study, targets=[3]), "choose some of 0 to 0"),
        (lambda study: banzhaf(study), "no one Banzhaf value"),
        (lambda study: shapley_alphas(0), "at least one alpha"),
    ],
)
def test_what_cannot_be_valued_is_said(play, call, sentence):
    study = play(games.polynomial(N, 2), alpha=(0.4, 0.6), models=20, segment=20)
    with pytest.raises(InputError, match=sentence):
        call(study)


def test_too_few_models_of_one_alpha(play):
    study = play(games.polynomial(N, 2), alpha=shapley_alphas(3), models=12, segment=12)
    with pytest.raises(InputError, match="fewer than 2 of"):
        shapley(study)


def test_the_design_says_which_alphas():
    assert Design.for_shapley(2, models=5, n=8).alpha_list == shapley_alphas(2)
