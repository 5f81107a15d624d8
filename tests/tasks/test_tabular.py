"""Tables of scikit-learn and one's own .npz files, as a task made from words alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from subtrain import margins
from subtrain.errors import InputError
from subtrain.tasks import digits, tabular


def run(task, k=1):
    random = np.random.default_rng(0)
    masks = random.random((k, task.n)) < 0.5
    return masks, task.train(masks, np.arange(k, dtype=np.uint32))


def test_breast_cancer_is_logistic_regression_on_scaled_features():
    task = tabular()
    x, y = load_breast_cancer(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.3, random_state=0, stratify=y)
    assert (task.n, task.outputs["test_margins"].shape) == (398, (171,))
    masks, found = run(task, 2)
    for mask, got in zip(masks, found["test_margins"], strict=True):
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x[mask], y[mask])
        scores = model.decision_function(x_test)
        assert np.allclose(got, margins(np.stack([0 * scores, scores], axis=1), y_test))
    assert (found["test_margins"] > 0).mean() > 0.9
    assert task.view.labels["test"] == [str(v) for v in y_test]
    assert task.source.to_json() == {"name": "subtrain.tasks.tabular:tabular", "params": {}}


@pytest.mark.parametrize(
    ("params", "output", "targets"),
    [
        ({"data": "wine", "margin": "logsumexp"}, "test_margins", 54),
        ({"data": "iris", "estimator": "sklearn.svm:SVC", "params": {"C": 2.0}}, "test_margins", 45),
        ({"data": "diabetes", "estimator": "sklearn.linear_model:Ridge", "test_size": 0.1}, "test_predictions", 45),
        ({"data": "iris", "outputs": ["train_correctness"], "scale": False}, "train_correctness", 105),
    ],
)
def test_other_tables_and_estimators(params, output, targets):
    task = tabular(**params)
    assert task.outputs.keys() == {output}
    _, found = run(task)
    assert found[output].shape == (1, targets)
    assert task.fingerprint == tabular(**params).fingerprint
    assert task.fingerprint != tabular(**params, seed=1).fingerprint
    assert task.source.params == params


def saved(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def test_outputs_have_the_dtype_that_was_asked_for():
    assert tabular("wine", dtype="float32").outputs["test_margins"].dtype == "float32"
    assert digits(n=20, targets=5, dtype="float32").outputs["test_margins"].dtype == "float32"
    blocks = digits(n=20, targets=5, dtype="float32", channels=[2])
    assert {spec.dtype for spec in blocks.outputs.values()} == {"float32"}


def test_a_table_of_ones_own(tmp_path):
    random = np.random.default_rng(1)
    x, y = random.normal(size=(30, 2)), np.arange(30) % 3
    split = saved(tmp_path / "split.npz", x=x, y=y, x_test=x[:4], y_test=y[:4])
    task = tabular(data=split)
    assert (task.n, task.outputs["test_margins"].shape) == (30, (4,))
    whole = saved(tmp_path / "whole.npz", x=x, y=np.array(["a", "b", "c"])[y])
    task = tabular(data=whole, test_size=0.2)
    assert (task.n, task.outputs["test_margins"].shape) == (24, (6,))
    assert sorted(task.view.labels["test"]) == ["a", "a", "b", "b", "c", "c"], "the split keeps the shares"
    changed = saved(tmp_path / "whole.npz", x=x + 1, y=np.array(["a", "b", "c"])[y])
    assert tabular(data=changed, test_size=0.2).fingerprint != task.fingerprint


def test_tables_that_cannot_be_read(tmp_path):
    x, y = np.zeros((4, 2)), np.array([0, 1, 0, 1])
    damaged = tmp_path / "damaged.npz"
    whole = saved(tmp_path / "w.npz", x=x, y=y)
    damaged.write_bytes(Path(whole).read_bytes()[:-40])
    plain = tmp_path / "plain.npz"
    np.save(tmp_path / "plain.npy", x)
    (tmp_path / "plain.npy").rename(plain)
    cases = {
        "wines": "data must be one of breast_cancer, wine, iris, digits, diabetes or an .npz file that exists",
        str(tmp_path / "missing.npz"): "an .npz file that exists",
        str(tmp_path): "an .npz file that exists",
        str(damaged): "damaged.npz cannot be read",
        str(plain): "plain.npz cannot be read",
        saved(tmp_path / "objects.npz", x=np.array([[None]]), y=y): "objects.npz cannot be read",
        saved(tmp_path / "half.npz", x=x, y=y, x_test=x): "half.npz holds no array named y_test",
        saved(tmp_path / "names.npz", a=x): "names.npz holds no array named x, y",
    }
    for data, sentence in cases.items():
        with pytest.raises(InputError, match=sentence):
            tabular(data=data)


@pytest.mark.parametrize(
    ("estimator", "params", "sentence"),
    [
        ("LogisticRegression", {}, "estimator must be module:Class"),
        ("sklearn.nothing:SVC", {}, "No module named"),
        ("sklearn.svm:Nothing", {}, "has no attribute 'Nothing'"),
        ("", {}, "estimator must be module:Class"),
        ("sklearn.svm:SVC", {"depth": 3}, r"does not take parameters \{'depth': 3\}"),
    ],
)
def test_estimators_that_are_none(estimator, params, sentence):
    with pytest.raises(InputError, match=sentence):
        tabular(estimator=estimator, params=params)
