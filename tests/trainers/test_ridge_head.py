"""Ridge heads against scikit-learn and a plain float64 solve; a head depends on its own mask alone."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from subtrain.errors import InputError
from subtrain.trainers.frozen import frozen
from subtrain.trainers.kit import feature_passes
from subtrain.trainers.ridge import TOLERANCE, train_ridge

RANDOM = np.random.default_rng(0)
LATENT = RANDOM.normal(size=(460, 7))
X = np.maximum(LATENT @ RANDOM.normal(size=(7, 24)) + RANDOM.normal(size=(460, 24)), 0).astype(np.float32)
Y = (LATENT @ RANDOM.normal(size=(7, 5)) + RANDOM.normal(size=(460, 5))).argmax(axis=1)
N, CLASSES = 400, 5
X, TEST, Y = X[:N], X[N:], Y[:N]
MASKS = RANDOM.random((6, N)) < np.array([0.03, 0.2, 0.5, 0.5, 0.8, 0.97])[:, None]
DATA = frozen(X, Y, [X, TEST], CLASSES)


def by_scikit_learn(mask, lam, x=X, y=Y, test=TEST, classes=CLASSES):
    model = Ridge(alpha=lam, solver="cholesky").fit(x[mask].astype(np.float64), np.eye(classes)[y[mask]])
    return model.predict(test.astype(np.float64))


def by_numpy(mask, lam):
    """The penalised normal equations with a column of ones that is not penalised."""
    x = np.hstack([X[mask], np.ones((mask.sum(), 1))]).astype(np.float64)
    penalty = np.diag([lam] * X.shape[1] + [0])
    weight = np.linalg.solve(x.T @ x + penalty, x.T @ np.eye(CLASSES)[Y[mask]])
    return TEST.astype(np.float64) @ weight[:-1] + weight[-1]


@pytest.mark.parametrize("lam", [1e-3, 1.0, 100.0])
def test_the_same_logits_as_scikit_learn_and_numpy(lam):
    train, test = train_ridge(DATA, MASKS, lam)
    assert (train.shape, test.shape, test.dtype) == ((6, N, 5), (6, 60, 5), np.float32)
    for mask, seen, z in zip(MASKS, train, test, strict=True):
        assert np.abs(z - by_scikit_learn(mask, lam)).max() < TOLERANCE
        assert np.abs(z - by_numpy(mask, lam)).max() < TOLERANCE
        assert np.abs(seen - by_scikit_learn(mask, lam, test=X)).max() < TOLERANCE


def test_more_rows_than_a_block_and_the_rows_left_out_instead_of_those_kept(monkeypatch):
    monkeypatch.setattr(feature_passes, "_BLOCK", 37)
    for mask, z in zip(MASKS, train_ridge(frozen(X, Y, [TEST], CLASSES), MASKS, 1.0)[0], strict=True):
        assert np.abs(z - by_scikit_learn(mask, 1.0)).max() < TOLERANCE


def test_a_head_is_the_same_bit_for_bit_alone_beside_others_and_in_any_place():
    together = train_ridge(DATA, MASKS, 1.0)
    for i in range(6):
        alone = train_ridge(DATA, MASKS[i : i + 1], 1.0)
        assert all(np.array_equal(a[0], t[i]) for a, t in zip(alone, together, strict=True))
    order = [4, 0, 5, 5, 2]
    permuted = train_ridge(frozen(X, Y, [X, TEST], CLASSES), MASKS[order], 1.0)
    assert all(np.array_equal(p, t[order]) for p, t in zip(permuted, together, strict=True))
    assert np.array_equal(train_ridge(frozen(X, Y, [TEST], CLASSES), MASKS, 1.0)[0], together[1])


def test_one_example_and_all_examples():
    masks = np.zeros((2, N), bool)
    masks[0, 3] = masks[1] = True
    one, every = train_ridge(DATA, masks, 1.0)[1]
    assert np.array_equal(one, np.tile(np.eye(CLASSES)[Y[3]], (60, 1)))
    assert np.abs(every - by_scikit_learn(masks[1], 1.0)).max() < TOLERANCE


def test_a_class_without_examples_has_logit_zero():
    z = train_ridge(DATA, MASKS[3:4] & (Y != 2), 1.0)[1][0]
    assert np.abs(z[:, 2]).max() < TOLERANCE
    assert np.abs(z - by_scikit_learn(MASKS[3] & (Y != 2), 1.0)).max() < TOLERANCE


@pytest.mark.parametrize("lam", [1e-6, 1.0])
def test_duplicate_constant_and_zero_columns(lam):
    def degenerate(x):
        return np.hstack([x, x[:, :9], np.full((len(x), 2), 3.0), np.zeros((len(x), 2))]).astype(np.float32)

    x, test = degenerate(X), degenerate(TEST)
    for mask, z in zip(MASKS[1:], train_ridge(frozen(x, Y, [test], CLASSES), MASKS[1:], lam)[0], strict=True):
        assert np.abs(z - by_scikit_learn(mask, lam, x, test=test)).max() < 2e-4


@pytest.mark.parametrize("shift", [0, 30, 1000])
def test_features_far_from_zero_and_of_any_scale(shift):
    scale = 10.0 ** RANDOM.integers(-2, 3, X.shape[1])
    x, test = (part.astype(np.float64) * scale + shift for part in (X, TEST))
    z = train_ridge(frozen(x, Y, [test], CLASSES), MASKS[2:3], 1e-2)[0][0]
    assert np.abs(z - by_scikit_learn(MASKS[2], 1e-2, x, test=test)).max() < 2e-4


def test_features_too_alike_for_float32_are_summed_in_float64(monkeypatch):
    x = (RANDOM.normal(size=(N, 1)) + 1e-3 * RANDOM.normal(size=(N, 12))).astype(np.float32)
    y = (x[:, 0] > x[:, 1]).astype(int)
    exact, real = [], feature_passes.moments
    monkeypatch.setattr("subtrain.trainers.ridge.moments", lambda *a: (exact.append(a[4]), real(*a))[1])
    z = train_ridge(frozen(x, y, [x], 2), MASKS[1:2], 1e-6)[0][0]
    assert exact == [False, True]
    assert np.abs(z - by_scikit_learn(MASKS[1], 1e-6, x, y, x, 2)).max() < 2e-4


def test_a_lam_that_cannot_be_told_from_zero_is_refused():
    x = np.repeat(RANDOM.normal(size=(N, 1)), 3, axis=1)
    with pytest.raises(InputError, match="lam = 1e-300 is too small for these features"):
        train_ridge(frozen(x, Y, [x], CLASSES), MASKS[2:3], 1e-300)


@settings(max_examples=25, deadline=None)
@example(16256)  # two examples far from the mean of all: residuals must not carry the bias
@given(st.integers(0, 2**32 - 1))
def test_any_small_problem(seed):
    random = np.random.default_rng(seed)
    n, columns, classes = random.integers(2, 40), random.integers(1, 12), random.integers(2, 5)
    x, y = random.normal(size=(n, columns)) * 10 ** random.uniform(-1, 1), random.integers(0, classes, n)
    mask = random.random(n) < random.random()
    mask[random.integers(n)] = True
    lam = 10 ** random.uniform(-2, 2)
    z = train_ridge(frozen(x, y, [x], classes), mask[None], lam)[0][0]
    assert np.abs(z - by_scikit_learn(mask, lam, x, y, x, classes)).max() < 1e-4


@pytest.mark.parametrize(
    ("masks", "lam", "said"),
    [
        (MASKS, 0, "lam must be a number above 0, got 0"),
        (MASKS, np.nan, "lam must be a number above 0"),
        (MASKS[:, :-1], 1.0, r"masks must be bool \[models, 400\]"),
        (MASKS.astype(int), 1.0, "got int64"),
        (MASKS & (np.arange(6) != 4)[:, None], 1.0, "model 4 of these 6 has an empty subset"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(masks, lam, said):
    with pytest.raises(InputError, match=said):
        train_ridge(DATA, masks, lam)
