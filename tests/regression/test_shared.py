"""`SharedPrior`: better than the LASSO where weights have structure, no worse where they have none."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from subtrain import Design, Lasso, Pairs, SharedPrior, Study, fit
from subtrain.errors import InputError
from subtrain.regression.counting.count_stream import count
from subtrain.regression.estimators.kit.dense_problem import dense
from subtrain.regression.estimators.kit.learned_prior import Prior
from subtrain.regression.estimators.kit.normal_mixtures import MIXTURE, start, sweep
from subtrain.regression.estimators.kit.pairs import LEVELS, levels, pairs_of_study
from subtrain.regression.fit_warnings import FitWarning
from subtrain.regression.lasso.problem import problem
from subtrain.store.seal import sealed
from subtrain.tasks import View

N, T, M = 120, 60, 260


def world(weight, noise=1.0, m=M, seed=0):
    """Masks and outputs with these true weights [n, T]."""
    masks = Design(0.5, models=m, n=len(weight), heldout=0, anchors=0, seed=seed, kind="fixed").masks()
    clean = masks.unpack() @ weight
    return masks, clean + noise * np.random.default_rng(seed).normal(size=clean.shape)


def classes(seed=0):
    """Classes of units and targets, and weights that are large within a class, of units that matter unequally."""
    random = np.random.default_rng(seed)
    units, targets = random.integers(4, size=N), random.integers(4, size=T)
    same = units[:, None] == targets
    size = random.gamma(1.0, 1.0, N)[:, None] * np.where(same, 1.0, 0.1)
    return units, targets, size * (random.normal(size=(N, T)) + same)


def error(estimator, weight):
    """Squared error of differences between weights: fixed-size masks say nothing of their mean."""
    off = estimator.weight_ - weight
    return float(((off - off.mean(axis=0)) ** 2).sum())


def lasso(masks, y):
    return quiet(Lasso(threads=1), masks, y)


def shared(masks, y, pairs=None, **options):
    return quiet(SharedPrior(pairs=pairs, threads=1, **options), masks, y)


def quiet(estimator, masks, y):
    """Fitted; of so few models some targets cannot be predicted, which the LASSO says."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "for .* of 60 targets", FitWarning)
        return estimator.fit(masks, y)


def test_classes_that_are_known_help():
    units, targets, weight = classes()
    masks, y = world(weight)
    found = shared(masks, y, Pairs.of((units, targets)))
    assert found.chosen_ != "lasso"
    assert error(found, weight) < 0.6 * error(lasso(masks, y), weight)


def test_unequal_units_help_though_nothing_is_known_of_them():
    _, _, weight = classes(1)
    masks, y = world(weight, seed=1)
    assert error(shared(masks, y), weight) < 0.85 * error(lasso(masks, y), weight)


def test_inputs_in_which_weights_are_linear_help():
    random = np.random.default_rng(2)
    x, z = random.normal(size=(N, 3)), random.normal(size=(T, 3))
    weight = x @ z.T / 3
    masks, y = world(weight, seed=2)
    assert error(shared(masks, y, Pairs.of(None, (x, z))), weight) < 0.5 * error(lasso(masks, y), weight)


@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.parametrize("dense_world", [False, True])
def test_without_structure_it_loses_no_more_than_a_hair(seed, dense_world):
    random = np.random.default_rng(seed)
    weight = random.normal(size=(N, T)) * (dense_world or random.random((N, T)) < 0.05)
    masks, y = world(weight, seed=seed)
    misleading = Pairs.of((random.integers(4, size=N), random.integers(4, size=T)))
    best = error(lasso(masks, y), weight)
    assert error(shared(masks, y), weight) < 1.05 * best
    assert error(shared(masks, y, misleading), weight) < 1.05 * best


def test_the_lasso_is_kept_where_it_is_better():
    random = np.random.default_rng(5)
    weight = np.zeros((N, T))
    weight[random.integers(N, size=T), np.arange(T)] = 3.0
    masks, y = world(weight, noise=0.3, m=60, seed=5)
    found = shared(masks, y, sweeps=1)
    reference = lasso(masks, y)
    assert found.chosen_ == "lasso" == found.candidates_[-2]
    np.testing.assert_allclose(found.weight_, reference.weight_)
    np.testing.assert_allclose(found.lam_, reference.lam_)


def test_sweeps_end_at_the_posterior_mean_of_normal_weights():
    random = np.random.default_rng(6)
    masks, y = world(random.normal(size=(40, 3)), m=80, seed=6)
    task = dense(problem(count(masks, y, threads=1), "raw"))
    scale = random.gamma(2.0, 0.5, (3, 40))
    center = random.normal(size=(3, 40))
    state = start(task)
    for _ in range(300):
        state.share, state.noise = (MIXTURE == 1.0).astype(float), np.array([1.0, 2.0, 3.0])
        sweep(task, 80, center, scale, state, threads=1)
    for t in range(3):
        precision = 80 * task.covariance / (t + 1.0)
        exact = np.linalg.solve(precision + np.diag(1 / scale[t]), 80 * task.rho[t] / (t + 1.0) + center[t] / scale[t])
        np.testing.assert_allclose(state.coef[t], exact, atol=1e-6)
    np.testing.assert_allclose(state.pull, task.rho - state.coef @ task.covariance, atol=1e-9)


def test_updates_of_the_scales_never_lower_the_likelihood():
    random = np.random.default_rng(7)
    truth = random.gamma(1.0, 1.0, (T, 3)) @ random.gamma(1.0, 1.0, (3, N))
    blur = np.full((T, N), 0.5)
    seen = random.normal(size=(T, N)) * np.sqrt(truth + blur)
    prior = Prior(np.ones(T), N, Pairs())
    prior.split(3, seed=0)

    def likelihood():
        variance = prior.variances() + blur
        return -float((np.log(variance) + seen**2 / variance).sum())

    steps = []
    for _ in range(30):
        prior.update(seen, blur, 1.0)
        steps.append(likelihood())
    assert np.all(np.diff(steps) > -1e-9 * abs(steps[0]))
    assert steps[-1] > steps[0]


def test_the_number_of_threads_changes_nothing():
    units, targets, weight = classes(8)
    masks, y = world(weight, seed=8)
    known = Pairs.of((units, targets), (np.random.default_rng(8).normal(size=(N, 2)), np.zeros((T, 2))))
    one, two = (SharedPrior(known, (2,), 15, threads=k, lasso=False).fit(masks, y) for k in (1, 2))
    np.testing.assert_array_equal(one.weight_, two.weight_)


def test_units_and_targets_that_never_change_get_weights_of_zero():
    _, _, weight = classes(9)
    masks, y = world(weight, seed=9)
    bits = masks.unpack()
    bits[:, 0], bits[:, 1] = True, False
    y[:, 2] = 7.0
    with pytest.warns(UserWarning, match="in every mask or in none"):
        found = shared(bits, y)
    assert np.all(found.weight_[:2] == 0)
    assert np.all(found.weight_[:, 2] == 0)
    assert found.bias_[2] == 7.0
    assert np.all(np.isfinite(found.weight_))


def test_what_it_cannot_do_is_said():
    _, _, weight = classes()
    masks, y = world(weight, m=40)
    with pytest.raises(InputError, match="traits are of 3 units, the masks over 120"):
        shared(masks, y, Pairs.of(([0, 1, 1], [0, 1])))
    with pytest.raises(InputError, match=r"pairs are of shape \[120, 2\], not \[120, 60\]"):
        shared(masks, y, Pairs.of((np.arange(N), [0, 1])))
    with pytest.raises(InputError, match="ranks must be"):
        shared(masks, y, ranks=(0,))
    with pytest.raises(InputError, match='pairs must be Pairs, "task" or None'):
        shared(masks, y, "nothing")
    with pytest.raises(InputError, match="choosing needs validation models"):
        SharedPrior().fit_counts(count(masks, y, threads=1))
    with pytest.raises(InputError, match="3 numbers each, those of targets 2"):
        Pairs.of(None, (np.zeros((4, 3)), np.zeros((5, 2))))
    with pytest.raises(InputError, match="labels are of"):
        Pairs.of(([0, 1], [0]), (np.zeros((4, 3)), np.zeros((5, 3))))


def test_kinds_of_pairs():
    known = Pairs.of((["a", "b", "b"], ["b", "a"]))
    (table,) = known.kinds
    assert table[1, 0] == table[2, 0]
    assert len(set(table.ravel().tolist())) == 4
    assert repr(known) == "Pairs(class of unit x class of target)"
    assert repr(Pairs()) == "Pairs(nothing known)"
    many = Pairs.of((np.arange(60), np.arange(60)))
    assert set(many.kinds[0].ravel().tolist()) == {0, 1}
    cut = levels(np.random.default_rng(0).normal(size=(40, 50)))
    size = np.bincount(cut.ravel(), minlength=LEVELS)
    assert cut.max() == LEVELS - 1
    assert size[-1] < size[0]


def test_a_study_is_fitted_with_what_its_view_shows(make_study, tmp_path):
    from dataclasses import replace

    import worlds

    view = View(labels={"train": ["a", "b"] * 10, "test": ["a", "b", "a"]})
    study = make_study(task=replace(worlds.linear(noise=0.3), view=view), models=60, segment=64)
    assert repr(pairs_of_study(study, "test_margins")[0]) == "Pairs(class of unit x class of target)"
    assert repr(pairs_of_study(study, "train_margins")[0]) == "Pairs(class of unit x class of target)"
    dm = fit(study, estimator=SharedPrior(threads=1), keep_counts=False)
    assert dm.meta["estimator"] == "SharedPrior"
    assert dm.meta["params"]["pairs"] == "task"
    assert np.corrcoef(dm.weight.ravel(), worlds.weights(20, 3)[0].ravel())[0, 1] > 0.9
    given = fit(study, estimator=SharedPrior(pairs_of_study(study, "test_margins")[0], threads=1), keep_counts=False)
    np.testing.assert_array_equal(dm.weight, given.weight)
    assert given.meta["params"]["pairs"] == "Pairs(class of unit x class of target)"


def test_a_study_of_version_0_1_0_is_fitted_without_a_view_and_says_so(make_study):
    path = make_study(models=60, segment=64).path
    manifest = json.loads((path / "study.json").read_text())
    del manifest["view"]
    (path / "study.json").write_text(json.dumps(sealed(manifest)))
    study = Study.open(path)
    known, notes = pairs_of_study(study, "test_margins")
    assert repr(known) == "Pairs(nothing known)"
    with pytest.warns(FitWarning, match=r"targets are not used: .*stores nothing of them: collect it"):
        dm = fit(study, estimator=SharedPrior(ranks=(1,), lasso=False, threads=1), keep_counts=False)
    assert set(notes) <= set(dm.meta["notes"])
