"""Logistic heads against scikit-learn at a tight tolerance; a head that does not converge fails by name."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from subtrain.errors import InputError
from subtrain.trainers import logistic
from subtrain.trainers.frozen import frozen
from subtrain.trainers.logistic import ABSENT, train_logistic_head

RANDOM = np.random.default_rng(1)
LATENT = RANDOM.normal(size=(360, 6))
X = np.maximum(LATENT @ RANDOM.normal(size=(6, 16)) + RANDOM.normal(size=(360, 16)), 0)
Y = (LATENT @ RANDOM.normal(size=(6, 4)) + RANDOM.normal(size=(360, 4))).argmax(axis=1)
X, TEST, Y = X[:300].astype(np.float32), X[300:].astype(np.float32), Y[:300]
MASKS = RANDOM.random((4, 300)) < np.array([0.1, 0.5, 0.5, 0.9])[:, None]
DATA = frozen(X, Y, [X, TEST], 4)


def by_scikit_learn(mask, lam, x=X, y=Y, test=TEST):
    model = LogisticRegression(C=1 / lam, tol=1e-10, max_iter=20000).fit(x[mask].astype(np.float64), y[mask])
    return model.decision_function(test.astype(np.float64))


@pytest.mark.parametrize("lam", [0.03, 1.0, 50.0])
def test_the_same_logits_as_scikit_learn(lam):
    train, test = train_logistic_head(DATA, MASKS, lam)
    assert (train.shape, test.shape, test.dtype) == ((4, 300, 4), (4, 60, 4), np.float32)
    for mask, seen, z in zip(MASKS, train, test, strict=True):
        assert np.abs(z - by_scikit_learn(mask, lam)).max() < 2e-4
        assert np.abs(seen - by_scikit_learn(mask, lam, test=X)).max() < 2e-4


def test_two_classes_have_twice_the_penalty_of_one_weight_vector():
    y = (Y > 1).astype(int)
    for mask, z in zip(MASKS, train_logistic_head(frozen(X, y, [TEST], 2), MASKS, 2.0)[0], strict=True):
        assert np.abs(z[:, 1] - z[:, 0] - by_scikit_learn(mask, 1.0, y=y)).max() < 2e-4


def test_separable_classes_with_a_small_penalty():
    x = (np.eye(4)[Y] * 3 + 0.1 * RANDOM.normal(size=(300, 4))).astype(np.float32)
    for mask, z in zip(MASKS, train_logistic_head(frozen(x, Y, [x], 4), MASKS, 0.01)[0], strict=True):
        assert np.abs(z - by_scikit_learn(mask, 0.01, x, test=x)).max() < 2e-4


def test_duplicate_and_constant_columns():
    x, test = (np.hstack([part, part[:, :5], np.ones((len(part), 2), np.float32)]) for part in (X, TEST))
    for mask, z in zip(MASKS, train_logistic_head(frozen(x, Y, [test], 4), MASKS, 0.1)[0], strict=True):
        assert np.abs(z - by_scikit_learn(mask, 0.1, x, test=test)).max() < 2e-4


def test_a_head_is_the_same_bit_for_bit_alone_beside_others_and_in_any_place():
    together = train_logistic_head(DATA, MASKS, 1.0)
    for i in range(4):
        alone = train_logistic_head(DATA, MASKS[i : i + 1], 1.0)
        assert all(np.array_equal(a[0], t[i]) for a, t in zip(alone, together, strict=True))
    order = [3, 0, 0, 2]
    permuted = train_logistic_head(frozen(X, Y, [X, TEST], 4), MASKS[order], 1.0)
    assert all(np.array_equal(p, t[order]) for p, t in zip(permuted, together, strict=True))


def test_a_class_missing_from_the_subset_is_never_predicted():
    mask = MASKS[1] & (Y != 2)
    z = train_logistic_head(DATA, mask[None], 1.0)[1][0]
    others = np.delete(z, 2, axis=1)
    assert np.abs(others - by_scikit_learn(mask, 1.0)).max() < 2e-4
    assert np.allclose(others.min(axis=1) - z[:, 2], ABSENT, atol=1e-5)


def test_one_example_and_all_examples():
    masks = np.zeros((2, 300), bool)
    masks[0, 3] = masks[1] = True
    one, every = train_logistic_head(DATA, masks, 1.0)[1]
    assert np.array_equal(one, np.tile(np.where(np.arange(4) == Y[3], 0, -ABSENT), (60, 1)))
    assert np.abs(every - by_scikit_learn(masks[1], 1.0)).max() < 2e-4


def test_a_head_that_does_not_reach_its_tolerance_fails_by_name(monkeypatch):
    monkeypatch.setattr(logistic, "_STEPS", 2)
    with pytest.raises(InputError, match=r"did not reach its tolerance: after 2 Newton steps a logit still moved by"):
        train_logistic_head(DATA, MASKS[:1], 1.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lam": -1}, "lam must be a number above 0, got -1"),
        ({"tol": 0}, "tol must be a number above 0"),
        ({"masks": MASKS[:, 1:]}, r"masks must be bool \[models, 300\]"),
        ({"masks": MASKS & False}, "model 0 of these 4 has an empty subset"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(changes, said):
    with pytest.raises(InputError, match=said):
        train_logistic_head(**({"data": DATA, "masks": MASKS, "lam": 1.0} | changes))
