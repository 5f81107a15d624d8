"""scikit-learn estimators as tasks, against the same estimators fitted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from subtrain import margins
from subtrain.errors import InputError
from subtrain.outputs import check
from subtrain.tasks import sklearn

RANDOM = np.random.default_rng(0)
X, X_TEST = RANDOM.normal(size=(40, 3)), RANDOM.normal(size=(15, 3))
Y, Y_TEST = (np.argmax(x + RANDOM.normal(size=x.shape), axis=1) for x in (X, X_TEST))
MASKS = RANDOM.random((4, 40)) < 0.6
SEEDS = np.array([1, 2, 3, 2**32 - 1], np.uint32)


def trained(estimator, y=Y, y_test=Y_TEST, masks=MASKS, outputs=None, **options):
    task = sklearn(estimator, X, y, X_TEST, y_test, outputs, **options)
    found = [task.train(mask[None], seed[None]) for mask, seed in zip(masks, SEEDS, strict=False)]
    merged = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
    return check(task.outputs, merged, range(len(masks)))


def by_hand(estimator, y, scores, masks=MASKS):
    return [scores(estimator.fit(X[mask], y[mask])) for mask in masks]


def test_a_classifier_with_a_decision_function():
    names = ["test_margins", "train_margins", "test_logits", "test_losses", "test_correctness"]
    found = trained(LogisticRegression(), outputs=names, margin="logsumexp")
    logits = np.stack(by_hand(LogisticRegression(), Y, lambda m: m.decision_function(X_TEST)))
    assert np.array_equal(found["test_logits"], logits.astype(np.float16))
    assert np.array_equal(found["test_margins"], margins(logits, Y_TEST, "logsumexp").astype(np.float16))
    probabilities = np.stack(by_hand(LogisticRegression(), Y, lambda m: m.predict_proba(X_TEST)))
    losses = -np.log(probabilities[:, range(15), Y_TEST])
    assert np.allclose(found["test_losses"], losses, atol=2e-3)
    right = by_hand(LogisticRegression(), Y, lambda m: m.predict(X_TEST) == Y_TEST)
    assert np.array_equal(found["test_correctness"], right)
    assert found["train_margins"].shape == (4, 40)


def test_a_classifier_with_probabilities_only():
    assert not hasattr(GaussianNB(), "decision_function")
    found = trained(GaussianNB())["test_margins"]
    logits = np.log(np.stack(by_hand(GaussianNB(), Y, lambda m: m.predict_proba(X_TEST))).clip(1e-7))
    assert np.array_equal(found, margins(logits, Y_TEST).astype(np.float16))


def test_certain_probabilities_stay_finite():
    found = trained(DecisionTreeClassifier(random_state=0), outputs=["train_margins", "train_losses"])
    assert np.isfinite(found["train_margins"]).all()
    assert np.abs(found["train_margins"]).max() == np.float16(-np.log(1e-7))


@pytest.mark.parametrize("estimator", [LogisticRegression(), GaussianNB()])
def test_two_classes_have_the_margin_of_their_log_odds(estimator):
    y, y_test = np.minimum(Y, 1), np.minimum(Y_TEST, 1)
    found = trained(estimator, y, y_test)["test_margins"]
    odds = [np.log(p[:, 1] / p[:, 0]) for p in by_hand(estimator, y, lambda m: m.predict_proba(X_TEST))]
    assert np.allclose(found, np.where(y_test, 1, -1) * np.stack(odds), rtol=2e-3, atol=1e-3)


def test_labels_may_be_words_or_any_numbers():
    plain = trained(LogisticRegression())["test_margins"]
    for names in (np.array(["cat", "dog", "eel"]), np.array([-3, 5, 70]), np.array(["a", "b", "c"], object)):
        assert np.array_equal(trained(LogisticRegression(), names[Y], names[Y_TEST])["test_margins"], plain)


@pytest.mark.parametrize("estimator", [LogisticRegression(), GaussianNB()])
def test_a_class_missing_from_the_subset_is_never_predicted(estimator):
    found = trained(estimator, masks=MASKS[:1] & (Y != 1), outputs=["test_logits", "test_margins", "train_losses"])
    logits = found["test_logits"][0].astype(float)
    others = np.delete(logits, 1, axis=1)
    assert np.allclose(others.min(axis=1) - logits[:, 1], 10, atol=0.02)
    assert (found["test_margins"][0][Y_TEST == 1] < -9.9).all()
    assert (logits.argmax(axis=1) != 1).all()
    assert np.isfinite(found["train_losses"]).all()


def test_one_class_alone():
    found = trained(DecisionTreeClassifier(), masks=MASKS[:1] & (Y == 2))["test_margins"][0]
    assert np.array_equal(found, np.where(Y_TEST == 2, 10, -10))


def test_a_regressor_in_a_pipeline():
    y, y_test = X @ [1.0, -2.0, 0.5] * 1e6, X_TEST @ [1.0, -2.0, 0.5] * 1e6
    model = make_pipeline(StandardScaler(), Ridge())
    found = trained(model, y, y_test, outputs=["test_predictions", "train_predictions"])
    assert found["test_predictions"].dtype == np.float32
    expected = np.stack(by_hand(model, y, lambda m: m.predict(X_TEST)))
    assert np.array_equal(found["test_predictions"], expected.astype(np.float32))
    assert found["train_predictions"].shape == (4, 40)
    assert sklearn(Ridge(), X, y, X_TEST, y_test).outputs.keys() == {"test_predictions"}


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(5),
        make_pipeline(StandardScaler(), SGDClassifier(max_iter=5, tol=None)),
        DecisionTreeClassifier(max_features=1, random_state=17),
    ],
)
def test_random_state_is_the_models_seed(estimator):
    same = np.repeat(MASKS[:1], 3, axis=0)
    task = sklearn(estimator, X, Y, X_TEST, Y_TEST)
    seeds = np.array([4, 4, 2**32 - 1], np.uint32)
    a, b, c = task.train(same, seeds)["test_margins"]
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    names = [k for k in estimator.get_params() if k.split("__")[-1] == "random_state"]
    model = estimator.__class__(**estimator.get_params(deep=False)).set_params(**dict.fromkeys(names, 4))
    model.fit(X[MASKS[0]], Y[MASKS[0]])
    right = model.predict(X_TEST) == Y_TEST
    assert right[a > 0].all()
    assert not right[a < 0].any()


def test_training_leaves_the_estimator_and_the_data_alone():
    model, before = LogisticRegression(), X.copy()
    task = sklearn(model, X, Y, X_TEST, Y_TEST)
    first = task.train(MASKS, SEEDS)
    assert not hasattr(model, "coef_")
    assert np.array_equal(X, before)
    assert np.array_equal(task.train(MASKS, SEEDS)["test_margins"], first["test_margins"])
    assert np.array_equal(task.train(MASKS[2:3], SEEDS[2:3])["test_margins"], first["test_margins"][2:3])


class Mute(ClassifierMixin, BaseEstimator):
    def fit(self, x, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, x):
        return np.zeros(len(x), int)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: sklearn(LogisticRegression(), X[1:], Y, X_TEST, Y_TEST),
            "x and y differ in length: 39 and 40 examples",
        ),
        (lambda: sklearn(LogisticRegression(), X, Y, X_TEST, Y_TEST + 1), "test label 3 never occurs in the training"),
        (lambda: sklearn(LogisticRegression(), X, Y, X_TEST, Y_TEST, ["test_predictions"]), "does not suit a class"),
        (lambda: sklearn(DecisionTreeRegressor(), X, Y, X_TEST, Y_TEST, ["test_margins"]), "not suit a regression"),
        (lambda: sklearn(LogisticRegression(), X, Y, X_TEST, Y_TEST, margin="mean"), "unknown margin 'mean'"),
        (lambda: sklearn(Mute(), X, Y, X_TEST, Y_TEST).train(MASKS, SEEDS), "Mute has neither decision_function nor"),
    ],
)
def test_what_cannot_be_a_task(make, sentence):
    with pytest.raises(InputError, match=sentence):
        make()
