"""The LASSO without a Gram: the same answers, certified, within the memory it was given."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from subtrain.errors import InputError
from subtrain.masks import Masks, pack, row_bytes
from subtrain.regression import FitWarning, count, lasso_path
from subtrain.regression.large.mask_passes import MaskColumns, correlate
from subtrain.regression.large.solver import lasso_large, plan_layout

MIB = 2**20


def world(m: int = 700, n: int = 500, targets: int = 5, fixed: bool = True, seed: int = 0):
    random = np.random.default_rng(seed)
    uniform = random.random((m, n))
    masks = uniform.argsort(axis=1) < n // 3 if fixed else uniform < 0.5
    weight = random.normal(size=(n, targets)) * (random.random((n, targets)) < 0.03)
    return masks, (masks @ weight + 2.0 + random.normal(size=(m, targets))).astype(np.float32)


def raw_gap(masks, y, weight, bias, lam, penalty=None, positive=False, scaled=True):
    """Relative duality gap in float64 from the raw data, nothing shared with the solver."""
    scale = masks.std(axis=0) if scaled else np.ones(masks.shape[1])
    inside = masks.std(axis=0) > 0
    factor = np.ones(masks.shape[1]) if penalty is None else penalty
    inside &= np.isfinite(factor)
    x = (masks[:, inside] - masks[:, inside].mean(axis=0)) / scale[inside]
    coef = weight[inside] * scale[inside]
    centered = y - y.mean()
    residual = y - masks @ weight - bias
    primal = (residual**2).mean() / 2 + lam * (factor[inside] * np.abs(coef)).sum()
    pull = x.T @ residual / len(y) / factor[inside]
    worst = max(pull.max() if positive else np.abs(pull).max(), 0)
    theta = min(lam / worst if worst > 0 else np.inf, (centered @ residual) / (residual @ residual)) * residual
    dual = (centered**2).mean() / 2 - ((centered - theta) ** 2).mean() / 2
    return 2 * (primal - dual) / y.var()


@pytest.mark.parametrize("objective", ["standardized", "raw"])
@pytest.mark.parametrize("positive", [False, True])
def test_it_is_the_path_from_the_whole_gram(objective, positive) -> None:
    masks, y = world()
    fresh, judged = world(seed=1)
    penalty = np.ones(500)
    penalty[:50], penalty[50:60] = 2.0, np.inf
    how = {"objective": objective, "positive": positive, "penalty": penalty, "tol": 1e-8}
    found = lasso_large(pack(masks), y, 15, 0.1, validation=(pack(fresh), judged), **how)
    want = lasso_path(count(masks, y), count(fresh, judged), 15, 0.1, keep=True, **how)
    np.testing.assert_allclose(found.lambdas, want.lambdas, rtol=1e-10)
    np.testing.assert_array_equal(found.best, want.best)
    np.testing.assert_allclose(found.error, want.error, rtol=1e-4)
    assert found.passes < 15 * 3
    assert found.working < 500
    scaled = objective == "standardized"
    for t in range(5):
        np.testing.assert_allclose(found.weight(t), want.weight[t], atol=1e-4)
        for step in range(15):
            weight = found.weight(t, step)
            np.testing.assert_allclose(weight, want.weights[t, step], atol=1e-4)
            gap = raw_gap(
                masks,
                y[:, t].astype(float),
                weight,
                found.bias[t, step],
                found.lambdas[t, step],
                penalty,
                positive,
                scaled,
            )
            assert found.gap[t, step] <= 1e-8
            assert gap == pytest.approx(found.gap[t, step], abs=1e-10)


def test_gaps_are_measured_not_assumed() -> None:
    masks, y = world(m=150, targets=2)
    with pytest.warns(FitWarning, match="duality gap stays above tol"):
        found = lasso_large(pack(masks), y, [0.2, 0.1, 0.05], tol=1e-11, max_iter=1)
    assert found.gap.max() > 1e-9
    for t in range(2):
        for step in range(3):
            gap = raw_gap(
                masks, y[:, t].astype(float), found.weight(t, step), found.bias[t, step], found.lambdas[t, step]
            )
            assert gap == pytest.approx(found.gap[t, step], rel=1e-3, abs=1e-10)


def test_blocks_from_a_function_and_few_targets_a_pass_change_nothing(monkeypatch) -> None:
    masks, y = world(m=900, n=300, targets=6)
    calls = []

    def blocks():
        calls.append(None)
        return (pack(masks[start : start + 250]) for start in range(0, 900, 250))

    whole = lasso_large(pack(masks), y, 8, 0.2, tol=1e-9)
    from subtrain.regression.large import solver as large
    from subtrain.regression.large.options import Layout

    monkeypatch.setattr(large, "plan_layout", lambda *_: Layout(targets=4, ahead=1, working=300))
    parts = lasso_large(blocks, y, 8, 0.2, tol=1e-9, threads=1)
    assert len(calls) >= parts.passes > whole.passes
    np.testing.assert_allclose(parts.lambdas, whole.lambdas, rtol=1e-12)
    for t in range(6):
        np.testing.assert_allclose(parts.weight(t), whole.weight(t), atol=1e-5)


def test_a_full_working_set_drops_what_it_does_not_need_or_says_so(monkeypatch) -> None:
    from subtrain.regression.large import solver as large
    from subtrain.regression.large.options import Layout

    masks, y = world(m=400, n=300, targets=1)
    grid = [0.3, 0.12, 0.1]
    want = lasso_large(pack(masks), y, grid, tol=1e-9)
    support = [np.count_nonzero(want.weight(0, step)) for step in range(3)]
    assert support[0] < support[1] - 1 < support[2]
    monkeypatch.setattr(large, "plan_layout", lambda *_: Layout(targets=1, ahead=1, working=support[2] + 5))
    tight = lasso_large(pack(masks), y, grid, tol=1e-9)
    assert tight.working <= support[2] + 5
    for step in range(3):
        np.testing.assert_allclose(tight.weight(0, step), want.weight(0, step), atol=1e-5)
    monkeypatch.setattr(large, "plan_layout", lambda *_: Layout(targets=1, ahead=1, working=support[1] - 1))
    with pytest.warns(FitWarning, match="working sets are full with"):
        short = lasso_large(pack(masks), y, grid, tol=1e-9)
    assert short.full
    assert short.best[0] == 0
    assert np.isnan(short.gap[0]).tolist() == [False, True, True]
    np.testing.assert_allclose(short.weight(0), want.weight(0, 0), atol=1e-5)


def test_an_early_stop_ends_the_path_after_the_validation_minimum() -> None:
    masks, y = world(m=600, n=150, targets=2)
    y += 4 * np.random.default_rng(3).normal(size=y.shape)
    fresh, judged = world(m=300, n=150, targets=2, seed=4)
    how = {"validation": (pack(fresh), judged)}
    whole = lasso_large(pack(masks), y, 48, 0.05, **how)
    short = lasso_large(pack(masks), y, 48, 0.05, early_stop=2, **how)
    there = ~np.isnan(short.error)
    assert 0 < there.sum() < there.size
    np.testing.assert_array_equal(short.best, whole.best)
    np.testing.assert_array_equal(np.isnan(short.gap), ~there)


def test_constant_targets_and_units() -> None:
    masks, y = world(m=200, n=100, targets=3)
    masks[:, 7], masks[:, 8], y[:, 1] = True, False, 4.0
    found = lasso_large(pack(masks), y, 6, 0.2)
    assert not found.weight(1).any()
    assert found.bias[1, -1] == 4.0
    assert not found.gap[1].any()
    assert not found.weight(0)[[7, 8]].any()
    assert found.weight(0).any()
    alone = lasso_large(pack(masks), y[:, 1], 6, 0.2)
    assert alone.entries[0][5][0].size == 0


@pytest.mark.parametrize("memory", [96 * MIB, 200 * MIB])
def test_memory_stays_within_its_bound(memory) -> None:
    """200,000 units, whose Gram would take 160 GB."""
    m, n, targets = 300, 200_000, 4
    random = np.random.default_rng(0)
    data = random.integers(0, 256, (m, row_bytes(n)), np.uint8)
    masks = Masks(data, n)
    y = 3.0 * masks[np.arange(m)].unpack()[:, :5].sum(axis=1)[:, None] + random.normal(size=(m, targets))
    lasso_large(masks[:50], y[:50, 0], 2, 0.9, threads=1)  # Compiles, which takes memory of its own.
    tracemalloc.start()
    found = lasso_large(masks, y, 6, 0.6, memory=memory, threads=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= memory
    assert np.all(found.gap <= 1e-4)
    assert all(set(range(5)) <= set(found.entries[t][-1][0].tolist()) for t in range(targets))


def test_more_memory_means_more_at_a_time() -> None:
    small, large = (plan_layout(1_000_000, 100_000, 64, size * 2**30, 2) for size in (2, 8))
    assert small.targets * small.ahead < large.targets * large.ahead
    assert large.working > small.working > 500
    with pytest.raises(InputError, match=r"need memory of at least \d+ MiB .*, got 100 MiB"):
        plan_layout(1_000_000, 100_000, 64, 100 * MIB, 2)
    need = 0
    for size in range(100, 1000, 10):
        try:
            plan_layout(1_000_000, 100_000, 64, size * MIB, 2)
        except InputError as error:
            need = int(str(error).split("at least ")[1].split(" MiB")[0])
    plan_layout(1_000_000, 100_000, 64, (need + 1) * MIB, 2)


def test_bad_input_is_refused() -> None:
    masks, y = world(m=100, n=80, targets=2)
    bad = y.copy()
    bad[3, 1] = np.inf
    for wrong, match in (
        (lambda: lasso_large(pack(masks), bad), "target 1 is inf in the model at position 3"),
        (lambda: lasso_large(pack(masks), y[:90]), "do not fit"),
        (lambda: lasso_large(pack(masks[:0]), y[:0]), "nothing to fit"),
        (lambda: lasso_large(pack(masks), y[:, :0]), "nothing to fit"),
        (lambda: lasso_large(pack(masks[:90]), y), "90 masks but outputs of 100"),
        (lambda: lasso_large(pack(masks), y, tol=0), "tol"),
        (lambda: lasso_large(pack(masks), y, early_stop=0), "early_stop"),
        (lambda: lasso_large(pack(masks), y, [0.1, 0.0]), "positive"),
        (lambda: lasso_large(pack(masks), y, objective="paper"), "objective"),
        (lambda: lasso_large(pack(masks), y, penalty=np.ones(79)), "penalty"),
    ):
        with pytest.raises(InputError, match=match):
            wrong()


@pytest.mark.parametrize(("m", "n", "columns"), [(70, 4100, 3), (9000, 130, 17), (1, 1, 1)])
def test_one_pass_multiplies_exactly(m, n, columns) -> None:
    random = np.random.default_rng(0)
    masks = random.random((m, n)) < 0.4
    values = random.integers(-50, 50, (m, columns)).astype(float)
    out = np.full((n, columns), np.nan)
    correlate(pack(masks), values, out, threads=2)
    np.testing.assert_array_equal(out, masks.T.astype(float) @ values)


def test_chosen_columns_are_the_masks_columns() -> None:
    random = np.random.default_rng(0)
    masks = random.random((2500, 333)) < 0.4
    columns = MaskColumns(pack(masks), 2500)
    columns.add(np.array([5, 332, 0]))
    columns.add(np.array([64, 63, 100, 7, 8, 9, 200]))
    order = np.array([5, 332, 0, 64, 63, 100, 7, 8, 9, 200])
    np.testing.assert_array_equal(columns.masks.unpack(), masks[:, order])
    kept = np.array([True, False, True, True, False, True, True, False, True, True])
    columns.keep(kept)
    columns.add(np.array([1]))
    order = np.append(order[kept], 1)
    np.testing.assert_array_equal(columns.masks.unpack(), masks[:, order])
    weight = random.normal(size=(8, 2))
    weight[3] = 0
    got = np.concatenate([product for _, product in columns.predict(weight)])
    np.testing.assert_allclose(got, masks[:, order] @ weight, atol=1e-12)
