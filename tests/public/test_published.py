"""Files as the published ones are, made from a known world: which units they are in, and the two numbers of
datamodels-data#4 (a user found less than the paper's figure shows) from one and the same datamodels."""

import numpy as np
import pytest

import subtrain as st
from subtrain.errors import CorruptError, InputError
from subtrain.public.published import column_sums, found_units, load_published

torch = pytest.importorskip("torch")

ALPHA, N, T, SUBSETS, RUNS = 0.25, 40, 30, 60, 10


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Outputs linear in the mask, plus seed noise; ten runs of each held-out mask, at the end as published."""
    random = np.random.default_rng(3)
    weight = random.normal(0.1, 0.3, (N, T))
    bias = random.normal(0, 4, T)
    fit = st.Design(ALPHA, models=200, n=N, heldout=0).masks().unpack()
    held = np.repeat(st.Design(ALPHA, models=SUBSETS, n=N, heldout=0, seed=9).masks().unpack(), RUNS, axis=0)
    masks = np.concatenate([fit, held])
    outputs = masks @ weight + bias + random.normal(0, 1.5, (len(masks), T))
    root = tmp_path_factory.mktemp("published")
    study = st.import_arrays(root / "study", masks, {"test_margins": outputs.astype(np.float16)}, heldout=len(held))
    return root, study, weight, bias


def written(root, name, weight, bias):
    arrays = {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32), "lam": np.full(T, 0.01, np.float32)}
    torch.save({key: torch.from_numpy(array) for key, array in arrays.items()}, root / name)
    return root / name


def both_conventions(world):
    root, _, weight, bias = world
    deviation = np.sqrt(ALPHA * (1 - ALPHA))
    yield "raw", written(root, "raw.pt", weight, bias)
    yield "standardized", written(root, "std.pt", weight * deviation, bias + ALPHA * weight.sum(axis=0))


def test_both_conventions_become_the_same_raw_weights(world):
    _, study, weight, bias = world
    for kind, path in both_conventions(world):
        dm = load_published(path, study)
        assert dm.meta["published_units"] == kind
        np.testing.assert_allclose(dm.weight, weight, atol=1e-6)
        np.testing.assert_allclose(dm.bias, bias, atol=2e-5)


def test_the_two_numbers_of_one_file(world):
    """Pooled and averaged over ten runs the score is near 1, pooled against single runs lower, per target lower still:
    the protocol makes the figure, and `evaluate` names each."""
    _, study, _, _ = world
    for _, path in both_conventions(world):
        found = st.evaluate(load_published(path, study), study, bootstrap=0)
        assert found.replicates == RUNS
        assert found.pooled_spearman > 0.98
        assert found.lds.value < found.pooled_spearman - 0.01
        assert found.lds_one.value < found.lds.value - 0.1
        assert found.lds.value == pytest.approx(found.lds_ceiling, abs=0.03)
        # What is left of the squared error against one run is the noise, against the mean of ten a tenth of it.
        assert found.mse == pytest.approx(1.5**2 / RUNS, rel=0.15)


def test_taken_for_raw_a_standardised_file_is_far_off(world):
    _, study, _, _ = world
    (_, _), (_, path) = both_conventions(world)
    right = st.evaluate(load_published(path, study), study, bootstrap=0)
    wrong = st.evaluate(load_published(path, study, units="raw"), study, bootstrap=0)
    assert wrong.mse > 2.5 * right.mse
    assert wrong.lds.value == pytest.approx(right.lds.value, abs=1e-6)  # Ranks within a target hide it.


def test_units_that_cannot_be_told_are_asked_for():
    mean = np.linspace(-3, 3, 9)
    assert found_units(mean, np.ones(9), mean, 0.5) == "standardized"
    assert found_units(mean - 0.5, np.ones(9), mean, 0.5) == "raw"
    with pytest.raises(InputError, match="too little to tell"):
        found_units(mean + 0.01, np.zeros(9), mean, 0.5)
    with pytest.raises(InputError, match="no better than guessing"):
        found_units(mean[::-1], np.ones(9), mean, 0.5)


def test_sums_go_block_by_block(monkeypatch):
    monkeypatch.setattr("subtrain.public.published._BLOCK", 100)
    weight = np.arange(70, dtype=np.float32).reshape(10, 7)
    np.testing.assert_array_equal(column_sums(weight), weight.sum(axis=0))


def test_what_does_not_fit_is_named(world, tmp_path):
    root, study, weight, bias = world
    with pytest.raises(InputError, match=r"30 datamodels predict: .*test_margins \(30\)"):
        load_published(written(root, "a.pt", weight, bias), study, "train_margins")
    with pytest.raises(InputError, match="over 39 units"):
        load_published(written(root, "b.pt", weight[1:], bias), study)
    with pytest.raises(InputError, match="units are 'raw' or"):
        load_published(written(root, "c.pt", weight, bias), study, units="sd")


class Boom:
    def __reduce__(self):
        return print, ("code in a pickle ran",)


def test_code_in_the_file_is_refused_and_not_run(world, capsys):
    root, study, _, _ = world
    torch.save({"weight": Boom(), "bias": torch.zeros(T), "lam": torch.zeros(T)}, root / "bad.pt")
    with pytest.raises(CorruptError, match=r"bad\.pt"):
        load_published(root / "bad.pt", study)
    assert "code in a pickle ran" not in capsys.readouterr().out
