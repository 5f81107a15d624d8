"""Fitting a study: which models are read, what is refused before any work, what is written down."""

import json

import numpy as np
import pytest

import subtrain as st
from subtrain.errors import InputError, StorageError
from subtrain.regression import ElasticNet, FitWarning, Lasso, LeastSquares, MeanDifference, Ridge, count
from subtrain.regression import fit_plan as plans
from subtrain.regression.fit_plan import plan_fit
from subtrain.regression.study_models import finished_models

N, T = 40, 6


@pytest.fixture
def world(rng):
    """Masks, outputs and the weights behind them."""
    masks = rng.random((700, N)) < 0.5
    weight = rng.normal(size=(N, T)) * (rng.random((N, T)) < 0.3)
    return masks, (masks @ weight + 0.2 * rng.normal(size=(700, T)) - 1).astype(np.float32), weight


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def study(world, tmp_path):
    masks, outputs, _ = world
    return st.Study.from_arrays(tmp_path / "study", masks, {"test_margins": outputs}, heldout=100)


def test_the_same_as_the_estimator_on_the_same_models(study, world):
    dm = st.fit(study)
    masks, outputs, weight = world
    fit_on, choose_by = finished_models(study, None).parts(0.1, 0).values()
    alone = Lasso().fit(masks[fit_on], outputs[fit_on], validation=(masks[choose_by], outputs[choose_by]))
    np.testing.assert_allclose(dm.weight, alone.weight_, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dm.weight, weight, atol=0.08)
    np.testing.assert_array_equal(dm.lam, alone.lam_)


def test_held_out_models_are_never_read(study, world, monkeypatch):
    seen = []
    read = type(study).read
    monkeypatch.setattr(type(study), "read", lambda self, name, rows: seen.append(rows) or read(self, name, rows))
    dm = st.fit(study)
    rows = np.unique(np.concatenate(seen))
    np.testing.assert_array_equal(rows, np.arange(600))
    assert dm.meta["models_used"] == [[0, 600]]
    with pytest.raises(InputError, match="was used to fit"):
        st.evaluate(dm, study, rows=[3, 650])


def test_a_growing_study_never_moves_a_model_to_the_other_part(study):
    models = finished_models(study, None)
    some = type(models)(models.study, models.output, models.rows[:300])
    for share, seed, parts in ((0.1, 0, 2), (0.3, 7, 2), (4, 1, 4), (None, 0, 1)):
        before, after = some.parts(share, seed), models.parts(share, seed)
        assert len(before) == len(after) == parts
        for part in before:
            np.testing.assert_array_equal(before[part], after[part][after[part] < 300])
        np.testing.assert_array_equal(np.sort(np.concatenate(list(after.values()))), models.rows)
    chosen, other = (models.parts(0.3, seed) for seed in (7, 8))
    assert abs(chosen["validation-0.3-7"].size - 180) < 40
    assert not np.array_equal(chosen["validation-0.3-7"], other["validation-0.3-8"])
    with pytest.raises(InputError, match="at least 2 folds, got 1"):
        models.parts(1, 0)


def test_folds_choose_as_the_estimator_does_from_the_same_folds(study, world):
    masks, outputs, _ = world
    folds = [count(masks[r], outputs[r]) for r in finished_models(study, None).parts(4, 0).values()]
    dm = st.fit(study, estimator=Lasso(validation=4))
    np.testing.assert_array_equal(dm.weight, Lasso(validation=4).fit_folds(folds).weight_.astype(np.float32))
    with pytest.raises(InputError, match="Ridge cannot choose by folds"):
        st.fit(study, estimator=Ridge(validation=4))


@pytest.mark.parametrize("estimator", [Ridge(), LeastSquares(), ElasticNet(), MeanDifference()], ids=repr)
def test_other_estimators_fit_studies_too(study, world, estimator):
    dm = st.fit(study, estimator=estimator)
    assert dm.meta["estimator"] == type(estimator).__name__
    assert st.evaluate(dm, study).lds.value > 0.9


@pytest.mark.filterwarnings("ignore::subtrain.system.experimental.ExperimentalWarning")
def test_a_device_that_is_not_there_is_one_sentence(study):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match="cuda"):
        st.fit(study, estimator=Lasso(device="cuda"))


def test_replicates_of_a_subset_stay_in_one_part(tmp_path):
    task = st.tasks.function(lambda i, s: {"y": np.ones(1) * s}, n=9, outputs={"y": st.Output((1,), "float64")})
    study = st.Study.create(tmp_path / "s", task, st.Design(models=50, heldout=4, replicates=3))
    assert np.array_equal(study.design.subsets(range(50)), np.arange(50))
    study.collect(workers=1, progress=False)
    assert finished_models(study, "y").rows.size == 50


def test_outputs_that_are_not_finite(world, tmp_path):
    masks, outputs, _ = world
    outputs[[20, 30], 2] = np.nan, np.inf
    study = st.Study.from_arrays(tmp_path / "study", masks, {"test_margins": outputs}, heldout=100)
    with pytest.raises(InputError, match=r"test_margins of model 20 is nan at target 2"):
        st.fit(study)
    with pytest.warns(FitWarning, match=r"2 of 600 models have an output .*the first is model 20\)"):
        dm = st.fit(study, drop_nonfinite=True)
    assert "2 of 600 models" in dm.meta["notes"][0]
    assert dm.meta["models"] == 598
    assert dm.meta["models_used"] == [[0, 20], [21, 30], [31, 600]]


def test_what_does_not_fit_is_refused_with_the_numbers_before_anything_is_counted(study, monkeypatch):
    monkeypatch.setattr(plans, "available_memory", lambda: 1000)
    announced, stages = [], []
    with pytest.raises(InputError, match=r"needs about .* of memory .* only 1 kB are free"):
        st.fit(study, announce=announced.append, progress=lambda *a: stages.append(a))
    assert announced[0].memory > 1000
    assert not stages


def test_the_plan_counts_what_grows():
    paper = plan_fit([270_000, 30_000], 50_000, 10_000, held=True)
    assert paper.counts > 2 * 50_000**2 + 8 * 50_000 * 10_000
    assert paper.memory < 20e9
    assert paper.disk > 2 * 4 * 50_000 * 10_000
    assert plan_fit([270_000, 30_000], 50_000, 10_000, held=False).counts > 3 * 4 * 50_000**2


def test_progress_goes_through_the_stages(study):
    seen = []
    st.fit(study, progress=lambda stage, done, total: seen.append((stage, done, total)))
    assert list(dict.fromkeys(stage for stage, _, _ in seen)) == ["counts", "path", "join counts", "refit"]
    assert all(0 < done <= total for _, done, total in seen)
    assert seen[-1][1] == seen[-1][2] == T


def test_too_few_models_and_unknown_outputs(tmp_path, rng):
    small = st.Study.from_arrays(tmp_path / "s", rng.random((12, 5)) < 0.5, {"y": rng.normal(size=(12, 2))}, heldout=4)
    with pytest.raises(InputError, match="8 models to fit on; at least 10"):
        st.fit(small)
    with pytest.raises(InputError, match="records no output 'z'; it has y"):
        st.fit(small, output="z")
    with pytest.warns(FutureWarning, match="write output="), pytest.raises(InputError, match="no output 'z'"):
        st.fit(small, outputs="z")


@pytest.fixture
def growing(tmp_path, rng):
    """A finished study of 300 models that can be extended."""
    weight = rng.normal(size=(N, T)).astype(np.float32)
    task = st.tasks.batch(lambda m, s: {"y": m @ weight + s[:, None] / 2**30}, n=N, outputs={"y": [T]}, size=64)
    study = st.Study.create(tmp_path / "s", task, st.Design(models=300, heldout=4, replicates=1), segment=32)
    study.collect(workers=1, progress=False)
    return study


def test_adding_models_counts_the_new_ones_only_and_gives_the_same_fit(growing, monkeypatch):
    monkeypatch.setattr("subtrain.regression.study_models.BLOCK", 32)
    st.fit(growing)
    longer = growing.extend(models=64)
    longer.collect(workers=1, progress=False)
    seen = []
    read = type(longer).read
    monkeypatch.setattr(type(longer), "read", lambda self, name, rows: seen.append(rows) or read(self, name, rows))
    added = st.fit(longer)
    assert np.concatenate(seen).size < 64 + 4 * 32 + 64
    fresh = st.fit(longer, keep_counts=False)
    np.testing.assert_array_equal(added.weight, fresh.weight)
    assert added.meta["models"] == 364


def test_an_interrupted_count_goes_on(growing, monkeypatch):
    monkeypatch.setattr("subtrain.regression.study_models.BLOCK", 32)

    def stop(stage, done, total):
        if stage == "path":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        st.fit(growing, progress=stop)
    seen = []
    again = st.fit(growing, progress=lambda stage, done, total: seen.append(stage))
    assert "counts" not in seen
    np.testing.assert_array_equal(again.weight, st.fit(growing, keep_counts=False).weight)


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove", "other rows", "other output", "endless"])
def test_kept_counts_that_do_not_fit_are_thrown_away(growing, harm):
    right = st.fit(growing)
    for gram in (growing.path / "counts").glob("*/gram-*.npy"):
        data = bytearray(gram.read_bytes())
        data[-3] ^= 1
        if harm == "flip":
            gram.write_bytes(data)
        elif harm == "truncate":
            gram.write_bytes(data[:-5])
        elif harm == "remove":
            gram.unlink()
    for rows in (growing.path / "counts").glob("*/rows.json"):
        if harm == "other rows":
            rows.write_text(rows.read_text().replace("[\n   0,", "[\n   1,"))
        elif harm == "other output":
            rows.write_text(rows.read_text().replace('"y"', '"z"'))
        elif harm == "endless":
            rows.write_text(json.dumps({**json.loads(rows.read_text()), "rows": [[0, 10**15]]}))
    np.testing.assert_array_equal(st.fit(growing).weight, right.weight)


@pytest.mark.parametrize("estimator", [None, st.LassoLarge()], ids=["counts", "large"])
def test_a_study_that_goes_away_meanwhile_is_not_half_made_again(study, estimator):
    """Arrays that are read where they lie stay readable; what is kept must not make the old folder again."""

    def move(_stage, _done, _total):
        if study.path.exists():
            study.path.rename(study.path.with_name("elsewhere"))

    with pytest.raises(StorageError, match="moved, deleted or unmounted"):
        st.fit(study, estimator=estimator, progress=move)
    assert not study.path.exists()


def test_a_study_too_wide_for_a_dense_gram_is_fitted_from_a_compact_one(growing, monkeypatch):
    dense = st.fit(growing, keep_counts=False)
    monkeypatch.setattr("subtrain.regression.fit_study.gram_kind", lambda n: "compact")
    monkeypatch.setattr("subtrain.regression.lasso.target_blocks.WEIGHTS", 8 * N)
    compact = st.fit(growing)
    np.testing.assert_array_equal(compact.lam, dense.lam)
    np.testing.assert_allclose(compact.weight, dense.weight, atol=1e-2)
    assert [path.name for path in (growing.path / "counts").glob("*-compact/gram*")] == []
    assert len(list((growing.path / "counts").glob("*-compact/deviation-*.npy"))) == 1
    longer = growing.extend(models=64)
    longer.collect(workers=1, progress=False)
    again = st.fit(longer)
    np.testing.assert_array_equal(again.weight, st.fit(longer, keep_counts=False).weight)


def test_a_fit_killed_between_blocks_of_targets_goes_on(growing, monkeypatch):
    monkeypatch.setattr("subtrain.regression.lasso.target_blocks.block_size", lambda n: 2)
    told = []

    def stop(stage, done, total):
        told.append((stage, done))
        if (stage, done) == ("path", 5):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        st.fit(growing, progress=stop)
    told.clear()
    again = st.fit(growing, progress=lambda stage, done, total: told.append((stage, done)))
    assert [at for at in told if at[0] == "path"] == [("path", 5), ("path", 6)]
    np.testing.assert_array_equal(again.weight, st.fit(growing, keep_counts=False).weight)
