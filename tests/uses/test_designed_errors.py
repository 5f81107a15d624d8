"""Standard errors of designed studies, whose models share seeds and masks confound no units: in planted worlds."""

from dataclasses import replace

import numpy as np
import pytest

import subtrain as st
from subtrain import Design
from subtrain.errors import InputError
from subtrain.regression.designed_models import as_designed
from subtrain.regression.mask_covariance import design_covariance
from subtrain.regression.row_noise import Residuals, RowNoise
from subtrain.regression.study_models import finished_models
from subtrain.uses.kit.debias import debias
from subtrain.uses.kit.residuals import fitted_parts, residual_sums
from subtrain.uses.kit.standard_errors import stand_in, why_no_errors
from uses.planted import seeded_study

pytestmark = pytest.mark.filterwarnings("ignore::subtrain.regression.fit_warnings.FitWarning")
Q = 103


def shares_held(found, truth):
    low, high = found.interval()
    return ((low <= truth) & (truth <= high)).mean()


@pytest.mark.parametrize(
    ("models", "options"),
    [
        (2 * Q, {}),
        (2 * Q, {"even": 0.0}),
        (2 * Q, {"share": 1.0}),
        (2 * Q, {"seeds": "model"}),
        (4 * Q, {}),
        (4 * Q, {"seeds": "pair"}),
        (3 * Q, {}),
        (2 * Q + 50, {}),
        (Q + 60, {}),
        (400, {"kind": "fixed", "seeds": 20}),
    ],
    ids=str,
)
def test_intervals_hold_the_truth(models, options):
    study, truth = seeded_study(models, **options)
    found = st.significance(study.fit(), study)
    assert shares_held(found, truth) == pytest.approx(0.95, abs=0.03)
    large = np.abs(truth) > 0.5
    assert (found.estimate[large] * truth[large]).sum() / (truth[large] ** 2).sum() == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize(("models", "options"), [(Q, {}), (70, {}), (2 * Q, {"seeds": "pair"})], ids=str)
def test_where_one_set_does_not_tell_its_noise_intervals_are_too_wide_rather_than_too_narrow(models, options):
    study, truth = seeded_study(models, **options)
    assert shares_held(st.significance(study.fit(), study), truth) > 0.95
    dm = study.fit(estimator=st.SharedPrior(pairs=None, ranks=(1,), lasso=False, validation=None))
    assert dm.error is None
    side = options != {"seeds": "pair"}
    why = "no standard errors: one side of a set" if side else "no standard errors: one set of pairs of the same seed"
    assert why_no_errors(dm).startswith(why)
    assert why in repr(st.neighbors(dm, study, targets=[0]))


@pytest.mark.parametrize(
    ("chosen", "why"),
    [
        ("lasso", "the LASSO was chosen"),
        ("ridge", "ridge was chosen"),
        ("guess", "the guess alone"),
        ("rank 1", "units"),
    ],
)
def test_why_a_fit_has_no_errors_is_told_by_what_was_chosen(chosen, why):
    meta = {"estimator": "SharedPrior", "chosen": chosen}
    dm = st.Datamodels(np.eye(3, dtype=np.float32), np.zeros(3), np.zeros(3), meta)
    assert f"no standard errors: {why}" in repr(st.neighbors(dm, targets=[0]))
    assert why_no_errors(replace(dm, error=np.ones((3, 3), np.float32))) == ""
    assert why_no_errors(replace(dm, meta={"estimator": "Lasso"})) == ""


def test_even_effects_make_intervals_wider_not_wrong():
    study, truth = seeded_study(2 * Q, even=0.3)
    assert 0.94 < shares_held(st.significance(study.fit(), study), truth) < 0.99


def test_two_sets_of_a_study_differ_as_their_errors_say():
    """Each set has masks, seeds and interactions of its own: its unbiased weights are independent of the other's."""
    study, _ = seeded_study(4 * Q, even=0.0, share=1.0, targets=60)
    models = finished_models(study, None)
    halves = []
    for part in range(2):
        rows = models.rows[part * 2 * Q : (part + 1) * 2 * Q]
        some = as_designed(replace(models, rows=rows))
        found = stand_in(some, np.arange(60))
        noise = some.row_noise(found.rows)
        assert noise.crosstalk == 0
        halves.append(debias(found.weight, found.sums, design_covariance(study.design), found.support, noise))
    first, second = halves
    z = (first.weight - second.weight) / np.hypot(first.error, second.error)
    assert 0.93 < z.std() < 1.07
    assert (np.abs(z) < 1.96).mean() == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("models", [2 * Q, 4 * Q, 2 * Q + 50])
def test_the_posterior_s_errors_are_as_wide_as_weights_are_wrong(models):
    study, truth = seeded_study(models, share=0.6)
    dm = study.fit(estimator=st.SharedPrior(pairs=None, ranks=(1,), lasso=False))
    off = np.abs((dm.weight - dm.weight.mean(axis=0)) - (truth - truth.mean(axis=0)))
    assert 0.85 < np.mean(off < 1.645 * dm.error) < 0.96
    assert 0.8 < np.sqrt(np.mean(off**2) / np.mean(dm.error**2)) < 1.2
    assert np.array_equal(st.standard_errors(dm, study, [3]), dm.error[:, [3]])


def test_errors_are_of_the_rows_that_were_fitted():
    study, _ = seeded_study(2 * Q, targets=3, validation=30, anchors=0)
    dm = study.fit()
    models, parts = fitted_parts(dm, study)
    assert {name: rows.size for name, rows in parts.items()} == {"fit-all": Q}
    masks, outputs = models.read(parts["fit-all"])
    left = outputs - dm.predict(masks)
    sums = residual_sums(dm, models, parts, np.arange(3))
    assert sums.m == Q
    assert np.allclose(sums.rss, ((left - left.mean(axis=0)) ** 2).sum(axis=0))
    joined = study.fit(estimator=st.LeastSquares())
    assert list(fitted_parts(joined, study)[1]) == ["all"]
    side, _ = seeded_study(Q, targets=3, validation=30)
    parts = fitted_parts(side.fit(), side)[1]
    assert {name: rows.size for name, rows in parts.items()} == {"fit-all": Q, "validation-own": 30}


def test_least_squares_of_pairs_have_the_noise_of_half_sums():
    study, truth = seeded_study(2 * Q, even=0.0)
    exact = st.significance(study.fit(), study, method="exact")
    assert shares_held(exact, truth - np.median(truth, axis=0)) > 0.9
    few, _ = seeded_study(90, targets=3, validation=0)
    with pytest.raises(InputError, match="needs at least 103 models, and there are 90"):
        st.significance(few.fit(), few, method="exact")


@pytest.mark.parametrize(("kind", "n", "alpha"), [("paley", 100, 0.5), ("cyclotomic", 100, 0.25)])
def test_the_covariance_of_a_set_is_known(kind, n, alpha):
    design = Design(alpha=alpha, n=n, kind=kind, models=1, heldout=0)
    whole = design.extend(models=design.sets.prime - 1)
    masks = whole.masks(range(design.sets.prime)).unpack()
    found, exact = design_covariance(whole), np.cov(masks.T, bias=True)
    assert found.singular
    assert np.allclose(np.diag(exact), found.p + found.q)
    off = exact[~np.eye(n, dtype=bool)]
    assert off.mean() == pytest.approx(found.q, rel=0.3)
    if kind == "paley":
        assert np.allclose(off, found.q)


def test_crosstalk_is_what_masks_show():
    """Over that of random masks, by the correlations of units themselves."""
    for models, expected in [(60, 1 - 60 / Q), (Q, 0.0), (Q + 60, None), (3 * Q, 0.0)]:
        design = Design(n=100, models=models, heldout=0, validation=0, anchors=0)
        masks = design.masks().unpack()
        off = np.corrcoef(masks.T)[~np.eye(100, dtype=bool)]
        measured = models * np.mean(off**2)
        told = design.crosstalk(range(models))
        if expected is not None:
            assert told == pytest.approx(expected)
        assert told == pytest.approx(measured, abs=0.12)
    assert Design(n=100, models=60, heldout=0, kind="fixed").crosstalk(range(60)) == 1.0
    plan = Design(n=100, models=Q, heldout=10, validation=10)
    assert plan.crosstalk(plan.role_rows("validation")) == 1.0


def test_random_rows_are_counted_as_ever():
    found = Residuals(300, 99, np.array([120.0]), np.array([20.0]), np.array([40.0]))
    variance, freedom = RowNoise().variance(found)
    assert variance == pytest.approx(300 * 120 / 259**2)
    assert (freedom, RowNoise().left(300, found.used)) == (259, 259)
    # Orthogonal rows with enough of them: least squares in closed form.
    variance, freedom = RowNoise(0.0).variance(found)
    assert (variance, freedom) == (pytest.approx(100 / 200), 200)


def test_validation_models_tell_how_much_of_half_sums_is_even():
    """With even effects as large as the noise, half-sums alone would make errors too wide by a third."""
    study, truth = seeded_study(2 * Q, even=0.3, validation=100)
    models = as_designed(finished_models(study, None))
    refined = models.row_noise(models.rows).half_sums / models.adjustment.noise
    assert np.allclose(refined, refined[0])
    alone = as_designed(replace(finished_models(study, None), validation=None))
    assert np.array_equal(alone.row_noise(alone.rows).half_sums, models.adjustment.noise)
    clean = seeded_study(2 * Q, even=0.0, validation=0)[0]
    noise = as_designed(finished_models(clean, None)).adjustment.noise
    exact = noise.mean() / models.adjustment.noise.mean()
    assert exact < 0.75
    assert refined[0] == pytest.approx(exact, abs=0.2)
    assert 0.92 < shares_held(st.significance(study.fit(), study), truth) < 0.98


def test_on_digits_errors_are_those_of_split_halves():
    """No world of ours: two sets of a study of real models, each fitted by itself."""
    q = 103
    study = st.Study.create(":memory:", st.tasks.digits(n=100), st.Design(models=4 * q, heldout=0, validation=80))
    study.collect(progress=False)
    models, halves = finished_models(study, "test_margins"), []
    targets = np.arange(60)
    for part in range(2):
        some = as_designed(replace(models, rows=models.rows[part * 2 * q : (part + 1) * 2 * q]))
        found = stand_in(some, targets)
        noise = some.row_noise(found.rows).of(targets)
        halves.append(debias(found.weight, found.sums, design_covariance(study.design), found.support, noise))
    first, second = halves
    z = (first.weight - second.weight) / np.hypot(first.error, second.error)
    # Of so few validation models the one standard error more is a fair share.
    assert 0.75 < z.std() < 1.08
    assert 0.94 < (np.abs(z) < 1.96).mean() < 0.995
