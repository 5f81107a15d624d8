"""Empirical influence and memorisation against their definition, and on a world that memorises on purpose."""

import numpy as np
import pytest

import subtrain as st
from subtrain import MeanDifference, Output, empirical_influence, fit, memorization
from subtrain.errors import InputError
from subtrain.tasks import batch


def memorising(n=30, copied=6):
    """Right about example i if i was trained on (i < copied), or always; test target t needs unit t."""

    def train(masks, seeds):
        known = np.ones((len(masks), n))
        known[:, :copied] = masks[:, :copied]
        coin = np.stack([np.random.default_rng(int(s)).random(4) for s in seeds])
        needs = np.where(masks[:, :4], coin < 0.9, coin < 0.3)
        return {"train_margins": 2 * known - 1, "test_margins": 2.0 * needs - 1}

    return batch(train, n, {"train_margins": Output((n,), "float32"), "test_margins": Output((4,), "float32")}, 64)


@pytest.fixture
def study(make_study):
    return make_study(task=memorising(), models=1000, heldout=0, segment=1000)


def test_what_is_memorised_is_found(study):
    found = memorization(study)
    np.testing.assert_allclose(found.value, [1.0] * 6 + [0.0] * 24, atol=1e-12)
    np.testing.assert_allclose(found.without, [0.0] * 6 + [1.0] * 24, atol=1e-12)
    assert set(found.table()["example"][:6].tolist()) == set(range(6))
    assert "6 of 0.25 or more" in repr(found)
    assert found.figure().axes


def test_influence_is_the_difference_of_shares_and_its_error_that_of_two_shares(study):
    found = empirical_influence(study, "test_margins")
    rows = study.done("fit")
    masks, right = study.masks(rows).unpack(), study.read("test_margins", rows) > 0
    for unit, target in ((0, 0), (7, 3)):
        inside, outside = right[masks[:, unit], target], right[~masks[:, unit], target]
        assert found.value[unit, target] == pytest.approx(inside.mean() - outside.mean())
        spread = inside.var(ddof=1) / inside.size + outside.var(ddof=1) / outside.size
        assert found.error[unit, target] == pytest.approx(np.sqrt(spread))
    np.testing.assert_allclose(np.diag(found.value[:4]), 0.6, atol=0.12)
    table = found.table()
    assert table["unit"][:4].tolist() == table["target"][:4].tolist()
    assert "4 pairs of 0.15 or more" in repr(found)
    assert found.figure().axes


def test_influence_of_correctness_is_the_estimator_mean_difference(make_study):
    def train(masks, seeds):
        return {"test_correctness": (masks[:, :3] + masks[:, 3:6] > 0).astype("float32")}

    study = make_study(task=batch(train, 12, {"test_correctness": Output((3,), "float32")}), models=200)
    np.testing.assert_allclose(
        empirical_influence(study).value, fit(study, estimator=MeanDifference()).weight, atol=1e-6
    )


def test_standard_errors_cover_the_truth(make_study):
    values = [
        empirical_influence(
            make_study(task=memorising(), models=150, heldout=0, seed=seed, segment=150, name=str(seed)), "test_margins"
        )
        for seed in range(25)
    ]
    # Other units have no influence at all on these targets.
    z = np.concatenate([(v.value / v.error)[10:].ravel() for v in values])
    assert np.std(z) == pytest.approx(1, abs=0.1)
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.05, abs=0.02)


def test_memorisation_of_examples_whose_units_are_groups(make_study):
    study = make_study(task=memorising(n=24, copied=2), groups=tuple(i // 2 for i in range(24)), models=40)
    table = memorization(study).table()
    assert sorted(zip(table["example"].tolist(), table["unit"].tolist(), strict=True)) == [
        (i, i // 2) for i in range(24)
    ]
    # An example's whole group is in or out with it.
    assert set(table["example"][:2].tolist()) == {0, 1}


def test_a_unit_that_is_never_out_has_no_influence_but_nan(make_study, tmp_path):
    from subtrain.studies.imports.arrays import import_arrays

    masks = np.random.default_rng(0).random((40, 5)) < 0.5
    masks[:, 2] = True
    study = import_arrays(tmp_path / "given", masks, {"test_margins": masks[:, :2] - 0.5}, heldout=0)
    found = empirical_influence(study)
    assert np.isnan(found.value[2]).all()
    assert np.isfinite(found.value[[0, 1, 3, 4]]).all()
    assert 2 not in found.table()["unit"][:4]
    assert found.figure().axes


def test_memorisation_needs_outputs_on_training_examples(make_study, tmp_path):
    from subtrain.studies.imports.arrays import import_arrays

    masks = np.random.default_rng(0).random((40, 5)) < 0.5
    study = import_arrays(tmp_path / "given", masks, {"test_margins": masks[:, :2] - 0.5}, heldout=0)
    with pytest.raises(InputError, match="neither train_correctness nor train_margins"):
        memorization(study)
    with pytest.raises(InputError, match="not one number a training example"):
        memorization(study, "test_margins")


@pytest.mark.parametrize("average", [st.memorization, st.empirical_influence, st.mislabeled, st.banzhaf])
def test_averages_over_a_selected_set_say_so(tmp_path, average):
    """Models without unit 0 or 1 failed: differences of means are then biased, which is not passed over."""
    random = np.random.default_rng(0)
    masks = random.random((90, 12)) < 0.5
    right = {"train_margins": (masks + random.normal(size=masks.shape)).astype(np.float32)}
    study = st.Study.from_arrays(tmp_path / "s", masks, right, heldout=0, left_out=30)
    advice = pytest.warns(UserWarning, match=r"differences of means are biased .* fit Lasso\(\) or Ridge\(\) instead")
    with pytest.warns(UserWarning, match="30 of 120 models .*a selected set"), advice:
        average(study)
