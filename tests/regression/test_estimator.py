"""The one face of the estimators beside `Lasso`: what goes in, what comes out, and fitting from counts alone."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from subtrain.errors import InputError
from subtrain.masks import pack
from subtrain.regression import Lasso, count
from subtrain.regression.estimators.elastic_net import ElasticNet
from subtrain.regression.estimators.mean_difference import MeanDifference
from subtrain.regression.estimators.ridge import LeastSquares, Ridge
from subtrain.regression.lasso.problem import lambda_grid

ALL = [Ridge(lambdas=9, eps=1e-6), LeastSquares(), ElasticNet(lambdas=20), MeanDifference()]
pytestmark = pytest.mark.filterwarnings("ignore:.*lambda validates best.*")


def world(m: int = 200, n: int = 30, targets: int = 3):
    random = np.random.default_rng(0)
    masks = random.random((m, n)) < 0.5
    weight = random.normal(size=(n, targets)) * (random.random((n, targets)) < 0.3)
    return masks, (masks @ weight + random.normal(size=(m, targets))).astype(np.float16)


@pytest.mark.parametrize("estimator", ALL)
def test_shapes_and_forms(estimator) -> None:
    masks, y = world()
    want = clone(estimator).fit(masks, y)
    assert want.weight_.shape == (30, 3)
    assert want.bias_.shape == want.lam_.shape == want.gap_.shape == want.residual_.shape == (3,)
    assert want.lambdas_.shape == want.validation_mse_.shape
    assert want.lambdas_.shape[1] == 3
    np.testing.assert_allclose(want.predict(masks), masks @ want.weight_ + want.bias_)
    assert want.score(masks, y.astype(float)) > 0 or isinstance(estimator, MeanDifference)
    for form in (pack(masks), masks.astype(np.int8), masks.astype(float), masks.tolist(), np.asfortranarray(masks)):
        got = clone(estimator).fit(form, y)
        np.testing.assert_array_equal(got.weight_, want.weight_)
        np.testing.assert_array_equal(got.predict(form), want.predict(masks))
    single = clone(estimator).fit(masks, y[:, 0])
    assert single.predict(masks).shape == (200,)
    np.testing.assert_allclose(single.weight_[:, 0], want.weight_[:, 0], atol=1e-12)
    again = pickle.loads(pickle.dumps(want))
    np.testing.assert_array_equal(again.predict(masks), want.predict(masks))


@pytest.mark.parametrize("estimator", [*ALL, Lasso(lambdas=20)])
def test_counts_are_all_it_needs(estimator) -> None:
    masks, y = world()
    rows = np.arange(200) % 4 == 0
    train, valid = (count(masks[part], y[part]) for part in (~rows, rows))
    one = clone(estimator).fit(masks, y, sample_split=rows)
    two = clone(estimator).fit_counts(train, valid)
    three = clone(estimator).fit_counts(train, valid, count(masks, y))
    np.testing.assert_array_equal(two.weight_, one.weight_)
    np.testing.assert_allclose(three.weight_, one.weight_, atol=1e-9)
    np.testing.assert_array_equal(two.predict(masks), one.predict(masks))
    given = clone(estimator).fit(masks[~rows], y[~rows], validation=(masks[rows], y[rows]))
    np.testing.assert_array_equal(given.weight_, one.weight_)


@pytest.mark.parametrize("estimator", ALL)
def test_bad_input_is_refused(estimator) -> None:
    masks, y = world(m=40, n=10)
    bad = y.copy()
    bad[7, 1] = np.nan
    for wrong, match in (
        (lambda e: e.fit(masks, bad), "target 1 is nan in the model at position 7"),
        (lambda e: e.fit(masks, y[:39]), "40 masks but outputs of 39 models"),
        (lambda e: e.fit(masks, y[:, :0]), "no targets"),
        (lambda e: e.fit(masks, None), "target y is None"),
        (lambda e: e.fit(masks * 2, y), "0 and 1"),
        (lambda e: e.fit(masks, y, validation=(masks, y), sample_split=[1]), "not both"),
        (lambda e: e.fit(pack(masks), y).predict(pack(masks[:, :9])), "over 9 units, the datamodels over 10"),
        (lambda e: e.fit(masks, 1e13 + np.arange(40.0)), "too close together"),
    ):
        with pytest.raises(InputError, match=match):
            wrong(clone(estimator))
    with pytest.raises(NotFittedError):
        clone(estimator).predict(masks)


@pytest.mark.parametrize("estimator", [Ridge(validation=None), ElasticNet(validation=None)])
def test_several_lambdas_need_validation_models(estimator) -> None:
    masks, y = world(m=40, n=10)
    with pytest.raises(InputError, match="needs validation models"):
        estimator.fit(masks, y)
    assert clone(estimator).set_params(lambdas=[0.1]).fit(masks, y).lam_.tolist() == [0.1] * 3


def test_lambda_grid() -> None:
    top = np.array([1.0, 10.0])
    np.testing.assert_allclose(lambda_grid(3, top, 0.01), [[1, 0.1, 0.01], [10, 1, 0.1]])
    np.testing.assert_array_equal(lambda_grid([1, 3, 2], top, 0.1), [[3, 2, 1], [3, 2, 1]])
    np.testing.assert_array_equal(lambda_grid([[1, 2], [5, 4]], top, 0.1), [[2, 1], [5, 4]])
    for wrong in ([[1, 2]], [], [0.0], [np.nan], 1):
        with pytest.raises(InputError):
            lambda_grid(wrong, top, 0.1)
