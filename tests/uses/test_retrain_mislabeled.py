"""Mislabeled retraining: every job in one study, each with its own twins."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from subtrain.errors import InputError
from subtrain.tasks import sklearn
from subtrain.uses.brittleness import Mislabeling, retrain_mislabeled

IMAGES, LABELS = load_digits(return_X_y=True)
X, Y = IMAGES[:60] / 16, LABELS[:60]


def margins(labels):
    model = LogisticRegression(C=1).fit(X, labels)
    scores = model.decision_function(IMAGES[100:104] / 16)
    own = scores[np.arange(4), LABELS[100:104]]
    scores[np.arange(4), LABELS[100:104]] = -np.inf
    return own - scores.max(axis=1)


def test_each_job_trains_on_its_own_labels(make_study, trained_here):
    task = sklearn(LogisticRegression(C=1), X, Y, IMAGES[100:104] / 16, LABELS[100:104])
    study = make_study(done=False, task=task)
    jobs = [Mislabeling([0, 5], [7, 7]), Mislabeling([], []), Mislabeling([5], [2])]
    found = retrain_mislabeled(study, jobs, runs=2)
    assert trained_here == [6]
    assert found.study.n == 63
    for k, job in enumerate(jobs):
        labels = Y.copy()
        labels[list(job.units)] = job.labels
        assert np.allclose(found.outputs()[k], margins(labels), atol=2e-2)  # float16 outputs
    with pytest.raises(InputError, match="each of its units once"):
        retrain_mislabeled(study, [Mislabeling([1, 1], [2, 3])])
    with pytest.raises(InputError, match="numbered 0 to 59, got 60"):
        retrain_mislabeled(study, [Mislabeling([60], [3])])
    with pytest.raises(InputError, match="no job mislabels"):
        retrain_mislabeled(study, [Mislabeling([], [])])


def test_groups_cannot_be_relabelled(make_study):
    study = make_study(done=False, models=4, n=5, groups=np.arange(20) % 5)
    with pytest.raises(InputError, match="only single examples"):
        retrain_mislabeled(study, [Mislabeling([1], [2])])
