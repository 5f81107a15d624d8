"""Planted label noise is found; scores are what they say; faults that are known only judge."""

import numpy as np
import pytest

from subtrain import LeaveSelfOut, Output, Ridge, fit, mislabeled
from subtrain.datamodels import Datamodels
from subtrain.errors import InputError
from subtrain.tasks import batch
from subtrain.tasks.planted import planted


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    from subtrain import Design, Study
    from subtrain.collection import train_segment

    task = planted(n=120, targets=20, mislabeled=15, widths=(), epochs=10)
    study = Study.create(tmp_path_factory.mktemp("noisy") / "study", task, Design(models=300, heldout=0), segment=100)
    (study.path / "segments").mkdir()
    for where in study.segments:
        train_segment(study, where)
    return study


def test_label_noise_in_real_digits_is_found(digits):
    found = mislabeled(digits, known=range(15))
    assert found.auc["without"] > 0.95
    assert found.auc["self"] > 0.7
    assert found.table()["known"][:15].sum() >= 11
    assert "15 mislabeled known" in repr(found)
    assert "AUC" in repr(found)
    assert found.figure().axes
    np.testing.assert_array_equal(mislabeled(digits).order, found.order)


def test_training_without_the_suspicious_is_compared(digits, trained_here):
    found = mislabeled(digits).verify(1, randoms=2)
    contradicted = int((mislabeled(digits).scores["agreement"] < 0.5).sum())
    assert found.sizes["without"] == 120 - contradicted
    assert mislabeled(digits).verify(1, drop=3, randoms=2).sizes["without"] == 117


def test_scores_are_what_they_say(digits):
    dm = fit(digits, "train_margins", Ridge(), keep_counts=False)
    found = mislabeled(digits, dm=dm, by="support")
    rows = digits.done("fit")
    masks, y = digits.masks(rows).unpack(), digits.read("train_margins", rows).astype(np.float64)
    for example in (0, 50):
        out = ~masks[:, example]
        assert found.scores["without"][example] == pytest.approx(y[out, example].mean())
        assert found.scores["agreement"][example] == pytest.approx((y[out, example] > 0).mean())
        assert found.scores["mean"][example] == pytest.approx(y[:, example].mean())
        assert found.scores["self"][example] == pytest.approx(y[~out, example].mean() - y[out, example].mean())
        everyone_else = np.ones(120, bool)
        everyone_else[example] = False
        assert found.scores["support"][example] == pytest.approx(dm.predict(everyone_else)[example], abs=1e-4)
        assert found.scores["self_weight"][example] == pytest.approx(dm.weight[example, example])
    assert np.all(np.diff(found.table()["support"]) >= 0)
    assert found.figure().axes


def test_self_is_what_leave_self_out_reports(digits):
    rows = digits.done("fit")
    some = np.arange(4)
    apart = LeaveSelfOut(Ridge()).fit(digits.masks(rows), digits.read("train_margins", rows)[:, some], units=some)
    np.testing.assert_allclose(mislabeled(digits).scores["self"][some], apart.self_weight_, rtol=1e-6)


def test_examples_of_groups_are_in_with_their_group(make_study):
    def train(masks, seeds):
        # In the world's groups of two, example 6 is only right if its group is in.
        known = np.ones((len(masks), 40), np.float32)
        known[:, 6] = 2.0 * masks[:, 6] - 1
        return {"train_margins": known}

    task = batch(train, 40, {"train_margins": Output((40,), "float32")}, 64)
    study = make_study(task=task, groups=tuple(i // 2 for i in range(40)), models=50)
    table = mislabeled(study).table()
    assert (table["example"][0], table["unit"][0]) == (6, 3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"output": "test_margins"}, "not one number a training example"),
        ({"output": "train_losses"}, "records no output"),
        ({"by": "support"}, "some need datamodels"),
        ({"known": range(120)}, "some but not all"),
        ({"dm": Datamodels(np.zeros((120, 20), np.float32), np.zeros(20), np.zeros(20))}, "120 units and 120 targets"),
    ],
)
def test_what_cannot_be_ranked_is_said(digits, options, sentence):
    with pytest.raises(InputError, match=sentence):
        mislabeled(digits, **options)
