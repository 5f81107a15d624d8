"""Audits of functions of masks whose weight by degree is known."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from subtrain import Design, Output, Study, audit
from subtrain.errors import InputError
from subtrain.tasks import batch
from subtrain.uses.audit import correlated, decay, hahn, swaps, weights_by_degree

N = 12


def planted(linear, product, noise=0.0):
    """linear (x1 - x2) + product (x3 - x4)(x5 - x6): of degree 1 and 2 exactly, whatever the design; and noise."""

    def train(masks, seeds):
        x = masks.astype(float)
        y = linear * (x[:, 0] - x[:, 1]) + product * (x[:, 2] - x[:, 3]) * (x[:, 4] - x[:, 5])
        drawn = np.array([np.random.default_rng(int(s)).normal(size=2) for s in seeds])
        return {"test_margins": (y[:, None] + noise * drawn).astype(np.float32)}

    return batch(train, N, {"test_margins": Output((2,), "float32")}, 64)


def share_of_degree_one(linear, product, kind):
    """By enumeration of what the moments are at alpha = 1/2."""
    if kind == "bernoulli":
        one, two = 0.5, 0.25
    else:
        every = np.array([[(s >> j) & 1 for j in range(N)] for s in range(2**N)])
        x = every[every.sum(axis=1) == N // 2].astype(float)
        assert len(x) == comb(N, N // 2)
        one = ((x[:, 0] - x[:, 1]) ** 2).mean()
        two = ((x[:, 2] - x[:, 3]) ** 2 * (x[:, 4] - x[:, 5]) ** 2).mean()
    return linear**2 * one / (linear**2 * one + product**2 * two)


@pytest.mark.parametrize("kind", ["fixed", "bernoulli"])
@pytest.mark.parametrize(("linear", "product"), [(1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
def test_the_linear_share_is_that_of_the_world(make_study, trained_here, kind, linear, product):
    task = planted(linear, product, noise=0.4)
    subsets = {"fixed": 800, "bernoulli": 3000}[kind]  # there are 924 fixed ones
    study = make_study(task=task, kind=kind, models=10, heldout=subsets, replicates=2, segment=4096)
    found = audit(study, pairs=None)
    truth = share_of_degree_one(linear, product, kind)
    assert found.linear.low - 0.03 <= truth <= found.linear.high + 0.03
    assert abs(found.linear.value - truth) < 0.15
    assert found.degrees.sum() == pytest.approx(1.0)
    assert 0 < sum(trained_here) <= 3 * subsets


def test_noise_share_and_ceiling_are_those_of_the_world(make_study):
    study = make_study(task=planted(2.0, 0.0, noise=1.0), heldout=400, replicates=3, segment=4096)
    found = audit(study, pairs=0)
    assert found.linear is None
    signal = 4.0 * (0.5 + 0.5 / (N - 1))
    assert np.mean(found.noise_share) == pytest.approx(1 / (1 + signal), abs=0.08)
    assert found.ceiling_of(3) == pytest.approx(np.mean(found.ceiling), abs=0.01)
    assert found.ceiling_of(1) < found.ceiling_of(10) < 1.0
    assert repr(found).startswith("Audit(test_margins: noise share 0.")
    assert set(found.to_json()) == {"target", "noise_share", "ceiling"}
    assert len(found.figure().axes) == 1


def test_a_linearity_audit_has_a_figure_of_both(make_study, trained_here):
    study = make_study(task=planted(1.0, 0.5), heldout=40, segment=4096)
    found = audit(study, pairs=20)
    assert len(found.figure().axes) == 2
    assert "linear share" in repr(found)
    assert found.covariance.shape == found.rhos.shape == (4,)


def test_what_cannot_be_audited_is_said(make_study):
    single = make_study(name="single", heldout=5, replicates=1)
    with pytest.raises(InputError, match="two or more runs"):
        audit(single)
    study = make_study(heldout=5)
    with pytest.raises(InputError, match="strictly between 0 and 1"):
        audit(study, rhos=[1.0])
    mixed = make_study(name="mixed", heldout=5, alpha=(0.3, 0.5))
    with pytest.raises(InputError, match="one alpha"):
        audit(mixed)


def test_spherical_functions_are_what_subsets_have():
    every = np.array([[(s >> j) & 1 for j in range(8)] for s in range(256)])
    x = every[every.sum(axis=1) == 4].astype(float)
    for degree in range(1, 5):
        f = np.prod([x[:, 2 * i] - x[:, 2 * i + 1] for i in range(degree)], axis=0)
        for k in range(5):
            apart = (4 - x @ x.T) == k
            measured = (f[:, None] * f * apart).sum() / apart.sum() / (f**2).mean()
            assert hahn(degree, k, 8, 4) == pytest.approx(measured, abs=1e-12)
    assert hahn(3, 1, 6, 2) == 0.0


@pytest.mark.parametrize("kind", ["fixed", "bernoulli"])
def test_partners_have_the_correlation_asked_for(kind):
    random = np.random.default_rng(0)
    masks = random.permuted(np.repeat([[True] * 30 + [False] * 70], 500, axis=0), axis=1)
    others = correlated(masks, 0.6, kind, 0.3, seed=1)
    centred, partner = masks - 0.3, others - 0.3
    assert (centred * partner).mean() / 0.21 == pytest.approx(0.6, abs=0.02)
    if kind == "fixed":
        assert np.all(others.sum(axis=1) == 30)
        assert np.all((masks & ~others).sum(axis=1) == swaps(0.6, 100, 30))


def test_weights_are_those_that_made_the_covariances():
    decays = [decay(rho, "bernoulli", 0, 0) for rho in (0.2, 0.5, 0.8, 1.0)]
    covariance = np.asarray(decays) @ [2.0, 1.0, 0.0, 0.5]
    np.testing.assert_allclose(weights_by_degree(covariance, decays, np.ones(4)), [2.0, 1.0, 0.0, 0.5], atol=1e-9)


def test_a_designed_study_is_audited_on_its_random_subsets():
    """Held-out subsets of a paley study are random ones of half the units, and so are their partners."""

    def train(masks, seeds):
        x = masks.astype(float)
        y = 2 * (x[:, 0] - x[:, 1]) + 2 * (x[:, 2] - x[:, 3]) * (x[:, 4] - x[:, 5])
        drawn = np.array([np.random.default_rng(int(s)).normal(size=2) for s in seeds])
        return {"test_margins": y[:, None] + 0.3 * drawn}

    task = batch(train, 100, {"test_margins": Output((2,), "float64")}, 64)
    study = Study.create(":memory:", task, Design(models=120, heldout=150))
    study.collect(progress=False)
    assert study.design.kind == "paley"
    found = audit(study, pairs=150, progress=False)
    # A difference of two units has the variance 1 / 2: the linear part's is 4 / 2, the product's 4 / 4.
    assert found.linear.value == pytest.approx(2 / 3, abs=0.15)
