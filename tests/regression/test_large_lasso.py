"""`LassoLarge`: what `Lasso` gives, without counts of pairs, in the memory that it is given, and resumable."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

import subtrain as st
from subtrain.errors import InputError, StorageError
from subtrain.masks import Masks, pack, row_bytes
from subtrain.regression import FitWarning, Lasso, LassoLarge
from subtrain.regression.counting.threads import thread_count
from subtrain.regression.estimators import lasso_large
from subtrain.regression.large import solver
from subtrain.regression.large.model_spool import room, spooled
from subtrain.regression.large.options import Layout

MIB = 2**20


def world(m: int = 900, n: int = 400, targets: int = 5, seed: int = 0):
    random = np.random.default_rng(seed)
    masks = random.random((m, n)) < 0.5
    weight = np.zeros((n, targets))
    weight[: n // 40] = 1.0
    return masks, (masks @ weight + 2.0 + 2.5 * random.normal(size=(m, targets))).astype(np.float32)


def raw_gap(masks, y, weight, bias, lam) -> float:
    """Relative duality gap in float64 from the raw data, nothing shared with the solver."""
    scale = masks.std(axis=0)
    x = (masks - masks.mean(axis=0)) / scale
    residual = y - masks @ weight - bias
    primal = (residual**2).mean() / 2 + lam * np.abs(weight * scale).sum()
    theta = residual * min(1.0, lam / np.abs(x.T @ residual / len(y)).max())
    centered = y - y.mean()
    return 2 * (primal - (centered**2).mean() / 2 + ((centered - theta) ** 2).mean() / 2) / y.var()


HOW = {"lambdas": 15, "eps": 0.05, "tol": 1e-8, "seed": 3}


def test_it_is_the_lasso_of_the_counts() -> None:
    masks, y = world()
    want = Lasso(**HOW).fit(masks, y)
    got = LassoLarge(**HOW).fit(masks, y)
    np.testing.assert_allclose(got.lam_, want.lam_, rtol=1e-10)
    np.testing.assert_allclose(got.lambdas_, want.lambdas_, rtol=1e-10)
    np.testing.assert_allclose(got.weight_, want.weight_, atol=2e-4)
    np.testing.assert_allclose(got.bias_, want.bias_, atol=2e-3)
    np.testing.assert_allclose(got.predict(masks), want.predict(masks), atol=2e-3)
    both = np.isfinite(got.validation_mse_) & np.isfinite(want.validation_mse_)
    np.testing.assert_allclose(got.validation_mse_[both], want.validation_mse_[both], rtol=1e-4)
    for t in range(5):
        gap = raw_gap(masks, y[:, t].astype(float), got.weight_[:, t], got.bias_[t], got.lam_[t])
        assert -1e-12 < gap <= 1e-8
        # Along the same residual, the certificate takes the best dual point, this one the plain one.
        assert got.gap_[t] <= gap + 1e-12


def test_one_lambda_needs_no_validation_and_several_do() -> None:
    masks, y = world()
    want = Lasso(lambdas=[0.1], tol=1e-8).fit(masks, y[:, 0])
    got = LassoLarge(lambdas=[0.1], tol=1e-8).fit(masks, y[:, 0])
    np.testing.assert_allclose(got.weight_, want.weight_, atol=1e-4)
    assert got.predict(masks).shape == (900,)
    with pytest.raises(InputError, match="needs validation models"):
        LassoLarge(validation=None).fit(masks, y)
    fresh, judged = world(seed=1)
    given = LassoLarge(**HOW).fit(masks, y, validation=(fresh, judged))
    np.testing.assert_allclose(given.lam_, Lasso(**HOW).fit(masks, y, validation=(fresh, judged)).lam_)
    rows = np.arange(900) % 7 == 0
    split = LassoLarge(**HOW).fit(masks, y, sample_split=np.flatnonzero(rows))
    np.testing.assert_allclose(split.lam_, Lasso(**HOW).fit(masks, y, sample_split=rows).lam_)
    alone = LassoLarge(refit=False, **HOW).fit(masks, y, sample_split=rows)
    np.testing.assert_array_equal(alone.lam_, split.lam_)
    gap = raw_gap(masks[~rows], y[~rows, 2].astype(float), alone.weight_[:, 2], alone.bias_[2], alone.lam_[2])
    assert gap <= 1e-8


def test_files_and_parts_give_the_same(tmp_path, monkeypatch) -> None:
    masks, y = world()
    want = LassoLarge(**HOW).fit(masks, y)
    np.save(tmp_path / "masks.npy", masks[:500])
    np.save(tmp_path / "y.npy", y.astype(">f4"))
    parts = [tmp_path / "masks.npy", masks[500:].astype(np.int8)], tmp_path / "y.npy"
    got = LassoLarge(**HOW).fit(*parts)
    np.testing.assert_array_equal(got.weight_, want.weight_)
    monkeypatch.setattr(lasso_large, "room", lambda m, n, t, size, memory: filed(room(m, n, t, size, memory)))
    got = LassoLarge(folder=tmp_path / "work", **HOW).fit(*parts)
    # Blocks of other sizes add up in another order.
    np.testing.assert_allclose(got.weight_, want.weight_, atol=1e-8)
    np.testing.assert_allclose(got.gap_, want.gap_, atol=1e-12)
    assert not (tmp_path / "work").exists()


def filed(plan):
    return replace(plan, masks=False, outputs=False, rows=128)


@pytest.mark.parametrize("outside", [False, True])
def test_models_are_held_as_the_plan_says(outside, tmp_path) -> None:
    masks, y = world(300)
    plan = room(300, 400, 5, 4, 10**9)
    assert plan.masks
    assert plan.outputs
    plan = filed(plan) if outside else plan
    blocks = ((pack(masks[i : i + 70]), y[i : i + 70]) for i in range(0, 300, 70))
    many = spooled(blocks, 300, plan, tmp_path)
    for _ in range(2):
        read = [many.source] if isinstance(many.source, Masks) else list(many.source())
        assert [len(part) for part in read] == ([128, 128, 44] if outside else [300])
        np.testing.assert_array_equal(np.concatenate([part.unpack() for part in read]), masks)
    np.testing.assert_array_equal(many.columns(slice(1, 3)), y[:, 1:3].astype(float))
    assert not list(tmp_path.iterdir())
    assert len(many + many) == 600


def test_what_stays_in_memory_and_what_goes_to_files() -> None:
    """20,000 masks over a million units are 2.5 GB."""
    much, little = (room(20_000, 10**6, 4, 2, size * 2**30) for size in (16, 2))
    assert (much.masks, much.outputs, much.disk) == (True, True, 0)
    assert (little.masks, little.outputs, little.disk) == (False, True, 20_000 * 125_000)
    for plan, memory in ((much, 16 * 2**30), (little, 2 * 2**30)):
        held = 20_000 * (125_000 * plan.masks + 8) + 2 * plan.rows * 125_008
        assert held + plan.left == memory
        assert plan.rows % 64 == 0
    assert not room(300_000, 1000, 10_000, 2, 2**30).outputs


@pytest.mark.parametrize("memory", [100 * MIB, 260 * MIB])
def test_memory_stays_within_its_bound(memory, tmp_path) -> None:
    """200,000 units, whose Gram would take 160 GB; the packed masks take 25 MB."""
    m, n, targets = 1_000, 200_000, 3
    data = np.random.default_rng(0).integers(0, 256, (m, row_bytes(n)), np.uint8)
    masks = Masks(data, n)
    y = 3.0 * masks.unpack()[:, :5].sum(axis=1)[:, None] + np.random.default_rng(1).normal(size=(m, targets))
    how = {"lambdas": 6, "eps": 0.6, "threads": 1, "folder": tmp_path}
    with pytest.warns(FitWarning):
        LassoLarge(**how).fit(masks[:300], y[:300, 0])  # Compiles, which takes memory of its own.
    tracemalloc.start()
    with pytest.warns(FitWarning, match="smallest lambda validates best"):
        found = LassoLarge(memory=memory, **how).fit(masks, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    result = found.weight_.nbytes
    assert peak <= memory + 2 * result
    assert np.all(found.gap_ <= 1e-4)
    assert np.all(found.weight_[:5] > 0)


def test_too_little_is_refused_with_the_numbers(monkeypatch, tmp_path) -> None:
    masks, y = world(100)
    read = []
    monkeypatch.setattr(lasso_large, "spooled", lambda *args: read.append(args))
    with pytest.raises(InputError, match=r"400 units and 100 models need memory of at least \d+ MiB .*, got \d+ MiB"):
        LassoLarge(memory=MIB).fit(masks, y)
    monkeypatch.setattr(lasso_large, "room", lambda *args: replace(room(*args), masks=False, disk=5600))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(StorageError, match="but the disk has 10 B left"):
        LassoLarge(folder=tmp_path / "here").fit(masks, y)
    assert not read


def test_a_target_without_room_to_refit_keeps_its_path_and_says_so(monkeypatch) -> None:
    masks, y = world(400, 300, targets=1)
    how = {"lambdas": [0.5, 0.4, 0.3, 0.2, 0.1, 0.05], "tol": 1e-9, "early_stop": None}
    path = LassoLarge(refit=False, **how).fit(masks, y)
    monkeypatch.setattr(solver, "plan_layout", lambda *args: Layout(1, 1, 300 if args[-1] else 5))
    monkeypatch.setattr(lasso_large, "plan_layout", lambda *args: None)
    with pytest.warns(FitWarning) as caught:
        found = LassoLarge(**how).fit(masks, y)
    assert any("1 targets keep the weights of the fitting models alone" in str(w.message) for w in caught)
    np.testing.assert_allclose(found.weight_, path.weight_, atol=1e-6)
    assert 0 < found.gap_[0] <= 1e-9


def test_a_target_that_misses_the_tolerance_is_named() -> None:
    masks, y = world(150, targets=2)
    with pytest.warns(FitWarning, match="duality gap stays above tol") as caught:
        found = LassoLarge(lambdas=[0.05], tol=1e-12, max_iter=1).fit(masks, y)
    assert found.gap_.max() > 1e-12
    assert len([w for w in caught if "stays above" in str(w.message)]) == 1


def test_units_and_targets_that_never_change() -> None:
    masks, y = world()
    masks[:, 7], masks[:, 8], y[:, 1] = True, False, 4.0
    units = pytest.warns(FitWarning, match="2 of 400 units are in every mask or in none")
    with (
        units,
        pytest.warns(FitWarning, match="1 of 5 targets all weights are 0: their outputs are the same in all fitting"),
    ):
        found = LassoLarge(**HOW).fit(masks, y)
    assert not found.weight_[[7, 8]].any()
    assert not found.weight_[:, 1].any()
    assert (found.bias_[1], found.lam_[1], found.gap_[1]) == (4.0, 0.0, 0.0)


@pytest.fixture
def study(tmp_path):
    masks, y = world()
    return st.Study.from_arrays(tmp_path / "study", masks, {"test_margins": y}, heldout=100)


def test_a_study_is_fitted_like_any_other(study, tmp_path) -> None:
    plans, stages = [], set()
    dm = st.fit(
        study,
        estimator=LassoLarge(**HOW),
        announce=plans.append,
        progress=lambda stage, done, total: stages.add((stage, done == total)),
    )
    want = st.fit(study, estimator=Lasso(**HOW))
    np.testing.assert_allclose(dm.weight, want.weight, atol=2e-4)
    np.testing.assert_allclose(dm.lam, want.lam, rtol=1e-10)
    assert dm.meta["parts"] == want.meta["parts"]
    assert (dm.meta["estimator"], dm.meta["scale"]) == ("LassoLarge", "raw masks")
    assert dm.meta["params"]["memory"] == 4 * 2**30
    assert dm.meta["gap_max"] <= 1e-8
    assert plans[0].counts == 0
    assert {("path", True), ("refit", True)} <= stages
    assert not (study.path / "counts" / "test_margins-large").exists()
    assert st.evaluate(dm, study).models_fitted == 800
    loaded = st.Datamodels.load(dm.save(tmp_path / "fit"))
    np.testing.assert_array_equal(loaded.weight, dm.weight)
    with pytest.raises(InputError, match="LassoLarge cannot choose by folds"):
        st.fit(study, estimator=LassoLarge(validation=4))
    with pytest.raises(InputError, match=r"memory=.* is allowed to LassoLarge, but only"):
        st.fit(study, estimator=LassoLarge(memory=2**60))
    with pytest.raises(InputError, match="reads the models themselves"):
        LassoLarge().fit_counts(None)


def test_an_interrupted_fit_goes_on_with_the_targets_that_are_left(study, monkeypatch) -> None:
    want = st.fit(study, estimator=LassoLarge(**HOW))
    groups = []
    solve = solver.TargetGroup.solve

    def dying(self, *args):
        groups.append(self.y[0, 0])
        if len(groups) == 4:
            raise KeyboardInterrupt
        return solve(self, *args)

    monkeypatch.setattr(solver.TargetGroup, "solve", dying)
    monkeypatch.setattr(solver, "plan_layout", lambda n, *_: Layout(2, 2, n))
    with pytest.raises(KeyboardInterrupt):
        st.fit(study, estimator=LassoLarge(**HOW))
    # Three groups' paths were finished, and the first refit was not.
    kept = study.path / "counts" / "test_margins-large"
    assert len(list((kept / "path").iterdir())) == 3
    groups[:] = [0.0] * 10
    dm = st.fit(study, estimator=LassoLarge(threads=thread_count(None), **HOW))
    assert len(groups) == 10 + 3
    np.testing.assert_allclose(dm.weight, want.weight, atol=1e-4)
    np.testing.assert_allclose(dm.lam, want.lam, rtol=1e-12)
    assert not kept.exists()


def test_what_is_kept_of_other_options_or_damaged_is_not_used(tmp_path, monkeypatch) -> None:
    masks, y = world(300, 100)
    packed = pack(masks)
    how = {"lambdas": [0.2, 0.1], "resume": tmp_path}
    first = solver.lasso_large(packed, y, **how)
    monkeypatch.setattr(solver.TargetGroup, "solve", lambda *_: pytest.fail("it was kept"))
    again = solver.lasso_large(packed, y, **how)
    for t in range(5):
        np.testing.assert_array_equal(again.weight(t, 0), first.weight(t, 0))
    monkeypatch.undo()
    kept = next(tmp_path.iterdir())
    for change in (
        lambda: solver.lasso_large(packed, y + 1, **how),
        lambda: solver.lasso_large(pack(~masks), y, **how),
        lambda: solver.lasso_large(packed, y, tol=1e-6, **how),
        lambda: solver.lasso_large(packed, y, penalty=np.full(100, 2.0), **how),
        lambda: solver.lasso_large(packed, y, **(how | {"lambdas": [0.3, 0.1]})),
    ):
        was = kept.read_bytes()
        change()
        assert kept.read_bytes() != was
    kept.write_bytes(kept.read_bytes()[:200])
    found = solver.lasso_large(packed, y, **how)
    np.testing.assert_array_equal(found.weight(0), first.weight(0))


def test_parts_of_several_types_lose_nothing() -> None:
    masks, y = world()
    y[:500] = y[:500].astype(np.float16)
    want = LassoLarge(**HOW).fit(masks, y)
    got = LassoLarge(**HOW).fit([masks[:500], masks[500:]], [y[:500].astype(np.float16), y[500:]])
    np.testing.assert_allclose(got.weight_, want.weight_, atol=1e-9)
    with pytest.raises(InputError, match=r"units and targets \(400, 5\), those that validate \(400, 2\)"):
        LassoLarge().fit(masks, y, validation=(masks, y[:, :2]))
