"""Average marginal effects against their definition, and the fit behind them against scikit-learn."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from sklearn import linear_model

import subtrain as st
from subtrain.errors import InputError
from subtrain.regression import FitWarning, count
from subtrain.regression.estimators.ame import AME
from subtrain.regression.estimators.kit.sample_split import validation_rows

ALPHAS = (0.25, 0.5, 0.75)
UNITS = 4


def whole_population() -> tuple[np.ndarray, np.ndarray]:
    """Every subset of 4 units as often as each alpha draws it in 256 models: means over these are expectations."""
    masks, alphas = [], []
    for alpha in ALPHAS:
        for mask in product((False, True), repeat=UNITS):
            size = sum(mask)
            times = round(256 * alpha**size * (1 - alpha) ** (UNITS - size))
            masks += [mask] * times
            alphas += [alpha] * times
    return np.array(masks), np.array(alphas)


def additive(mask: np.ndarray) -> float:
    return 5.0 + mask @ np.array([2.0, -1.0, 0.0, 0.5])


def interacting(mask: np.ndarray) -> float:
    a, b, c, d = mask
    return 3.0 * (a and b) - 2.0 * (b and c and d) + 1.0 * c + mask.sum() ** 2


def by_definition(game, unit: int) -> float:
    """E over alpha, then over subsets of the others drawn with it, of what the unit adds."""
    total = 0.0
    for alpha in ALPHAS:
        for rest in product((False, True), repeat=UNITS - 1):
            chance = np.prod([alpha if bit else 1 - alpha for bit in rest])
            with_unit, without = (np.insert(np.array(rest), unit, bit) for bit in (True, False))
            total += chance * (game(with_unit) - game(without)) / len(ALPHAS)
    return total


@pytest.mark.parametrize("by_alpha", [True, False])
@pytest.mark.parametrize("game", [additive, interacting])
def test_on_the_whole_population_it_is_the_definition(game, by_alpha) -> None:
    masks, alphas = whole_population()
    assert len(masks) == 3 * 256
    y = np.array([game(mask) for mask in masks])
    model = AME(lambdas=[1e-8], tol=1e-13, by_alpha=by_alpha).fit(masks, y, alphas)
    want = [by_definition(game, unit) for unit in range(UNITS)]
    np.testing.assert_allclose(model.weight_[:, 0], want, atol=1e-6)
    assert model.predict(masks).mean() == pytest.approx(y.mean())
    if game is additive:
        np.testing.assert_allclose(model.predict(masks), y, atol=1e-6)


def test_a_game_whose_effects_depend_on_alpha_is_not_its_slope() -> None:
    """The known answers of a & b: mean alpha, not the mean difference of the pooled models."""
    masks, alphas = whole_population()
    y = 1.0 * (masks[:, 0] & masks[:, 1])
    model = AME(lambdas=[1e-8], tol=1e-13).fit(masks, y, alphas)
    np.testing.assert_allclose(model.weight_[:, 0], [0.5, 0.5, 0, 0], atol=1e-6)
    pooled = y[masks[:, 0]].mean() - y[~masks[:, 0]].mean()
    assert abs(pooled - 0.5) > 0.05


def sampled(m: int, n: int, seed: int = 0):
    random = np.random.default_rng(seed)
    alphas = random.choice([0.2, 0.4, 0.6, 0.8], size=m)
    masks = random.random((m, n)) < alphas[:, None]
    weight = random.normal(size=(n, 2)) * (random.random((n, 2)) < 0.3)
    return masks, alphas, masks @ weight + 0.3 * random.normal(size=(m, 2)), weight


def features(masks, alphas, v):
    return np.where(masks, 1 / alphas[:, None], -1 / (1 - alphas[:, None])) / np.sqrt(v)


@pytest.mark.parametrize("by_alpha", [True, False])
def test_the_fit_is_scikit_learns_on_the_papers_features(by_alpha) -> None:
    masks, alphas, y, _ = sampled(500, 40)
    lam = 0.05
    ours = AME(lambdas=[lam], tol=1e-13, by_alpha=by_alpha).fit(masks, y, alphas)
    v = (1 / (alphas * (1 - alphas))).mean()
    x, right = features(masks, alphas, v), y.copy()
    if by_alpha:
        for a in np.unique(alphas):
            x[alphas == a] -= x[alphas == a].mean(axis=0)
            right[alphas == a] -= right[alphas == a].mean(axis=0)
    theirs = linear_model.Lasso(alpha=lam, tol=1e-12, max_iter=100_000).fit(x, right)
    np.testing.assert_allclose(ours.weight_, theirs.coef_.T * np.sqrt(v), atol=1e-5)
    assert 0 < np.count_nonzero(ours.weight_) < 80


def test_lambda_is_chosen_on_validation_models_and_the_fit_made_again() -> None:
    masks, alphas, y, weight = sampled(3000, 40)
    ours = AME(seed=1, tol=1e-10).fit(masks, y, alphas)
    np.testing.assert_allclose(ours.weight_, weight, atol=0.2)
    rows = validation_rows(3000, 0.1, 1)
    v = (1 / (alphas[~rows] * (1 - alphas[~rows]))).mean()
    x = features(masks, alphas, v)
    x_of = {a: x[~rows & (alphas == a)].mean(axis=0) for a in np.unique(alphas)}
    y_of = {a: y[~rows & (alphas == a)].mean(axis=0) for a in np.unique(alphas)}
    x = x - np.stack([x_of[a] for a in alphas])
    right = y - np.stack([y_of[a] for a in alphas])
    best = np.nanargmin(ours.validation_mse_, axis=0)
    for t in range(2):
        model = linear_model.Lasso(alpha=ours.lambdas_[best[t], t], tol=1e-10, fit_intercept=False, max_iter=10**5)
        model.fit(x[~rows], right[~rows, t])
        error = ((right[rows, t] - model.predict(x[rows])) ** 2).mean()
        assert ours.validation_mse_[best[t], t] == pytest.approx(error, rel=1e-4)
    alone = [AME(lambdas=[lam], tol=1e-10).fit(masks, y[:, t], alphas).weight_ for t, lam in enumerate(ours.lam_)]
    np.testing.assert_allclose(ours.weight_, np.concatenate(alone, axis=1), atol=1e-4)


def test_counts_of_each_alpha_are_all_it_needs() -> None:
    masks, alphas, y, _ = sampled(400, 20)
    rows = np.arange(400) % 5 == 0
    one = AME().fit(masks, y, alphas, sample_split=rows)
    train, valid = (
        {a: count(masks[part & (alphas == a)], y[part & (alphas == a)]) for a in (0.2, 0.4, 0.6, 0.8)}
        for part in (~rows, rows)
    )
    two = AME().fit_counts(train, valid)
    np.testing.assert_array_equal(one.weight_, two.weight_)
    np.testing.assert_array_equal(one.bias_, two.bias_)


def test_one_alpha_is_allowed_and_bad_ones_are_refused() -> None:
    masks, alphas, y, _ = sampled(200, 10)
    for wrong, match in (
        (np.ones(200), "strictly between"),
        (alphas[:50], "one for each of the 200 models"),
        (np.linspace(0.1, 0.9, 200), "different alphas"),
        (1 - alphas, r"masks of alpha = 0\.[28] hold 0\.\d+ of the units on average"),
        (None, "need the alpha of each model"),
    ):
        with pytest.raises(InputError, match=match):
            AME().fit(masks, y, wrong)
    with pytest.raises(InputError, match=r"alpha = 0\.8 validate"):
        AME().fit(masks, y, alphas, sample_split=alphas == 0.8)
    with pytest.raises(InputError, match="needs validation"):
        AME(validation=None).fit(masks, y, alphas)
    masks[:, 4] = False
    with pytest.warns(FitWarning, match="1 of 10 units"):
        assert not AME(lambdas=[0.1]).fit(masks, y, alphas).weight_[4].any()


def game(mask: np.ndarray) -> float:
    """Additive in 16 units, and worth 4 more when units 0 and 1 are both in."""
    return float(mask @ np.r_[1.0, -2.0, 0.5, np.zeros(13)] + 4.0 * (mask[0] and mask[1]))


def playing(alpha, path, models=6000) -> st.Study:
    design = st.Design(alpha=alpha, models=models, seed=3, kind="bernoulli", heldout=30)

    def play(masks: np.ndarray, seeds: np.ndarray) -> dict[str, np.ndarray]:
        return {"worth": np.array([[game(mask)] for mask in masks], np.float32)}

    task = st.tasks.batch(play, 16, {"worth": st.Output((1,), "float32")}, 500)
    study = st.Study.create(path, task, design, segment=500)
    study.collect(workers=1)
    return study


def test_a_study_of_several_alphas_knows_them_by_itself(tmp_path) -> None:
    """The known answers, Shapley's too as alpha is symmetric about 1/2: each of a pair gains half of what it is worth
    together, 4 E[alpha] = 2."""
    alphas = (0.1, 0.3, 0.5, 0.7, 0.9)
    study = playing(alphas, tmp_path / "game")
    dm = st.fit(st.Study.open(study.path), estimator=AME())
    want = np.r_[1.0 + 2.0, -2.0 + 2.0, 0.5, np.zeros(13)]
    np.testing.assert_allclose(dm.weight[:, 0], want, atol=0.08)
    assert dm.meta["alpha"] == alphas
    assert (dm.meta["estimator"], dm.meta["models"]) == ("AME", 6000)
    assert st.Datamodels.load(dm.save(tmp_path / "fit")).meta["alpha"] == list(alphas)
    rows = study.done("fit")
    split = np.isin(rows, fit_parts(study)[1])
    again = AME().fit(study.masks(rows), study.read("worth", rows), study.design.alphas(rows), sample_split=split)
    np.testing.assert_allclose(dm.weight, again.weight_, atol=1e-6)
    assert sorted(p.name for p in (study.path / "counts").iterdir())[0] == "worth-fit-0.1-0-alpha-0.1"
    assert 0 < st.evaluate(dm, study).alpha < 1


def fit_parts(study: st.Study) -> list[np.ndarray]:
    from subtrain.regression.study_models import finished_models

    return list(finished_models(study, None).parts(0.1, 0).values())


def test_mixed_alphas_work_for_lasso_and_show_in_what_is_known_of_it(tmp_path) -> None:
    study = playing((0.4, 0.6), tmp_path / "game", models=500)
    dm = st.fit(study, estimator=st.Lasso())
    assert dm.meta["alpha"] == (0.4, 0.6)
    assert dm.weight[0, 0] > 2
    with pytest.raises(InputError, match="AME cannot choose by folds"):
        st.fit(study, estimator=AME(validation=5))


def test_an_imported_study_does_not_know_its_alphas(tmp_path) -> None:
    masks, _, y, _ = sampled(200, 10)
    study = st.Study.from_arrays(tmp_path / "study", masks, {"y": y.astype(np.float32)}, heldout=20)
    with pytest.raises(InputError, match="does not know the alpha of each model: give them"):
        st.fit(study, estimator=AME())
