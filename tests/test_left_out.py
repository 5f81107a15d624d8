"""Models, targets and outputs that a fit or an evaluation leaves out or lacks: counted, and said."""

import numpy as np
import pytest

from subtrain import Design, Lasso, LeastSquares, MeanDifference, Output, Ridge, Study, evaluate, fit, tasks
from subtrain.errors import SubtrainError
from subtrain.studies.imports.arrays import import_arrays


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    """linear(change): 400 imported models of a linear world, their outputs changed, and its fit on 360."""
    random = np.random.default_rng(0)
    masks = random.random((400, 20)) < 0.5
    outputs = (masks @ random.normal(size=(20, 5)) + random.normal(size=(400, 5))).astype(np.float32)

    def make(change=None, dtype=np.float32, **options):
        changed = outputs.astype(dtype)
        if change is not None:
            change(changed)
        study = import_arrays(tmp_path_factory.mktemp("linear") / "s", masks, {"test_margins": changed})
        return fit(study, estimator=LeastSquares(), **options), study

    return make


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_held_out_outputs_that_are_not_finite_are_left_out_and_counted(linear, value):
    def change(outputs):
        outputs[390], outputs[395, 2] = value, value

    dm, study = linear(change)
    with pytest.warns(UserWarning, match="2 of 40 held-out models .* of model 390 at target 0"):
        found = evaluate(dm, study)
    plain_dm, plain_study = linear()
    kept = [row for row in range(360, 400) if row not in (390, 395)]
    assert found.lds == evaluate(plain_dm, plain_study, rows=kept).lds
    assert found.subsets == 38
    assert "2 of 40" in found.to_json()["notes"][0]


def test_a_target_without_datamodel_or_outputs_does_not_count(linear):
    def change(outputs):
        outputs[:, 3] = np.inf

    with pytest.warns(UserWarning, match=r"1 of 5 targets are inf or NaN in most models \(the first is target 3"):
        dm, study = linear(change)
    assert dm.meta["targets_left_out"] == [3]
    assert len(dm.meta["notes"]) == 1
    assert not dm.weight[:, 3].any()
    others = [0, 1, 2, 4]
    whole, plain_study = linear()
    np.testing.assert_array_equal(dm.weight[:, others], whole.weight[:, others])
    with pytest.warns(UserWarning, match="1 of 5 targets .*no figure counts them"):
        found = evaluate(dm, study)
    right = evaluate(whole, plain_study)
    np.testing.assert_allclose(found.per_target["lds"][others], right.per_target["lds"][others])
    assert np.isnan(found.per_target["lds"][3])
    assert found.mse == pytest.approx(right.per_target["mse"][others].mean())
    assert (found.targets, found.targets_judged, found.over) == (5, 4, "4 of 5 targets")
    assert "4 of 5 targets" in repr(found)


def test_targets_that_are_all_equal_do_not_count_as_judged(linear):
    def change(outputs):
        outputs[360:, 1] = 7

    found = evaluate(*linear(change))
    assert (found.over, found.to_json()["targets_judged"]) == ("4 of 5 targets", 4)
    assert linear()[0].targets == 5
    assert evaluate(*linear()).over == "5 targets"


def test_a_target_too_far_from_zero_for_its_variance_is_left_out(linear):
    """Around 1e15 with a spread of 64 the variance is lost to rounding: the others are fitted as ever."""

    def change(outputs):
        outputs[:, 2] = 1e15 + 64 * (np.arange(400) % 2)

    sentence = "for 1 of 5 targets all weights are 0: target 2 lies between .* too close together to fit"
    with pytest.warns(UserWarning, match=sentence):
        dm, _ = linear(change, np.float64)
    others = [0, 1, 3, 4]
    np.testing.assert_array_equal(dm.weight[:, others], linear(dtype=np.float64)[0].weight[:, others])
    assert not dm.weight[:, 2].any()
    assert dm.bias[2] == pytest.approx(1e15 + 32)
    assert len(dm.meta["notes"]) == 1


def test_failed_models_are_counted_in_fit_and_evaluation(tmp_path):
    """Models without one of the first two units fail: what is left is a selected set, and both say so."""
    weight = np.linspace(1, 2, 20)

    def train(indices, seed):
        if not (indices < 2).any():
            raise ValueError("no rare class")
        return {"test_margins": [weight[indices].sum()]}

    task = tasks.function(train, n=20, outputs={"test_margins": Output((1,), "float32")}, data=[weight])
    study = Study.create(tmp_path / "s", task, Design(0.3, models=60, heldout=20), segment=8)
    with pytest.raises(SubtrainError, match="missing"):
        study.collect(workers=1, progress=False)
    lost = [60 - study.done("fit").size, 40 - study.done("evaluation").size]
    assert min(lost) > 0
    sentence = f"{lost[0]} of 60 models to fit on are missing, {lost[0]} because they failed"
    biased = r"differences of means are biased on a selected set, .* fit Lasso\(\) or Ridge\(\) instead"
    with pytest.warns(UserWarning, match=biased), pytest.warns(UserWarning, match=sentence):
        dm = fit(study, estimator=MeanDifference())
    assert dm.meta["models_planned"] == 60
    assert dm.meta["notes"][1].startswith("differences of means are biased")
    assert "a selected set" in dm.meta["notes"][0]
    with pytest.warns(UserWarning, match=f"{lost[1]} of 40 models to judge on are missing"):
        found = evaluate(dm, study)
    assert "because they failed" in found.notes[0]


def test_on_a_selected_set_a_regression_is_right_where_differences_of_means_are_not(tmp_path):
    """A model fails unless a unit of each of three rare classes is there: the advice is tried on known weights."""
    random = np.random.default_rng(3)
    weight = random.normal(size=(30, 8)) * 0.3
    weight[:6] += 1.5  # Of those that are left, who has one unit of a class need not have the other.

    masks = random.random((8000, 30)) < 0.2
    ended = (masks[:, [0, 2, 4]] | masks[:, [1, 3, 5]]).all(axis=1)
    outputs = {"test_margins": (masks @ weight + 0.5 * random.normal(size=(8000, 8)))[ended]}
    study = import_arrays(tmp_path / "s", masks[ended], outputs, heldout=0, left_out=int((~ended).sum()))
    found = {}
    for estimator in (MeanDifference(), Lasso(), Ridge()):
        with pytest.warns(UserWarning, match="a selected set"):
            dm = fit(study, estimator=estimator)
        found[type(estimator).__name__] = np.corrcoef(dm.weight.ravel(), weight.ravel())[0, 1]
        assert any("Lasso() or Ridge()" in note for note in dm.meta["notes"]) == isinstance(estimator, MeanDifference)
    assert found["MeanDifference"] < 0.75
    assert min(found["Lasso"], found["Ridge"]) > 0.97
