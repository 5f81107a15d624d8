import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from subtrain.explorer.data.target_choice import choose


def test_a_dozen_stands_for_all():
    lds = np.random.default_rng(0).permutation(np.linspace(0.1, 0.9, 300))
    correct = np.linspace(0, 1, 300)
    labels = [str(i % 10) for i in range(300)]
    picked = choose(lds, correct, labels, 12)
    representative, contested = picked[:8], picked[8:]
    assert representative[0] == np.argmax(lds)
    assert representative[-1] == np.argmin(lds)
    assert len({labels[target] for target in representative[1:]}) == 7
    ranks = [int(np.sum(lds > lds[target])) for target in representative]
    assert np.all(np.abs(np.diff(ranks) - 299 / 7) <= 26)
    assert len(contested) == 4
    assert all(0.48 < correct[target] < 0.52 for target in contested)


def test_few_targets_are_all_shown_best_first():
    assert choose(np.array([0.2, 0.9, np.nan, 0.5]), None, None, 12) == [1, 3, 0, 2]


@given(
    st.lists(st.one_of(st.floats(-1, 1), st.just(np.nan)), min_size=1, max_size=60),
    st.booleans(),
    st.booleans(),
    st.integers(1, 14),
)
@settings(max_examples=200, deadline=None)
def test_any_targets(lds, judged, labelled, count):
    lds = np.array(lds)
    correct = np.linspace(0, 1, lds.size) if judged else None
    labels = [str(i % 3) for i in range(lds.size)] if labelled else None
    picked = choose(lds, correct, labels, count)
    assert len(set(picked)) == len(picked) == min(count, lds.size)
    assert picked == choose(lds, correct, labels, count)
    without = [bool(np.isnan(lds[target])) for target in picked]
    assert correct is not None or without == sorted(without)
