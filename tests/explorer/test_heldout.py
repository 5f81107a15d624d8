import numpy as np

from subtrain import Datamodels
from subtrain.collection.workers.train_segment import train_segment
from subtrain.evaluation import evaluate
from subtrain.explorer.data.heldout_models import _correct, read_heldout
from subtrain.quantities import quantity_of
from worlds import linear, weights


def datamodels():
    weight, bias = weights(20, 3)
    return Datamodels(weight, bias, np.zeros(3), {"output": "test_margins"})


def test_predictions_meet_the_outputs_of_their_own_subsets(make_study):
    study = make_study(heldout=7, replicates=3)
    dm = datamodels()
    heldout = read_heldout(dm, study, evaluate(dm, study, bootstrap=0))
    predicted, actual = heldout.pairs(dm)
    assert actual.shape == (7, 3)
    np.testing.assert_allclose(predicted, actual, atol=1e-5)
    np.testing.assert_allclose(heldout.predicted(dm, np.array([2, 0])), actual[:, [2, 0]], atol=1e-5)
    np.testing.assert_array_equal(heldout.correct, np.mean(actual > 0, axis=0))


def test_outputs_are_means_over_runs_of_whole_subsets(make_study):
    study = make_study(task=linear(noise=1.0), heldout=4, replicates=2)
    evaluation = evaluate(datamodels(), study, bootstrap=0)
    longer = study.extend(heldout=1, replicates=1)
    train_segment(longer, longer.segments[-1])
    heldout = read_heldout(datamodels(), longer, evaluation)
    runs = study.read("test_margins", study.done("evaluation")).reshape(4, 2, 3)
    np.testing.assert_allclose(heldout.actual, runs.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(heldout.correct, (runs > 0).mean(axis=(0, 1)))


def test_only_some_outputs_tell_who_was_right():
    rows = np.array([[-1.0, 0.25, 2.0]])
    np.testing.assert_array_equal(_correct(quantity_of("train_correctness"), rows), [0, 0, 1])
    np.testing.assert_array_equal(_correct(quantity_of("test_margins"), rows), [0, 1, 1])
    for name in ("anything", "test_losses", "test_predictions"):
        assert _correct(quantity_of(name), rows) is None
