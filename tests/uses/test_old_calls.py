"""What version 0.1 called otherwise still works for one release, and says what to write."""

import numpy as np
import pytest

import subtrain as st
from subtrain._old_names import OLD
from subtrain.errors import InputError
from uses.planted import opposed_weights, world_of


@pytest.fixture
def study(make_study, trained_here):
    return make_study(task=world_of(opposed_weights()), models=20, segment=64)


@pytest.fixture
def dm():
    weight = opposed_weights()
    targets = weight.shape[1]
    return st.Datamodels(weight, np.ones(targets), np.zeros(targets), {"output": "test_margins", "models": 20})


@pytest.mark.parametrize("name", sorted(OLD))
def test_every_old_name_is_found_and_says_what_replaces_it(name):
    assert name not in st.__all__
    with pytest.warns(FutureWarning, match=f"subtrain.{name} is removed in the next release: write "):
        assert getattr(st, name) is not None


def test_functions_that_became_methods_do_the_same(study, dm):
    with pytest.warns(FutureWarning):
        old = (st.verify_selection, st.remove_tails, st.verify_difference, st.compare_without, st.removals)
    verify_selection, remove_tails, verify_difference, compare_without, removals = old
    chosen = st.select(dm, study, keep=30)
    for one, other in (
        (verify_selection(study, chosen, 2, 2), chosen.verify(2, 2)),
        (
            remove_tails(st.embedding(dm), dm, study, 1, units=4, runs=2),
            st.embedding(dm, study).verify(2, 1, units=4),
        ),
        (
            verify_difference(st.compare(dm, None, dm), study, study, 1, "b", units=4, runs=2),
            st.compare(dm, study, dm, study).verify(2, 1, "b", units=4),
        ),
        (
            compare_without(study, [1, 2], 2, "test_margins"),
            st.compare_training_sets(study, without=[1, 2], runs=2),
        ),
    ):
        assert one.to_json() == other.to_json()
    assert removals(dm, [3], [2], study=study) == list(st.counterfactuals(dm, study, [3], [2]).removals)


def test_questions_that_retrained_at_once_still_do(study, dm):
    with pytest.warns(FutureWarning, match=r"write counterfactuals\(…\).verify\(runs=…\)"):
        found = st.counterfactuals(dm, study, [3], [2], runs=2, name="kept")
    assert found.runs == 2
    with pytest.warns(FutureWarning, match="support"):
        found = st.support(dm, study, [3], runs=2, factors=(1.5,), calibrate=True)
    assert (list(found.after), found.calibrated) == ([1.5], True)
    with pytest.warns(FutureWarning, match="support"):
        assert st.support(dm, study, [3], runs=0).runs == 0


def test_the_order_of_arguments_of_version_0_1_is_refused_in_a_sentence(study, dm):
    with pytest.raises(InputError, match=r"leakage\(dm, study, …\): study must be a study, got list"):
        st.leakage(dm, [1, 2])
    with pytest.raises(InputError, match=r"compare\(dm, study, other, other_study, …\): other must be datamodels"):
        st.compare(dm, dm, 3)
    with pytest.raises(InputError, match=r"mislabeled\(study, dm, …\): study must be a study, got Datamodels"):
        st.mislabeled(dm, study)


def test_old_keywords_still_work(study, dm):
    with pytest.warns(FutureWarning, match="judge=… is removed in the next release: write others=…"):
        assert list(st.select(dm, study, keep=9, judge=0).groups) == ["chosen for"]
    with pytest.warns(FutureWarning, match="write targets="):
        assert st.counterfactuals(dm, study, what=[3], sizes=[2]).target.tolist() == [3, 3, 3]
