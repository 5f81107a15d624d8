"""Outputs far from zero: a constant added to a target changes its bias and nothing else."""

import numpy as np
import pytest

import subtrain as st
from subtrain.masks import pack
from subtrain.regression import (
    AME,
    ElasticNet,
    Lasso,
    LassoLarge,
    LeastSquares,
    LeaveSelfOut,
    MeanDifference,
    Ridge,
    SharedPrior,
    count,
)
from subtrain.regression.counting.count_stream import count_blocks

pytestmark = pytest.mark.filterwarnings("ignore::subtrain.regression.FitWarning")
M, N, T = 300, 20, 4
FAR = 1e6
ESTIMATORS = [
    Lasso(),
    Lasso(validation=5),
    Lasso(objective="raw"),
    LassoLarge(),
    ElasticNet(),
    Ridge(),
    LeastSquares(),
    MeanDifference(),
    SharedPrior(ranks=(1,), pairs=None),
    LeaveSelfOut(units=[0, 1, 2, 3]),
]


def world(seed: int = 0):
    """Outputs with a deviation of 0.03, whole multiples of 2^-16, which 1e6 added to them keeps exactly."""
    random = np.random.default_rng(seed)
    masks = random.random((M, N)) < 0.5
    weight = random.normal(size=(N, T)) * (random.random((N, T)) < 0.5) / 64
    outputs = masks @ weight + random.normal(size=(M, T)) / 64
    return masks, np.round(outputs * 2**16) / 2**16


def same(got, near, shift):
    size = np.abs(near.weight_).max()
    np.testing.assert_allclose(got.weight_, near.weight_, atol=1e-4 * size)
    np.testing.assert_allclose(got.bias_ - shift, near.bias_, atol=1e-4 * size)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: str(e)[:30])
def test_one_target_far_from_zero_among_others(estimator):
    masks, y = world()
    shift = np.array([0.0, FAR, 0.0, -FAR])
    near = type(estimator)(**estimator.get_params()).fit(masks, y)
    same(type(estimator)(**estimator.get_params()).fit(masks, y + shift), near, shift)


@pytest.mark.parametrize("estimator", ESTIMATORS[:-1], ids=lambda e: str(e)[:30])
def test_a_single_target_far_from_zero(estimator):
    masks, y = world()
    near = type(estimator)(**estimator.get_params()).fit(masks, y[:, :1])
    same(type(estimator)(**estimator.get_params()).fit(masks, y[:, :1] + FAR), near, FAR)


def test_marginal_effects_far_from_zero():
    masks, y = world()
    same(AME().fit(masks, y + FAR, 0.5), AME().fit(masks, y, 0.5), FAR)


def on_device(masks, y):
    pytest.importorskip("torch", reason="needs the torch extra")
    from subtrain.regression.device import device_counts

    return device_counts([(pack(masks), y)], device="cpu")


@pytest.mark.filterwarnings("ignore::subtrain.system.experimental.ExperimentalWarning")
@pytest.mark.parametrize("counted", [count, on_device])
def test_squared_deviations_of_a_level_are_exact_to_many_digits(counted):
    """Whatever the order and size of the blocks: Chan's formula joins them."""
    masks, y = world()
    true = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    parts = [counted(masks[rows], y[rows] + FAR) for rows in (slice(0, 7), slice(7, 150), slice(150, None))]
    whole = counted(masks, y + FAR)
    for found in (whole, parts[0] + parts[1] + parts[2], parts[2] + (parts[0] + parts[1])):
        np.testing.assert_allclose(found.y_dev, true, rtol=1e-8)
        np.testing.assert_array_equal(found.gram, masks.T.astype(int) @ masks)
    blocks = [(pack(masks[k : k + 33]), y[k : k + 33] + FAR) for k in range(0, M, 33)]
    np.testing.assert_allclose(count_blocks(blocks).y_dev, true, rtol=1e-8)


def test_a_study_far_from_zero_is_fitted_judged_and_tested_as_near_it(tmp_path):
    masks, y = world()
    shift = np.array([0.0, FAR, 0.0, -FAR])
    found = []
    for name, outputs in (("near", y), ("far", y + shift)):
        study = st.Study.from_arrays(tmp_path / name, masks, {"test_margins": outputs}, heldout=60)
        dm = st.fit(study)
        assert dm.meta["notes"] == []
        found.append((dm, st.evaluate(dm, study, bootstrap=0), st.significance(dm, study, method="exact")))
    (near, near_judged, near_tested), (far, judged, tested) = found
    np.testing.assert_allclose(far.weight, near.weight, atol=1e-6)
    np.testing.assert_allclose(far.bias - shift, near.bias, atol=1e-6)
    assert judged.lds.value == pytest.approx(near_judged.lds.value, abs=1e-3)
    assert judged.mse == pytest.approx(near_judged.mse, rel=1e-3)
    np.testing.assert_allclose(tested.noise, near_tested.noise, rtol=1e-3)
    np.testing.assert_allclose(tested.error, near_tested.error, rtol=1e-3)
