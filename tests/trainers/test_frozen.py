"""Frozen features: prepared from any kind of array, refused when they cannot be used."""

import numpy as np
import pytest

from subtrain.errors import InputError
from subtrain.trainers import frozen as module
from subtrain.trainers.frozen import frozen
from subtrain.trainers.kit.feature_passes import moments, swept

RANDOM = np.random.default_rng(0)
X, TEST = RANDOM.normal(3, 2, (50, 4)).astype(np.float16), RANDOM.normal(3, 2, (9, 4)).astype(np.float16)
Y = RANDOM.integers(0, 3, 50)


def test_memory_mapped_half_floats_a_slice_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SLICE", 7)
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    found, plain = frozen(mapped, Y, [mapped, TEST], 3), frozen(X.astype(np.float64), Y, [X, TEST], 3)
    assert found.x.dtype == np.float32
    assert np.array_equal(found.x, plain.x)
    assert np.array_equal(found.evaluate[1], plain.evaluate[1])
    assert found.evaluate[0] is found.x
    assert np.abs(found.x.mean(axis=0)).max() < 1e-6
    assert np.allclose(found.x[:9] - found.evaluate[1], X[:9].astype(float) - TEST, atol=1e-5)


@pytest.mark.parametrize("exact", [False, True])
def test_moments_and_sweeps_are_the_sums_they_say(exact):
    data = frozen(X, Y, [], 3)
    rows = np.flatnonzero(RANDOM.random(50) < 0.6)
    x, onehot = data.x[rows].astype(np.float64), np.eye(3)[Y[rows]]
    found = moments(data.x, data.y, 3, rows, exact)
    assert np.allclose(found.gram, x.T @ x, rtol=1e-5)
    assert np.allclose(found.sums, onehot.T @ x)
    assert np.array_equal(found.counts, onehot.sum(axis=0))
    assert np.allclose(found.covariance, np.cov(x.T, ddof=0) * rows.size, atol=1e-4)
    weight, bias = RANDOM.normal(size=(4, 3)), RANDOM.normal(size=3)
    for k in range(1, 10):
        pull, sums = swept(data.x, rows[:k], weight, bias, lambda z, where: 2 * z)
        z = 2 * (x[:k] @ weight + bias)
        assert np.allclose(pull, x[:k].T @ z, rtol=1e-4, atol=1e-4)
        assert np.allclose(sums, z.sum(axis=0), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"x": X[0]}, "features must be a matrix"),
        ({"x": X[:, :0]}, r"got shape \[50, 0\]"),
        ({"y": Y[1:]}, "y must be 50 integers"),
        ({"y": Y.astype(float)}, "got float64"),
        ({"y": Y + 1}, r"y must be in 0\.\.2, found 1\.\.3"),
        ({"classes": 1}, "at least 2 classes"),
        ({"evaluate": [TEST, TEST[:, 1:]]}, r"evaluate\[1\] must be a matrix with 4 columns"),
        ({"evaluate": [np.where(np.arange(9)[:, None] == 5, np.nan, TEST)]}, r"evaluate\[0\] must be finite .* row 5"),
        ({"x": np.where(np.arange(50)[:, None] == 49, 1e16, X.astype(float))}, "finite numbers below 1e\\+15, row 49"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(changes, said):
    with pytest.raises(InputError, match=said):
        frozen(**({"x": X, "y": Y, "evaluate": [TEST], "classes": 3} | changes))
