"""The covariance of masks is what many of them show."""

import numpy as np
import pytest

from subtrain import Design
from subtrain.errors import InputError
from subtrain.regression.mask_covariance import covariance_of, design_covariance, observed_covariance

DESIGNS = [
    ("fixed", 0.5),
    ("fixed", 0.2),
    ("bernoulli", 0.3),
    ("bernoulli", (0.2, 0.4, 0.8)),
    ("fixed", (0.2, 0.4, 0.8)),
]


def matrix(cov):
    return cov.p * np.eye(cov.n) + cov.q


@pytest.mark.parametrize(("kind", "alpha"), DESIGNS)
def test_it_is_the_covariance_of_many_masks(kind, alpha):
    design = Design(alpha=alpha, models=20_000, kind=kind, heldout=0, n=30)
    masks = design.masks().unpack()
    cov = design_covariance(design)
    assert np.allclose(matrix(cov), np.cov(masks.T, bias=True), atol=0.008)
    again = observed_covariance(masks.sum(axis=1), masks.sum(axis=0))
    assert (again.p, again.q) == pytest.approx((cov.p, cov.q), abs=0.004)
    assert again.singular == cov.singular == (kind == "fixed" and alpha in (0.5, 0.2))


@pytest.mark.parametrize(("kind", "alpha"), DESIGNS)
def test_solving_is_multiplying_by_the_pseudo_inverse(kind, alpha):
    cov = design_covariance(Design(alpha=alpha, models=10, kind=kind, heldout=0, n=30))
    inverse = np.linalg.pinv(matrix(cov), rcond=1e-9)
    values = np.random.default_rng(0).normal(size=(30, 4))
    assert np.allclose(cov.solve(values), inverse @ values)
    assert np.allclose(np.diag(inverse), cov.precision)


def test_units_that_are_not_alike_are_refused():
    masks = np.random.default_rng(0).random((2000, 10)) < np.linspace(0.3, 0.7, 10)
    with pytest.raises(InputError, match="some units are held by more models than others"):
        observed_covariance(masks.sum(axis=1), masks.sum(axis=0))


def test_units_that_always_come_together_have_no_covariance_to_solve_with():
    held = np.random.default_rng(0).random(100) < 0.5
    masks = np.stack([held, held], axis=1)
    assert covariance_of(np.cov(masks.T, bias=True), masks.mean(axis=0), 100) is None
