"""Standard errors of `SharedPrior`: as wide as the weights are wrong, kept with the fit, and shown where errors are."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.linalg import hadamard

import subtrain as st
from subtrain.errors import InputError
from subtrain.explorer.data.summaries import tables
from subtrain.explorer.open_studies import OpenFit
from subtrain.fits import load_fit, save_fit
from subtrain.integrity import examine
from subtrain.regression.counting.count_stream import count
from subtrain.regression.estimators.kit.dense_problem import dense
from subtrain.regression.estimators.kit.learned_prior import Prior
from subtrain.regression.estimators.kit.normal_mixtures import MIXTURE, start
from subtrain.regression.estimators.kit.pairs import Pairs
from subtrain.regression.estimators.kit.posterior import channel, shrink
from subtrain.regression.estimators.kit.prior_sweeps import Learned
from subtrain.regression.fit_warnings import FitWarning
from subtrain.regression.lasso.problem import problem
from subtrain.regression.mask_covariance import covariance_of

N, T = 150, 50


@cache
def world(m: int, kind: str = "fixed", guess: bool = False) -> tuple[Any, ...]:
    """Masks, outputs with as much noise as signal, true weights, and a table that they follow besides where there is a
    guess."""
    random = np.random.default_rng(3)
    scale = np.outer(np.exp(random.normal(0, 0.7, N)), np.exp(random.normal(0, 0.5, T)))
    part = MIXTURE[random.choice(MIXTURE.size, p=(0.1, 0.3, 0.3, 0.2, 0.05, 0.05), size=scale.shape)]
    table = random.normal(size=scale.shape)
    weight = random.normal(size=scale.shape) * np.sqrt(scale * part) + guess * table
    masks = st.Design(0.5, models=m, n=N, kind=kind, heldout=0, anchors=0).masks()
    clean = masks.unpack() @ weight
    return masks, clean + clean.std(axis=0) * random.normal(size=clean.shape), weight, table


def fitted(m: int, kind: str = "fixed", guess: bool = False, **options: Any) -> st.SharedPrior:
    masks, y, _, table = world(m, kind, guess)
    options = {"pairs": None, "ranks": (1,), "lasso": False, "threads": 1, "guess": table if guess else None} | options
    return st.SharedPrior(**options).fit(masks, y)


@pytest.mark.parametrize("guess", [False, True])
@pytest.mark.parametrize(("m", "kind"), [(100, "fixed"), (400, "fixed"), (400, "bernoulli")])
def test_ninety_per_cent_intervals_hold_about_ninety_per_cent(m, kind, guess):
    found = fitted(m, kind, guess)
    off = np.abs(found.weight_ - world(m, kind, guess)[2])
    assert found.error_.shape == (N, T)
    assert 0.85 < np.mean(off < 1.645 * found.error_) < 0.95
    assert 0.85 < np.sqrt(np.mean(off**2) / np.mean(found.error_**2)) < 1.15


@pytest.mark.parametrize("m", [80, 400])
def test_of_a_normal_prior_it_is_the_exact_posterior(m):
    """Variances as in the diagonal of the inverse, though nothing of n x n is inverted."""
    masks, y, *_ = world(m, "bernoulli")
    plan = problem(count(masks, y, 1), "raw")
    task, noise, scale = dense(plan), y.var(axis=0) / 2, np.exp(np.random.default_rng(0).normal(size=N))
    cover = [np.linalg.inv(np.diag(1 / scale) + m * task.covariance / v) for v in noise]
    state, prior = start(task), Prior(np.ones(T), N, Pairs())
    state.coef = np.stack([part @ (m * rho / v) for part, rho, v in zip(cover, task.rho, noise, strict=True)])
    state.pull = task.rho - state.coef @ task.covariance
    state.share = np.where(MIXTURE == 1.0, 1.0, 1e-300)
    prior.by_unit = scale[None]
    found = channel(task, m, Learned(state, prior, 1), covariance_of(task.covariance, plan.mean, m), 1)
    mean, spread = np.empty((T, N)), np.empty((T, N))
    shrink(found.seen, found.blur, np.zeros((T, N)), prior.variances(), state.share, mean, spread, np.zeros(6))
    exact = np.stack([np.diag(part) for part in cover])
    assert np.median(np.abs(spread / exact - 1)) < 0.1
    # The weights are those that explain themselves.
    assert np.corrcoef(mean.ravel(), state.coef.ravel())[0, 1] > 0.99


def test_a_fit_without_a_posterior_has_no_errors():
    masks, y, *_ = world(400)
    model = fitted(400)
    held = masks.unpack()
    held[:, :30] &= held[:, 30:60]
    assert not hasattr(model.fit(held, y), "error_"), "some units are held less often"
    held = masks.unpack()
    for design in (np.concatenate([held[:200], ~held[:200]]), hadamard(256)[:, 1 : N + 1] > 0):
        assert not hasattr(model.fit(design, y[: len(design)]), "error_"), "masks are not drawn independently"
    # Sparse weights, each target's of its own.
    random = np.random.default_rng(0)
    weight = np.where(random.random((N, T)) < 0.03, random.normal(size=(N, T)), 0.0)
    model = fitted(400).set_params(lasso=True, sweeps=1)
    assert model.fit(masks, masks.unpack() @ weight + 0.3 * random.normal(size=y.shape)).chosen_ == "lasso"
    assert not hasattr(model, "error_")


def test_of_what_never_changes_nothing_is_known():
    masks, y, *_ = world(400)
    held, y = masks.unpack().copy(), y.copy()
    held[:, 7], y[:, 3] = True, 1.0
    with pytest.warns(FitWarning):
        found = st.SharedPrior(pairs=None, ranks=(1,), lasso=False, threads=1).fit(held, y)
    assert np.isinf(found.error_[7, 4])
    assert found.error_[8, 3] == 0
    assert np.isfinite(np.delete(found.error_, 7, axis=0)).all()


@pytest.fixture
def kept(make_study) -> tuple[st.Study, st.Datamodels]:
    study = make_study(models=60, heldout=4)
    dm = study.fit(estimator=st.SharedPrior(pairs=None, ranks=(1,), lasso=False))
    save_fit(study, dm)
    return study, dm


def test_errors_are_kept_with_the_fit(kept, tmp_path):
    study, dm = kept
    assert np.array_equal(load_fit(study).error, dm.error)
    found = examine(study)
    assert not found.damage + found.notes
    assert np.array_equal(st.Datamodels.load(dm.save(tmp_path / "fit")).error, dm.error)
    st.Datamodels(dm.weight, dm.bias, dm.lam, dm.meta).save(tmp_path / "fit")
    assert st.Datamodels.load(tmp_path / "fit").error is None
    assert not (tmp_path / "fit" / "error.npy").exists()
    with pytest.raises(InputError, match=r"errors are of shape \[3\], the weights of"):
        st.Datamodels(dm.weight, dm.bias, dm.lam, {}, np.zeros(3))


def test_the_posterior_s_errors_are_shown_wherever_errors_are(kept):
    study, dm = kept
    assert np.array_equal(st.standard_errors(dm, study, [1, 0]), dm.error[:, [1, 0]])
    found = st.neighbors(dm, study, [1], k=3)
    assert np.allclose(found.table()["error"], dm.error[found.unit, 1])
    assert "error" not in st.neighbors(dm, study, together=True).table()
    shown = OpenFit("", "", study, dm, None, None, None, None)
    assert shown.half_width(1, [2, 5]) == pytest.approx(1.959964 * np.hypot(dm.error[2, 1], dm.error[5, 1]))
    arrays, _ = tables(study, dm, np.ascontiguousarray(dm.weight.T), lambda *_: None)
    assert np.allclose(arrays["error"], np.median(dm.error, axis=0))
    # The test of which weights are real stays that of a LASSO on the same models.
    assert st.significance(dm, study).error.shape == (1, dm.targets)
