"""Files as the published ones are, made from a known world: which units they are in, and the two numbers of
datamodels-data#4 (a user found less than the paper's figure shows) from one and the same datamodels."""

import numpy as np
import pytest

import subtrain as st
from subtrain.errors import CorruptError, InputError
from subtrain.public.published import found_units, load_published, mask_columns, weighted_sums

torch = pytest.importorskip("torch")

ALPHA, N, T, SUBSETS, RUNS = 0.25, 40, 30, 60, 10


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Outputs linear in the mask, plus seed noise; ten runs of each held-out mask, at the end as published."""
    random = np.random.default_rng(3)
    weight = random.normal(0.1, 0.3, (N, T))
    bias = random.normal(0, 4, T)
    fit = st.Design(ALPHA, models=200, n=N, heldout=0, anchors=0).masks().unpack()
    held = np.repeat(st.Design(ALPHA, models=SUBSETS, n=N, heldout=0, anchors=0, seed=9).masks().unpack(), RUNS, axis=0)
    masks = np.concatenate([fit, held])
    outputs = masks @ weight + bias + random.normal(0, 1.5, (len(masks), T))
    root = tmp_path_factory.mktemp("published")
    study = st.Study.from_arrays(root / "study", masks, {"test_margins": outputs.astype(np.float16)}, heldout=len(held))
    return root, study, weight, bias


def written(root, name, weight, bias):
    arrays = {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32), "lam": np.full(T, 0.01, np.float32)}
    torch.save({key: torch.from_numpy(array) for key, array in arrays.items()}, root / name)
    return root / name


def both_conventions(world):
    """As the reference's solver has them: (mask - mean) / deviation of each unit over all models it is given."""
    root, study, weight, bias = world
    masks = study.masks(study.done("fit")).unpack()
    yield "raw", written(root, "raw.pt", weight, bias)
    standardized = weight * masks.std(axis=0)[:, None]
    yield "standardized", written(root, "std.pt", standardized, bias + masks.mean(axis=0) @ weight)


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
    # Ranks within a target hide it, but for what the deviations of units differ.
    assert wrong.lds.value == pytest.approx(right.lds.value, abs=0.01)


def test_units_that_cannot_be_told_are_asked_for():
    mean, shift = np.linspace(-3, 3, 9), np.full(9, 0.5)
    assert found_units(mean, shift, mean) == "standardized"
    assert found_units(mean - 0.5, shift, mean) == "raw"
    with pytest.raises(InputError, match=r"too little to tell .*--units raw or --units standardized"):
        found_units(mean + 0.01, np.zeros(9), mean)
    with pytest.raises(InputError, match=r"no better than guessing.*--units raw"):
        found_units(mean[::-1], shift, mean)


@pytest.mark.parametrize("mean", [np.array([1.3]), np.full(5, 1.3)])
@pytest.mark.parametrize("miss", [0.0, 0.0007, 0.02])
def test_one_target_or_equal_means_are_held_against_the_noise_of_the_outputs(mean, miss):
    error, shift = np.full(mean.size, 0.01), np.full(mean.size, 0.5)
    assert found_units(mean + miss, shift, mean, error) == "standardized"
    assert found_units(mean + miss - 0.5, shift, mean, error) == "raw"
    with pytest.raises(InputError, match="too little to tell"):
        found_units(mean + 0.0007, np.full(mean.size, 0.001), mean, error)
    with pytest.raises(InputError, match="no better than guessing"):
        found_units(mean + 0.3, np.full(mean.size, 5.0), mean, error)


def test_what_is_not_finite_is_not_asked():
    mean, shift = np.linspace(-3, 3, 9), np.full(9, 0.5)
    for broken in (np.nan, np.inf):
        for which in range(3):
            given = [mean.copy(), shift.copy(), mean.copy()]
            given[which][4] = broken
            assert found_units(*given) == "standardized"
            assert found_units(given[0] - 0.5, *given[1:]) == "raw"
    with pytest.raises(InputError, match="no target of the file has finite"):
        found_units(mean * np.nan, shift, mean)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_do_not_hide_the_units(world, tmp_path, broken):
    """One model's outputs of every target: each mean is without it, and no target is lost."""
    _, study, weight, _ = world
    outputs = study.read("test_margins").astype(np.float32)
    outputs[7] = broken
    spoiled = st.Study.from_arrays(tmp_path / "study", study.masks().unpack(), {"test_margins": outputs}, heldout=600)
    for kind, path in both_conventions(world):
        dm = load_published(path, spoiled)
        assert dm.meta["published_units"] == kind
        np.testing.assert_allclose(dm.weight, weight, atol=1e-6)


@pytest.mark.parametrize("where", ["weight", "bias"])
def test_a_number_that_is_not_finite_costs_its_target_only(world, where):
    root, study, _, _ = world
    for kind, path in both_conventions(world):
        data = torch.load(path, weights_only=True)
        data[where][..., 4] = float("nan")
        torch.save(data, root / f"nan-{kind}.pt")
        with pytest.warns(UserWarning, match=r"1 of 30 targets .*not finite .*target 4"):
            dm = load_published(root / f"nan-{kind}.pt", study)
        assert dm.meta["published_units"] == kind
        assert dm.meta["targets_left_out"] == [4]
        whole = load_published(path, study)
        rest = np.arange(30) != 4
        np.testing.assert_array_equal(dm.weight[:, rest], whole.weight[:, rest])
        assert not dm.weight[:, 4].any()


def test_a_unit_in_all_masks_weighs_nothing(world, tmp_path):
    _, study, _, _ = world
    masks = study.masks().unpack()
    masks[:, 3] = True
    outputs = study.read("test_margins")
    same = st.Study.from_arrays(tmp_path / "study", masks, {"test_margins": outputs}, heldout=600)
    (_, _), (_, path) = both_conventions(world)
    dm = load_published(path, same, units="standardized")
    assert not dm.weight[3].any()
    assert np.isfinite(dm.weight).all()


def test_deviations_are_alphas_where_masks_are_too_many(world, monkeypatch):
    _, study, _, _ = world
    own = mask_columns(study)
    np.testing.assert_allclose(own.mean, study.masks(study.done("fit")).unpack().mean(axis=0))
    monkeypatch.setattr("subtrain.public.published._BITS", 10)
    alphas = mask_columns(study)
    np.testing.assert_allclose(alphas.deviation, np.sqrt(ALPHA * (1 - ALPHA)), rtol=1e-3)
    np.testing.assert_allclose(own.deviation, alphas.deviation, rtol=0.3)


def test_sums_go_block_by_block(monkeypatch):
    monkeypatch.setattr("subtrain.public.published._BLOCK", 100)
    weight, factor = np.arange(70, dtype=np.float32).reshape(10, 7), np.arange(10.0)
    np.testing.assert_array_equal(weighted_sums(weight, factor), factor @ weight)


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
