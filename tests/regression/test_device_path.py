"""Paths solved for all targets at once on a device, here on CPU tensors, against the CPU solver and the raw data."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from subtrain.errors import InputError
from subtrain.regression import FitWarning, LassoOptions, count, lasso_from_counts, lasso_path

torch = pytest.importorskip("torch", reason="needs the torch extra")

from subtrain.regression.device import Device, device_path, lasso_on_device  # noqa: E402
from subtrain.regression.device.memory import plan_path  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::subtrain.system.experimental.ExperimentalWarning")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA GPU")
CPU = Device("cpu")
SMALL = Device("cpu", block=32)


def world(m: int, n: int, targets: int, seed: int = 0, mixed: bool = False, awkward: bool = False):
    """Masks and outputs with power-law weights and noise; mixed: a share of the units that varies from model to model;
    awkward: constant and duplicate units and a constant target."""
    random = np.random.default_rng(seed)
    share = random.choice([0.2, 0.4, 0.6, 0.8], (m, 1)) if mixed else 0.5
    masks = random.random((m, n)) < share
    if awkward:
        masks[:, 1], masks[:, 4], masks[:, 6] = True, False, masks[:, 2]
    weight = np.stack([random.permutation(1.0 / np.arange(1, n + 1)) for _ in range(targets)], axis=1)
    signal = masks @ (weight * random.choice([-1, 1], weight.shape))
    y = signal + random.normal(size=signal.shape) * signal.std(axis=0) + 2.0
    if awkward:
        y[:, 1] = -1.25
    return masks, y


def gaps(masks, y, weight, bias, lam, objective: str = "standardized") -> np.ndarray:
    """Relative duality gaps [T] from residuals in float64, without any Gram."""
    x = masks - masks.mean(axis=0)
    scale = masks.std(axis=0) if objective == "standardized" else np.ones(masks.shape[1])
    x = np.divide(x, scale, out=np.zeros_like(x), where=(scale > 0) & (masks.std(axis=0) > 0))
    found = []
    for t in range(y.shape[1]):
        residual = y[:, t] - masks @ weight[:, t] - bias[t]
        assert abs(residual.mean()) < 1e-9
        primal = residual.var() / 2 + lam[t] * np.abs(weight[:, t] * scale).sum()
        theta = residual / max(1.0, np.abs(x.T @ residual).max() / len(y) / lam[t])
        centered = y[:, t] - y[:, t].mean()
        found.append((primal - (theta @ centered - theta @ theta / 2) / len(y)) / (y[:, t].var() / 2))
    return np.array(found)


@pytest.mark.parametrize("objective", ["standardized", "raw"])
@pytest.mark.parametrize("device", [CPU, SMALL, Device("cpu", block=32, dtype="float16")])
def test_fits_agree_with_the_cpu_solver(objective: str, device: Device) -> None:
    masks, y = world(1300, 150, 12)
    train, valid = count(masks[:1100], y[:1100]), count(masks[1100:], y[1100:])
    how = LassoOptions(lambdas=60, objective=objective)
    got, want = lasso_on_device(train, valid, how, device), lasso_from_counts(train, valid, options=how)
    assert np.mean(got.lam == want.lam) >= 0.9
    same = got.lam == want.lam
    np.testing.assert_array_equal(got.lambdas, want.lambdas)
    assert got.gap.max() <= 1e-4
    difference = masks @ (got.weight - want.weight) + got.bias - want.bias
    assert np.all(difference.std(axis=0)[same] < 0.02 * y.std(axis=0)[same])
    assert np.abs(difference.mean(axis=0)).max() < 1e-9
    both = np.isfinite(got.validation_mse) & np.isfinite(want.validation_mse)
    assert both.sum() >= 0.9 * np.isfinite(want.validation_mse).sum()
    np.testing.assert_allclose(got.validation_mse[both], want.validation_mse[both], rtol=2e-3)
    certified = gaps(masks, y, got.weight, got.bias, got.lam, objective)
    assert certified.max() <= 1.5e-4
    np.testing.assert_array_less(got.gap, certified + 1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_tight_tolerances_are_reached_in_spite_of_few_bits(dtype: str) -> None:
    masks, y = world(400, 90, 4, awkward=True)
    counts = count(masks, y)
    how = LassoOptions(lambdas=12, eps=0.05, tol=1e-8)
    got = device_path(counts, None, how, Device("cpu", block=40, dtype=dtype))
    assert got.gap.max() <= 1e-8
    want = lasso_path(counts, None, 12, 0.05, tol=1e-9)
    np.testing.assert_allclose(masks @ got.weight.T + got.bias, masks @ want.weight.T + want.bias, atol=2e-3)
    free = [0, 2, 3]
    assert gaps(masks, y[:, free], got.weight[free].T, got.bias[free], got.lambdas[free, -1]).max() <= 2e-8
    assert not got.weight[1].any()
    assert not got.weight[:, [1, 4]].any()
    # Zeros are zeros: the support is that of the solution, not of rounding.
    alone = np.setdiff1d(np.arange(90), [2, 6])
    np.testing.assert_array_equal(got.weight[0, alone] != 0, want.weight[0, alone] != 0)


def test_fewer_models_than_units_are_solved_to_the_gap() -> None:
    masks, y = world(60, 130, 4)
    how = LassoOptions(lambdas=8, eps=0.1)
    got = device_path(count(masks, y), None, how, Device("cpu", block=65))
    assert got.gap.max() <= how.tol
    assert gaps(masks, y, got.weight.T, got.bias, got.lambdas[:, -1]).max() <= 1.5 * how.tol


def test_the_path_is_that_of_the_cpu_solver_with_its_validation_curve() -> None:
    masks, y = world(700, 80, 3, awkward=True)
    train, valid = count(masks[:500], y[:500]), count(masks[500:], y[500:] + 0.3)
    how = LassoOptions(lambdas=20, tol=1e-8, early_stop=None)
    got = device_path(train, valid, how, SMALL)
    want = lasso_path(train, valid, 20, tol=1e-8)
    np.testing.assert_array_equal(got.lambdas, want.lambdas)
    np.testing.assert_array_equal(got.best, want.best)
    np.testing.assert_allclose(got.error, want.error, rtol=1e-4)
    np.testing.assert_allclose(got.bias, want.bias, atol=1e-3)
    assert got.gap.max() <= 1e-8
    predicted = masks[500:] @ got.weight[0] + got.bias[0]
    assert got.error[0, got.best[0]] == pytest.approx(np.mean((y[500:, 0] + 0.3 - predicted) ** 2), rel=1e-9)


def test_an_early_stop_chooses_as_the_whole_path_does() -> None:
    masks, y = world(1000, 100, 10, seed=3)
    train, valid = count(masks[:850], y[:850]), count(masks[850:], y[850:])
    early, whole = (device_path(train, valid, LassoOptions(early_stop=stop), SMALL) for stop in (5, None))
    np.testing.assert_array_equal(early.best, whole.best)
    np.testing.assert_allclose(early.weight, whole.weight, atol=1e-3)
    assert np.isnan(early.error).any()
    np.testing.assert_array_equal(np.isnan(early.error), np.isnan(early.gap))
    assert not np.isnan(whole.error).any()
    for t in range(10):
        since = max(early.best[t], np.argmax(early.lambdas[t] <= 0.1 * early.lambdas[t, 0]))
        assert np.isfinite(early.error[t]).sum() == min(since + 6, 100)


def test_a_start_at_the_solution_stays_there() -> None:
    masks, y = world(400, 90, 3)
    counts = count(masks, y)
    how = LassoOptions(lambdas=[0.05], tol=1e-8)
    cold = device_path(counts, None, how, SMALL)
    warm = device_path(counts, None, how, SMALL, start=cold.weight)
    assert np.all(warm.passes == 2)
    assert np.all(cold.passes > 2)
    np.testing.assert_allclose(warm.weight, cold.weight, atol=1e-4)


def test_positive_weights_and_penalty_factors() -> None:
    masks, y = world(500, 60, 3, seed=5)
    counts = count(masks, y)
    factor = np.linspace(0.5, 2.0, 60)
    factor[3] = np.inf
    how = LassoOptions(lambdas=[0.05], tol=1e-9, positive=True, penalty=factor)
    got = lasso_on_device(counts, None, how, SMALL)
    want = lasso_from_counts(counts, None, options=replace(how, threads=1))
    np.testing.assert_allclose(got.weight, want.weight, atol=1e-4)
    assert got.weight.min() == 0.0
    assert not got.weight[3].any()
    assert got.weight.any()


def test_a_share_that_varies_from_model_to_model_is_solved_in_a_bounded_number_of_sweeps() -> None:
    """All units are correlated then: a gradient step on all of them at once would have to be tens of times shorter."""
    masks, y = world(1500, 150, 4, mixed=True)
    got = device_path(count(masks, y), None, LassoOptions(lambdas=10, eps=0.03), Device("cpu", block=50))
    assert got.gap.max() <= 1e-4
    assert got.passes.max() <= 30


@pytest.mark.parametrize("early_stop", [5, None])
def test_little_memory_solves_fewer_targets_together_and_finds_the_same(early_stop: int | None) -> None:
    masks, y = world(500, 64, 20, seed=2)
    train, valid = count(masks[:400], y[:400]), count(masks[400:], y[400:])
    how = LassoOptions(lambdas=15, early_stop=early_stop, tol=1e-7)
    grams = train.gram.nbytes + valid.gram.nbytes
    little = 250_000
    plan = plan_path(64, 20, 4, grams, little)
    assert plan.targets < 20
    assert not plan.resident
    seen = []
    got = lasso_on_device(train, valid, how, replace(SMALL, memory=little), progress=lambda *r: seen.append(r))
    want = lasso_on_device(train, valid, how, SMALL)
    np.testing.assert_array_equal(got.lam, want.lam)
    np.testing.assert_allclose(got.weight, want.weight, atol=1e-3)
    assert got.gap.max() <= 1e-7
    assert [r for r in seen if r[0] == "path"][-1] == ("path", 20, 20)
    assert len(seen) > 4


def test_what_does_not_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(InputError, match=r"400,000 units needs .*320 GB of it .* 130 GB may be used"):
        plan_path(400_000, 10_000, 2, 8 * 400_000**2, 130 * 10**9)
    masks, y = world(100, 64, 2)
    with pytest.raises(InputError, match="40 kB may be used"):
        device_path(count(masks, y), None, LassoOptions(lambdas=[0.1]), replace(CPU, memory=40_000))


def test_the_papers_paths_fit_on_an_h100_and_an_h200() -> None:
    n, t, share = 50_000, 10_000, 0.92
    h100, h200 = (plan_path(n, t, 2, 8 * n * n, int(share * gib * 2**30)) for gib in (78, 139))
    assert h200.resident
    assert h200.targets == t
    assert h100.resident
    assert h100.targets > t // 2


def test_targets_that_miss_the_tolerance_are_reported() -> None:
    masks, y = world(60, 130, 2, seed=3)
    how = LassoOptions(lambdas=[0.001], tol=1e-9, max_iter=1)
    with pytest.warns(FitWarning, match="2 of 2 targets the relative duality gap stays above"):
        got = lasso_on_device(count(masks, y), None, how, SMALL)
    assert np.all(got.gap > 1e-9)
    assert np.all(got.n_iter == 1)


def test_coefficients_that_are_not_numbers_are_never_certified() -> None:
    from subtrain.regression.device.solve import _gap

    nan, one = torch.tensor([float("nan")]), torch.ones(1)
    for k in range(4):
        assert not bool(_gap(*[nan if i == k else one for i in range(4)]) <= 1.0)


def test_constant_targets_and_units_are_handled_as_by_the_cpu_solver() -> None:
    masks, y = world(300, 40, 3, awkward=True)
    train, valid = count(masks[:250], y[:250]), count(masks[250:], y[250:])
    fits = []
    for solve in (lambda: lasso_on_device(train, valid, device=SMALL), lambda: lasso_from_counts(train, valid)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fits.append(solve())
        assert any("2 of 40 units are in every mask or in none" in str(w.message) for w in caught)
    got, want = fits
    np.testing.assert_array_equal(got.constant_units, want.constant_units)
    assert not got.weight[:, 1].any()
    assert got.bias[1] == -1.25
    np.testing.assert_array_equal(got.gap[1], want.gap[1])
    np.testing.assert_array_equal(np.isnan(got.validation_mse[:, 1]), np.isnan(want.validation_mse[:, 1]))


def test_what_cannot_be_solved_is_refused() -> None:
    masks, y = world(50, 10, 2)
    counts = count(masks, y)
    with pytest.raises(InputError, match="needs validation models"):
        lasso_on_device(counts, None, device=CPU)
    with pytest.raises(InputError, match="positive and finite"):
        device_path(counts, None, LassoOptions(lambdas=[1.0, 0.0]), CPU)
    with pytest.raises(InputError, match="do not match"):
        device_path(counts, count(masks, y[:, :1]), None, CPU)
    with pytest.raises(InputError, match="tol"):
        device_path(counts, None, LassoOptions(tol=0.0), CPU)
    with pytest.raises(InputError, match="early_stop"):
        device_path(counts, None, LassoOptions(early_stop=0), CPU)


@needs_cuda
@pytest.mark.parametrize("memory", [None, 40_000_000])
def test_cuda_fits_agree_with_the_cpu_solver(memory: int | None) -> None:
    masks, y = world(3300, 600, 100)
    train, valid = count(masks[:3000], y[:3000]), count(masks[3000:], y[3000:])
    got = lasso_on_device(train, valid, device=Device("cuda", memory=memory, block=128))
    want = lasso_from_counts(train, valid)
    same = got.lam == want.lam
    assert same.mean() >= 0.9
    assert got.gap.max() <= 1e-4
    assert gaps(masks, y, got.weight, got.bias, got.lam).max() <= 1.5e-4
    difference = masks @ (got.weight - want.weight) + got.bias - want.bias
    assert np.all(difference.std(axis=0)[same] < 0.02 * y.std(axis=0)[same])
