"""Heads, kernel ridge and random features as tasks: outputs, fingerprints, a whole study, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge

import subtrain as st
from subtrain import margins
from subtrain.errors import CollectError, InputError
from subtrain.outputs import check
from subtrain.tasks import kernel_ridge, logistic_head, mlp, random_features, ridge_head

IMAGES, LABELS = load_digits(return_X_y=True)
X, TEST = (IMAGES[:150] / 16).astype(np.float32), (IMAGES[200:230] / 16).astype(np.float32)
Y, Y_TEST = LABELS[:150], LABELS[200:230]
MASKS = np.random.default_rng(0).random((3, 150)) < 0.5
SEEDS = np.array([5, 6, 2**32 - 1], np.uint32)
KINDS = [ridge_head, logistic_head, kernel_ridge, random_features]
NAMES = ["test_margins", "train_margins", "test_logits", "test_losses", "train_correctness"]


def trained(task, masks=MASKS, seeds=SEEDS):
    return check(task.outputs, task.train(masks, seeds), range(len(masks)))


@pytest.mark.parametrize(
    ("make", "predicted"),
    [
        (ridge_head, lambda x, y, t: Ridge(alpha=0.5).fit(x, np.eye(10)[y]).predict(t)),
        (
            logistic_head,
            lambda x, y, t: LogisticRegression(C=2, tol=1e-8, max_iter=9999).fit(x, y).decision_function(t),
        ),
        (kernel_ridge, lambda x, y, t: KernelRidge(alpha=0.5, kernel="rbf").fit(x, np.eye(10)[y]).predict(t)),
    ],
)
def test_the_outputs_are_those_of_scikit_learns_logits(make, predicted):
    found = trained(make(X, Y, TEST, Y_TEST, lam=0.5, outputs=NAMES, margin="logsumexp"))
    assert {name: value.shape for name, value in found.items()} == {
        "test_margins": (3, 30),
        "train_margins": (3, 150),
        "test_logits": (3, 30, 10),
        "test_losses": (3, 30),
        "train_correctness": (3, 150),
    }
    logits = np.stack([predicted(X[m].astype(float), Y[m], TEST.astype(float)) for m in MASKS])
    assert np.allclose(found["test_logits"], logits, rtol=1e-3, atol=1e-3)
    assert np.allclose(found["test_margins"], margins(logits, Y_TEST, "logsumexp"), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("options", [{"kernel": "linear"}, {"kernel": "poly", "degree": 2, "gamma": 0.1, "coef0": 2}])
def test_other_kernels_are_scikit_learns(options):
    found = trained(kernel_ridge(X, Y, TEST, Y_TEST, lam=0.5, outputs=["test_logits"], **options))["test_logits"]
    for z, m in zip(found, MASKS, strict=True):
        model = KernelRidge(alpha=0.5, **options).fit(X[m].astype(float), np.eye(10)[Y[m]])
        assert np.allclose(z, model.predict(TEST.astype(float)), rtol=1e-3, atol=1e-3)


def test_a_kernel_of_ones_own():
    plain = trained(kernel_ridge(X, Y, TEST, Y_TEST, kernel="linear"))
    own = trained(kernel_ridge(X @ X.T, Y, TEST @ X.T, Y_TEST, kernel="precomputed"))
    assert np.allclose(own["test_margins"], plain["test_margins"], atol=1e-3)


@pytest.mark.parametrize("kind", ["fourier", "relu"])
def test_random_features_learn_and_may_be_shared(kind):
    options = {"features": 100, "kind": kind, "lam": 0.1, "outputs": ["test_correctness"]}
    everybody = np.ones((3, 150), bool)
    own = trained(random_features(X, Y, TEST, Y_TEST, **options), everybody)["test_correctness"]
    assert own.mean() > 0.8
    margins = options | {"outputs": ["test_margins"], "init": "shared"}
    shared = trained(random_features(X, Y, TEST, Y_TEST, **margins), everybody)["test_margins"]
    assert np.array_equal(shared[0], shared[2])
    other = trained(random_features(X, Y, TEST, Y_TEST, **margins, seed=1), everybody)["test_margins"]
    assert not np.array_equal(shared, other)


@pytest.mark.parametrize("make", KINDS)
def test_a_model_does_not_depend_on_its_neighbours_or_on_what_else_is_measured(make):
    every = trained(make(X, Y, TEST, Y_TEST))
    alone = trained(make(X, Y, TEST, Y_TEST, outputs=["test_margins"]), MASKS[1:2], SEEDS[1:2])
    assert np.array_equal(alone["test_margins"][0], every["test_margins"][1])


@pytest.mark.parametrize("make", [ridge_head, logistic_head])
def test_memory_mapped_half_floats_and_images(make, tmp_path):
    np.save(tmp_path / "features.npy", X.reshape(150, 8, 8).astype(np.float16))
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    found = trained(make(mapped, Y, TEST.astype(np.float64), Y_TEST))
    assert np.array_equal(found["test_margins"], trained(make(X, Y, TEST, Y_TEST))["test_margins"])


@pytest.mark.parametrize("make", KINDS)
def test_the_fingerprint_follows_data_and_settings(make):
    changed = X.copy()
    changed[3, 3] += 1
    prints = [
        make(X, Y, TEST, Y_TEST).fingerprint,
        make(X, Y, TEST, Y_TEST, lam=2).fingerprint,
        make(changed, Y, TEST, Y_TEST).fingerprint,
        make(X, np.roll(Y, 1), TEST, Y_TEST).fingerprint,
        make(X, Y, TEST, Y_TEST, margin="logsumexp").fingerprint,
        *(other(X, Y, TEST, Y_TEST).fingerprint for other in KINDS if other is not make),
    ]
    assert len(set(prints)) == len(prints)
    assert make(X, Y, TEST, Y_TEST, lam=1).fingerprint == prints[0]


@pytest.mark.parametrize("make", [ridge_head, random_features])
def test_a_study_has_the_same_bits_as_this_process_whatever_the_workers_and_segments(make, tmp_path):
    task = make(X, Y, TEST, Y_TEST)
    study = st.Study.create(tmp_path / "study", task, st.Design(alpha=0.5, models=6, heldout=0), segment=2)
    study.collect(workers=2, progress=False)
    masks, seeds = study.masks().unpack(), study.design.seeds(range(6))
    assert np.array_equal(study.read("test_margins"), trained(task, masks, seeds)["test_margins"])


def test_a_head_that_does_not_converge_is_reported_by_its_number(tmp_path):
    task = logistic_head(X, Y, TEST, Y_TEST, tol=1e-300)
    study = st.Study.create(tmp_path / "study", task, st.Design(alpha=0.5, models=1, heldout=0))
    with pytest.raises(CollectError, match="model 0: the logistic head did not reach its tolerance"):
        study.collect(workers=1, progress=False)


@pytest.mark.parametrize("make", [*KINDS, mlp])
@pytest.mark.parametrize(
    "form",
    [
        lambda x, y: (x.tolist(), y.tolist()),
        lambda x, y: (pd.DataFrame(x, index=y), pd.Series(y, dtype="Int64")),
        lambda x, y: (sparse.csr_array(x), y[:, None]),
        lambda x, y: (x, y + 1),
        lambda x, y: (x, y.astype(float) - 100000),
        lambda x, y: (x, np.array(list("abcdefghij"))[y]),
    ],
)
def test_data_of_every_form_give_the_same_models(make, form):
    masks, seeds = np.random.default_rng(1).random((2, len(X))) < 0.6, np.uint32([1, 2])
    plain = make(X, Y, TEST, Y_TEST).train(masks, seeds)
    task = make(*form(X, Y), *form(TEST, Y_TEST), dtype="float32")
    assert {spec.dtype for spec in task.outputs.values()} == {"float32"}
    found = task.train(masks, seeds)
    assert all(np.array_equal(plain[name], found[name]) for name in plain)
    assert np.array_equal(task.labels, Y)


@pytest.mark.parametrize("make", [*KINDS, mlp])
def test_subsets_of_one_class_and_without_one_have_finite_outputs(make):
    task = make(X, Y, TEST, Y_TEST, outputs=["test_margins", "train_losses"])
    found = check(task.outputs, task.train(np.stack([Y == 2, Y != 2]), np.uint32([1, 2])), [0, 1])
    assert (found["test_margins"][0][Y_TEST == 2] > 0).all()
    assert (found["test_margins"][1][Y_TEST == 2] < 0).all()


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"y": Y[1:]}, "and y differ in length: 150 and 149 examples"),
        ({"y": Y + 0.5}, "y must hold classes, but has numbers such as"),
        ({"y": np.where(Y == 3, -100, Y)}, 'y holds the label -100, "ignore"'),
        ({"y": Y.astype(str), "y_test": np.full(len(Y_TEST), "x")}, "test label 'x' never occurs in the training"),
        (
            {"x": pd.DataFrame(X).assign(city="x"), "x_test": pd.DataFrame(TEST).assign(city="x")},
            "column 'city', holds",
        ),
        ({"y": Y * 0, "y_test": Y_TEST * 0}, "at least 2 classes"),
        ({"x": np.where(np.arange(150)[:, None] == 7, np.inf, X)}, "train split must be finite, example 7 holds"),
        ({"x": np.full(X.shape, "a")}, "must be real numbers, got dtype <U1"),
        ({"x_test": TEST[:, 1:]}, "the same features, got 64 to train and 63 to test"),
        ({"x_test": TEST[:0], "y_test": Y_TEST[:0]}, "there are no examples"),
        ({"lam": 0}, "lam must be a number above 0, got 0"),
        ({"outputs": ["test_predictions"]}, "does not suit a classification task"),
        ({"outputs": []}, "no outputs were asked for"),
        ({"margin": "mean"}, "unknown margin 'mean'"),
    ],
)
def test_what_cannot_be_a_task(make, changes, said):
    given = {"x": X, "y": Y, "x_test": TEST, "y_test": Y_TEST} | changes
    arrays = [given.pop(name) for name in ("x", "y", "x_test", "y_test")]
    with pytest.raises(InputError, match=said):
        make(*arrays, **given)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: kernel_ridge(X, Y, TEST, Y_TEST, kernel="cosine"), "rbf, linear, poly, precomputed"),
        (lambda: kernel_ridge(X, Y, TEST, Y_TEST, gamma=-1), "gamma must be a number above 0"),
        (lambda: kernel_ridge(X, Y, TEST, Y_TEST, kernel="precomputed"), r"symmetric matrix, got shape \[150, 64\]"),
        (lambda: random_features(X, Y, TEST, Y_TEST, init="mine"), "own, shared"),
        (lambda: random_features(X, Y, TEST, Y_TEST, seed=-1), "seed must be a whole number"),
        (lambda: random_features(X, Y, TEST, Y_TEST, features=0), "features must be a whole number"),
        (lambda: random_features(X, Y, TEST, Y_TEST, kind="haar"), "fourier, relu"),
        (lambda: logistic_head(X, Y, TEST, Y_TEST, tol=0), "tol must be a number above 0"),
    ],
)
def test_settings_that_make_no_sense(make, said):
    with pytest.raises(InputError, match=said):
        make()
