"""Studies of a stratified design: whose labels they take, and that they hold what every other study does."""

import json

import numpy as np
import pytest

from subtrain import Design, Ridge, Study, evaluate, fit, retrain, significance
from subtrain.errors import InputError, MismatchError
from subtrain.tasks import View
from subtrain.tasks.base import with_changes
from worlds import linear, weights

LABELS = [0, 2, *[0] * 6, *[1] * 12]
DESIGN = Design(alpha=0.25, models=150, heldout=10, replicates=1, kind="stratified")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    task = with_changes(linear(), labels=np.array(LABELS))
    made = Study.create(tmp_path_factory.mktemp("stratified") / "study", task, DESIGN)
    made.collect(workers=1)
    return made


@pytest.fixture(scope="module")
def dm(study):
    with pytest.warns(UserWarning, match="1 of 20 units are in every mask .* unit 1"):
        return fit(study, estimator=Ridge(lambdas=[1e-6]))


def test_the_labels_of_the_task_are_kept_in_every_subset(study):
    anchors = study.design.role_rows("anchor")
    masks = study.masks(np.setdiff1d(np.arange(study.models), anchors)).unpack()
    held = np.stack([masks[:, np.array(LABELS) == c].sum(axis=1) for c in range(3)], axis=1)
    assert (held == [1, 3, 1]).all(), "five of twenty units: 1.75, 3 and 0.25 of the classes, at least 1"
    again = Study.open(study.path)
    assert again.masks().sha256() == study.masks().sha256()
    assert again.identity == study.identity
    assert json.loads((study.path / "study.json").read_text())["design"]["strata"]["names"] == [0, 1, 2]


def test_weights_of_a_class_are_known_up_to_a_constant(study, dm):
    true = weights(20, 3)[0]
    for label in (0, 1):
        members = np.array(LABELS) == label
        apart = (dm.weight - true)[members]
        np.testing.assert_allclose(apart - apart.mean(axis=0), 0, atol=2e-3)
    assert np.isfinite(dm.weight).all(), "of the unit that every subset holds too"
    rows = study.done("evaluation")
    np.testing.assert_allclose(dm.predict(study.masks(rows)), study.read("test_margins", rows), atol=5e-3)
    assert evaluate(dm, study).lds.value > 0.9


def test_other_subsets_of_it_can_be_trained(study):
    weight, bias = weights(20, 3)
    mask = np.arange(20) < 9
    found = retrain(study, mask[None], runs=1, workers=1).outputs("test_margins")
    np.testing.assert_allclose(found.reshape(3), mask @ weight + bias, rtol=1e-5)


def test_standard_errors_are_refused_as_they_would_be_wrong(study, dm):
    for method in ("debiased", "exact"):
        with pytest.raises(InputError, match="each class up to a constant of its own"):
            significance(dm, study, method=method)


def test_the_study_grows_by_the_same_rule(study):
    longer = study.extend(models=4)
    assert (longer.masks().unpack()[:, np.array(LABELS) == 2].sum(axis=1) == 1).all()
    assert longer.masks(range(160)).sha256() == study.masks(range(160)).sha256()


def test_other_strata_are_another_design(study):
    assert Study.open(study.path, design=Design(**{**vars_of(DESIGN), "n": 20})).n == 20
    with pytest.raises(MismatchError, match="strata is"):
        Study.open(study.path, design=Design(**{**vars_of(DESIGN), "strata": [0, 1] * 10}))


def vars_of(design):
    return {name: getattr(design, name) for name in ("alpha", "models", "heldout", "replicates", "kind")}


def test_labels_that_are_shown_serve_where_the_task_has_no_others(tmp_path):
    names = [f"class {label}" for label in LABELS]
    task = with_changes(linear(), view=View(labels={"train": names}))
    study = Study.create(tmp_path / "shown", task, DESIGN)
    assert study.design.strata == tuple(names)


def test_groups_take_the_label_of_their_examples(tmp_path):
    task = with_changes(linear(), labels=np.repeat([0, 1], 10))
    groups = tuple(np.arange(20) // 2)
    study = Study.create(tmp_path / "groups", task, Design(models=5, heldout=0, kind="stratified", groups=groups))
    assert study.design.strata == (0,) * 5 + (1,) * 5
    mixed = with_changes(linear(), labels=np.tile([0, 1], 10))
    with pytest.raises(InputError, match="unit 0 is a group of examples of several classes: give the class"):
        Study.create(tmp_path / "mixed", mixed, Design(models=5, heldout=0, kind="stratified", groups=groups))


def test_a_task_without_labels_is_asked_for_strata(tmp_path):
    with pytest.raises(InputError, match="this task tells no labels to stratify by: give the class of each unit"):
        Study.create(tmp_path / "none", linear(), DESIGN)
    assert not (tmp_path / "none").exists()
    assert Study.create(tmp_path / "given", linear(), Design(models=5, strata=LABELS)).design.kind == "stratified"
