"""Kernel ridge and random features against scikit-learn."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import rbf_kernel

from subtrain.errors import InputError
from subtrain.trainers.kernel_ridge import train_kernel_ridge
from subtrain.trainers.random_features import RandomFeatures, train_random_features

RANDOM = np.random.default_rng(2)
X, TEST = RANDOM.normal(size=(90, 5)).astype(np.float32), RANDOM.normal(size=(20, 5)).astype(np.float32)
Y = RANDOM.integers(0, 3, 90)
MASKS = RANDOM.random((5, 90)) < np.linspace(0.2, 0.9, 5)[:, None]
SEEDS = np.array([3, 2**32 - 1, 7, 7, 0], np.uint32)
KERNEL, BETWEEN = rbf_kernel(X.astype(float), gamma=0.3), rbf_kernel(TEST.astype(float), X.astype(float), gamma=0.3)


def kernel_ridge(masks=MASKS, kernel=KERNEL, evaluate=(KERNEL, BETWEEN), lam=0.1, y=Y, classes=3):
    return train_kernel_ridge(kernel, y, masks, evaluate, classes=classes, lam=lam)


def random_features(masks=MASKS, seeds=SEEDS, evaluate=(X, TEST), lam=0.1, **recipe):
    evaluate = list(evaluate)
    made = RandomFeatures(**{"features": 40, "gamma": 0.3} | recipe)
    return train_random_features(X, Y, masks, seeds, evaluate, classes=3, lam=lam, recipe=made)


@pytest.mark.parametrize("lam", [1e-4, 0.1, 10.0])
def test_the_same_logits_as_scikit_learns_kernel_ridge(lam):
    train, test = kernel_ridge(lam=lam)
    assert (train.shape, test.shape, test.dtype) == ((5, 90, 3), (5, 20, 3), np.float32)
    for mask, seen, z in zip(MASKS, train, test, strict=True):
        model = KernelRidge(alpha=lam, kernel="rbf", gamma=0.3).fit(X[mask].astype(float), np.eye(3)[Y[mask]])
        assert np.abs(z - model.predict(TEST.astype(float))).max() < 1e-5
        assert np.abs(seen - model.predict(X.astype(float))).max() < 1e-5


@pytest.mark.parametrize("kind", ["fourier", "relu"])
def test_random_features_are_a_ridge_head_on_each_models_own_map(kind):
    train, test = random_features(kind=kind)
    recipe = RandomFeatures(40, kind, 0.3)
    for mask, seed, seen, z in zip(MASKS, SEEDS, train, test, strict=True):
        mapped = recipe.mapped(X, int(seed)).astype(float)
        model = Ridge(alpha=0.1).fit(mapped[mask], np.eye(3)[Y[mask]])
        assert np.abs(z - model.predict(recipe.mapped(TEST, int(seed)).astype(float))).max() < 2e-5
        assert np.abs(seen - model.predict(mapped)).max() < 2e-5


def test_inner_products_of_fourier_features_tend_to_the_kernel():
    mapped = RandomFeatures(20_000, "fourier", 0.3).mapped(X, 5)
    assert np.abs(mapped @ mapped.T - KERNEL).max() < 0.05


def test_inner_products_of_relu_features_tend_to_the_arc_cosine_kernel():
    gamma = 0.3
    mapped = RandomFeatures(40_000, "relu", gamma).mapped(X, 5)
    extended = np.hstack([X * np.sqrt(2 * gamma), np.ones((90, 1))])
    norms = np.linalg.norm(extended, axis=1)
    angle = np.arccos(np.clip(extended @ extended.T / np.outer(norms, norms), -1, 1))
    expected = np.outer(norms, norms) * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi
    assert np.abs(mapped @ mapped.T / expected - 1).max() < 0.5
    assert abs(np.mean(mapped @ mapped.T / expected) - 1) < 0.01


@pytest.mark.parametrize("train", [kernel_ridge, random_features])
def test_a_model_is_the_same_bit_for_bit_alone_beside_others_and_in_any_place(train):
    def fit(rows):
        return train(MASKS[rows]) if train is kernel_ridge else train(MASKS[rows], SEEDS[rows])

    together = fit(np.arange(5))
    for i in range(5):
        assert all(np.array_equal(a[0], t[i]) for a, t in zip(fit(np.array([i])), together, strict=True))
    order = np.array([4, 0, 0, 2])
    assert all(np.array_equal(p, t[order]) for p, t in zip(fit(order), together, strict=True))


def test_seeds_draw_other_features():
    same = np.repeat(MASKS[:1], 3, axis=0)
    a, b, c = random_features(same, np.array([1, 1, 2], np.uint32))[1]
    assert np.array_equal(a, b)
    assert np.abs(a - c).max() > 0.01


def test_examples_outside_the_subset_have_no_effect():
    kernel, between = KERNEL.copy(), BETWEEN.copy()
    outside = ~MASKS[2]
    kernel[outside], kernel[:, outside], between[:, outside] = 7, 7, 7
    changed = kernel_ridge(MASKS[2:3], kernel, [between])[0]
    assert np.array_equal(changed, kernel_ridge(MASKS[2:3], evaluate=[BETWEEN])[0])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lam": 0.0}, "lam must be a number above 0"),
        ({"kernel": BETWEEN}, "the kernel must be a square matrix"),
        ({"evaluate": [BETWEEN.T]}, r"evaluate\[0\] must be a matrix with 90 columns"),
        ({"y": Y[1:]}, "y must be 90 integers"),
        ({"classes": 2}, r"y must be in 0\.\.1"),
        ({"masks": MASKS & False}, "model 0 of these 5 has an empty subset"),
        ({"kernel": -KERNEL}, "is not positive definite; raise lam"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(changes, said):
    with pytest.raises(InputError, match=said):
        kernel_ridge(**changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"features": 0}, "features must be a whole number"),
        ({"kind": "wavelet"}, "fourier, relu"),
        ({"gamma": 0}, "gamma must be a number above 0"),
    ],
)
def test_a_recipe_of_random_features_must_make_sense(changes, said):
    with pytest.raises(InputError, match=said):
        RandomFeatures(**changes)
