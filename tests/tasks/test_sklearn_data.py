"""What people give scikit-learn: frames, sparse matrices, labels of every kind; and subsets without a class."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier, OutputCodeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC

from subtrain import Design, Study
from subtrain.errors import InputError
from subtrain.outputs import SchemaError, check
from subtrain.tasks import sklearn
from subtrain.tasks.relabel import relabelled

RANDOM = np.random.default_rng(0)
N = 60
X = RANDOM.normal(size=(N, 4))
Y = np.argmax(X[:, :3] + 0.5 * RANDOM.normal(size=(N, 3)), axis=1)
TEST, Y_TEST = X[:10] + 0.1, Y[:10]
WORDS = np.array(["eel", "cat", "dog"])  # not in order: classes are sorted
FRAME = pd.DataFrame(X, columns=list("abcd"), index=RANDOM.permutation(N) % 7)
MASKS = RANDOM.random((2, N)) < 0.6
SEEDS = np.array([1, 2], np.uint32)


def found(x=X, y=Y, x_test=TEST, y_test=Y_TEST, estimator=None, masks=MASKS, outputs=("test_logits",), **options):
    task = sklearn(estimator or LogisticRegression(), x, y, x_test, y_test, outputs, dtype="float64", **options)
    return check(task.outputs, task.train(masks, SEEDS[: len(masks)]), range(len(masks)))[outputs[0]]


PLAIN = found()


@pytest.mark.parametrize(
    "make", [pd.DataFrame, sparse.csr_array, sparse.csc_matrix, sparse.coo_array, np.ndarray.tolist]
)
def test_the_same_numbers_in_every_form_give_the_same_models(make):
    assert np.allclose(found(make(X), Y, make(TEST)), PLAIN, atol=1e-4)


def test_a_frame_is_taken_by_position_and_its_columns_by_name():
    test = pd.DataFrame(TEST, columns=list("abcd"))
    assert np.array_equal(found(FRAME, pd.Series(Y, index=FRAME.index), test), PLAIN)
    assert np.array_equal(found(FRAME, Y, test[list("dbca")]), PLAIN)


def test_a_pipeline_selects_columns_by_name_and_sees_categories_and_gaps():
    gaps = pd.array(np.where(np.arange(N) % 9 == 0, np.nan, X[:, 0]), dtype="Float64")
    table = FRAME.assign(
        a=gaps, city=pd.Categorical(RANDOM.choice(list("uvw"), N)), flag=pd.array(Y > 0, dtype="boolean")
    )
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["city"]), (numbers, ["a", "b"]))
    pipe = make_pipeline(columns, LogisticRegression())
    logits = found(table, WORDS[Y], table[:10], WORDS[Y_TEST], pipe)
    for mask, ours in zip(MASKS, logits, strict=True):
        assert np.array_equal(ours, pipe.fit(table[mask], WORDS[Y[mask]]).decision_function(table[:10]))


def test_texts_are_taken_as_a_vectorizer_takes_them():
    texts = [f"{WORDS[y]} other" for y in Y]
    pipe = make_pipeline(TfidfVectorizer(), LogisticRegression())
    listed = found(texts, Y, texts[:10], estimator=pipe)
    assert np.array_equal(found(pd.Series(texts, index=FRAME.index), Y, pd.Series(texts[:10]), estimator=pipe), listed)


@pytest.mark.parametrize(
    "make",
    [
        lambda y: y[:, None],
        lambda y: y.tolist(),
        lambda y: y.astype(float),
        lambda y: pd.DataFrame({"label": y}),
        lambda y: pd.Series(y, dtype="Int64"),
        lambda y: pd.Categorical(y),
        lambda y: y + 1,
        lambda y: np.sort(WORDS)[y],
        lambda y: np.sort(WORDS)[y].astype(object),
        lambda y: pd.Series(np.sort(WORDS)[y], dtype="string"),
    ],
)
def test_labels_of_every_kind_are_numbered_in_sorted_order(make):
    assert np.array_equal(found(y=make(Y), y_test=make(Y_TEST)), PLAIN)


def test_the_estimator_gets_the_labels_as_they_are():
    weights = {"cat": 3.0, "dog": 1.0, "eel": 0.5}
    logits = found(y=WORDS[Y], y_test=WORDS[Y_TEST], estimator=LogisticRegression(class_weight=weights))
    by_hand = LogisticRegression(class_weight=weights).fit(X[MASKS[0]], WORDS[Y[MASKS[0]]])
    assert np.array_equal(logits[0], by_hand.decision_function(TEST))


@pytest.mark.parametrize("pipeline", [False, True])
def test_sample_weights_go_with_their_examples(pipeline):
    weight, estimator, key = RANDOM.random(N), LogisticRegression(), "sample_weight"
    if pipeline:
        estimator, key = make_pipeline(StandardScaler(), estimator), "logisticregression__sample_weight"
    logits = found(estimator=estimator, sample_weight=weight)
    by_hand = estimator.fit(X[MASKS[1]], Y[MASKS[1]], **{key: weight[MASKS[1]]})
    assert np.array_equal(logits[1], by_hand.decision_function(TEST))
    plain = sklearn(estimator, X, Y, TEST, Y_TEST)
    assert sklearn(estimator, X, Y, TEST, Y_TEST, sample_weight=weight).fingerprint != plain.fingerprint


@pytest.mark.parametrize("make", [pd.DataFrame, sparse.csr_array])
def test_twins_of_frames_and_sparse_rows(make):
    words = np.sort(WORDS)
    twins = [
        relabelled(sklearn(RidgeClassifier(), *data, ["test_logits"], dtype="float64"), [3, 5], [0, 2])
        for data in ((X, Y, TEST, Y_TEST), (make(X), words[Y], make(TEST), words[Y_TEST]))
    ]
    plain, other = (task.train(np.ones((1, N + 2), bool), SEEDS[:1])["test_logits"] for task in twins)
    assert twins[1].n == N + 2
    assert np.allclose(plain, other, atol=1e-6)
    assert not np.allclose(plain, found(estimator=RidgeClassifier(), masks=np.ones((1, N), bool)), atol=1e-3)


SCORERS = [
    LogisticRegression(),
    LinearSVC(),
    SVC(),
    RidgeClassifier(),
    KNeighborsClassifier(3),
    GaussianNB(),
    make_pipeline(StandardScaler(), SVC()),
    GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2),
    OneVsRestClassifier(LinearSVC()),
]


@pytest.mark.parametrize("estimator", SCORERS)
def test_a_subset_without_a_class_or_of_one_class_alone(estimator):
    """Labels 0, 1, 2 are eel, cat, dog; the columns are cat, dog, eel."""
    masks = np.stack([Y != 1, Y == 2])
    without, alone = found(estimator=estimator, masks=masks, y=WORDS[Y], y_test=WORDS[Y_TEST])
    assert np.allclose(without[:, 1:].min(axis=1) - without[:, 0], 10)
    assert np.array_equal(alone, np.tile([-10.0, 0.0, -10.0], (10, 1)))


def test_what_only_predicts_has_correctness_only():
    votes = VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())])
    right = found(estimator=votes, y=WORDS[Y], y_test=WORDS[Y_TEST], outputs=("train_correctness",))
    assert np.array_equal(right[0], votes.fit(X[MASKS[0]], WORDS[Y[MASKS[0]]]).predict(X) == WORDS[Y])
    with pytest.raises(SchemaError, match="OutputCodeClassifier has neither decision_function nor predict_proba"):
        found(estimator=OutputCodeClassifier(LogisticRegression()))


@pytest.mark.parametrize("classes", [3, 4])
def test_one_against_one_has_no_score_a_class(classes):
    """Of three classes there are three pairs, so that their number tells nothing."""
    y, pairs = np.arange(N) % classes, SVC(decision_function_shape="ovo")
    for estimator in (pairs, make_pipeline(StandardScaler(), pairs), GridSearchCV(pairs, {"C": [1.0]})):
        with pytest.raises(InputError, match="SVC with decision_function_shape='ovo' scores pairs of classes"):
            found(X, y, y_test=y[:10], estimator=estimator)
    search = GridSearchCV(SVC(), {"decision_function_shape": ["ovo"]}, cv=2)
    with pytest.raises(SchemaError, match="SVC with decision_function_shape='ovo' scores pairs of classes"):
        found(X, y, y_test=y[:10], estimator=search)
    right = found(X, y, y_test=y[:10], estimator=pairs, outputs=("train_correctness",))
    assert np.array_equal(right[0], pairs.fit(X[MASKS[0]], y[MASKS[0]]).predict(X) == y)
    two = found(X, y % 2, y_test=y[:10] % 2, estimator=pairs)
    assert np.array_equal(two, found(X, y % 2, y_test=y[:10] % 2, estimator=SVC()))


def test_a_study_of_a_frame_and_a_rare_class(tmp_path):
    rare = np.where(np.arange(N) < 2, "yes", "no")
    task = sklearn(LogisticRegression(), FRAME, rare, FRAME[:6], rare[:6])
    study = Study.create(tmp_path / "study", task, Design(alpha=0.3, models=30, heldout=0, seed=3))
    study.collect(workers=1, progress=False)
    alone = ~study.masks().unpack()[:, :2].any(axis=1)
    assert 5 < alone.sum() < 30
    assert (study.read("test_margins")[alone] == np.where(rare[:6] == "no", 10, -10)).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"y": np.where(np.arange(N) == 5, np.nan, Y)}, "y lacks 1 of its 60 values, the first in row 5"),
        ({"y": [None, *WORDS[Y][1:]]}, "y lacks 1 of its 60 values, the first in row 0"),
        ({"y": pd.Series([pd.NA, *Y[1:]], dtype="Int64")}, "y lacks 1 of its 60 values"),
        ({"y": X[:, 0], "y_test": TEST[:, 0]}, "y must hold classes, but has numbers such as 0.12573: use a regressor"),
        ({"y": np.eye(3)[Y]}, r"y must hold one value an example, its shape is \[60, 3\]"),
        ({"y": [1] * 30 + ["a"] * 30}, "y must hold texts or numbers, it holds 30 texts among 60 values"),
        ({"y": Y * 0, "y_test": Y_TEST * 0}, "y holds only the label 0: there must be at least 2 classes"),
        ({"y": np.where(Y == 2, -100, Y)}, 'y holds the label -100, "ignore", .* times: leave these examples out'),
        ({"y": WORDS[Y], "y_test": ["ant"] * 10}, r"test label 'ant' never occurs in the training labels \(row 0 of"),
        ({"y_test": Y_TEST[1:]}, "x_test and y_test differ in length: 10 and 9 examples"),
        ({"x": FRAME}, "x and x_test must be of one kind, both frames or neither, got DataFrame and ndarray"),
        ({"x": FRAME, "x_test": FRAME[["a", "b"]][:10]}, "x_test has no column 'c', which the other has"),
        ({"x": FRAME.set_axis(list("aacd"), axis=1)}, "x has two columns named 'a'"),
        ({"x_test": TEST[:, 1:]}, r"x and x_test must have the same columns, got \[4\] and \[3\]"),
        ({"y": [["a"], ["a", "b"]] * (N // 2)}, r"y must be an array .* unequal parts, of shapes \[1\] and \[2\]"),
        ({"x": [[1, 2], [3]] * 30}, r"x must be an array .* unequal parts, of shapes \[2\] and \[1\]"),
        ({"x": np.ma.masked_greater(X, 1)}, "x must be an array .* masked"),
        ({"x": X[:0], "y": Y[:0]}, "x holds no examples"),
        ({"estimator": KMeans()}, "must be a classifier or a regressor, KMeans is neither"),
        ({"estimator": LogisticRegression}, r"not its class: write LogisticRegression\(\)"),
        ({"estimator": "svm"}, "with fit and get_params, got a str"),
        ({"estimator": Ridge(), "y": WORDS[Y]}, "y must be numbers, got dtype <U3"),
        ({"estimator": Ridge(), "y": np.where(Y == 2, np.inf, 0)}, "y must be finite, row 0 is inf"),
        ({"estimator": KNeighborsClassifier(), "sample_weight": np.ones(N)}, "KNeighborsClassifier takes no sample_w"),
        ({"sample_weight": np.ones(3)}, "x and sample_weight differ in length: 60 and 3"),
        ({"sample_weight": -np.ones(N)}, "sample_weight must not be negative, row 0 is -1"),
        ({"outputs": "test_margins"}, r"outputs must be a list of names, for example \['test_margins'\]"),
        ({"dtype": "text"}, "dtype must be one of numpy's"),
    ],
)
def test_what_does_not_fit_is_named_when_the_task_is_made(changes, said):
    given = {"estimator": LogisticRegression(), "x": X, "y": Y, "x_test": TEST, "y_test": Y_TEST} | changes
    with pytest.raises(InputError, match=said):
        sklearn(**given)


def test_an_empty_subset_is_said():
    with pytest.raises(InputError, match="the subset holds no example to fit: raise alpha"):
        found(masks=np.zeros((1, N), bool))
