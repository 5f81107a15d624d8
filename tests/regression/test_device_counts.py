"""Counts by integer products on a device, here on CPU tensors: the same numbers as the popcounts give."""

from __future__ import annotations

import numpy as np
import pytest

from subtrain.errors import InputError
from subtrain.masks import pack
from subtrain.regression.counting.count_stream import count

torch = pytest.importorskip("torch", reason="needs the torch extra")

from subtrain.regression.device import counts as on_device  # noqa: E402
from subtrain.regression.device import device_counts  # noqa: E402
from subtrain.regression.device.memory import plan_counts  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::subtrain.system.experimental.ExperimentalWarning")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA GPU")


def models(m: int, n: int, targets: int, dtype: type, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Masks with units that are always and never present, and outputs of very different sizes."""
    random = np.random.default_rng(seed)
    masks = random.random((m, n)) < random.uniform(0.1, 0.9, n)
    masks[:, 0], masks[:, 1] = True, False
    y = random.normal(size=(m, targets)) * np.logspace(-6, 2, targets)
    y[0] = 0.0
    return masks, y.astype(dtype)


def blocks(masks: np.ndarray, y: np.ndarray, *cuts: int):
    return [(pack(a), b) for a, b in zip(np.split(masks, cuts), np.split(y, cuts), strict=True)]


def assert_same(got, want, exact: bool) -> None:
    assert got.m == want.m
    assert got.gram.dtype == want.gram.dtype
    for name in ("gram", "ones", "y_min", "y_max"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name))
    for name in ("xty", "y_sum"):
        if exact:
            np.testing.assert_array_equal(getattr(got, name), getattr(want, name))
    np.testing.assert_allclose(got.y_sq, want.y_sq, rtol=1e-13)


@pytest.mark.parametrize("int8", [True, False])
@pytest.mark.parametrize(("m", "n", "targets"), [(700, 130, 5), (300, 64, 1), (37, 3, 20), (1, 70, 2)])
def test_float16_outputs_count_exactly_as_by_popcounts(monkeypatch, int8: bool, m: int, n: int, targets: int) -> None:
    monkeypatch.setitem(on_device._INT8, "cpu", int8)
    masks, y = models(m, n, targets, np.float16)
    cuts = (m // 3, m // 3, m // 2)
    assert_same(device_counts(blocks(masks, y, *cuts), "cpu"), count(masks, y), exact=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f8"])
def test_wider_outputs_keep_to_the_stated_bound(dtype) -> None:
    masks, y = models(2000, 50, 9, dtype)
    got = device_counts(blocks(masks, y), "cpu")
    assert_same(got, count(masks, y.astype(y.dtype.newbyteorder("="))), exact=False)
    exact = masks.T.astype(np.longdouble) @ y.astype(np.longdouble)
    bound = len(y) * 2.0**-55 * np.abs(y).max(axis=0).astype(np.float64) + 2.0**-51 * np.abs(y).sum(axis=0)
    assert np.all(np.abs(got.xty - exact) <= bound)
    np.testing.assert_allclose(got.y_sum, y.sum(axis=0, dtype=np.longdouble).astype(float), rtol=1e-10, atol=1e-12)


def test_the_largest_and_smallest_float16_values_are_exact() -> None:
    random = np.random.default_rng(3)
    bits = random.integers(0, 2**16, (400, 6)).astype(np.uint16).view(np.float16)
    y = np.where(np.isfinite(bits), bits, np.float16(65504))
    masks = random.random((400, 40)) < 0.5
    want = masks.T.astype(np.int64) @ (y.astype(np.float64) * 2**24).astype(np.int64)
    np.testing.assert_array_equal(device_counts(blocks(masks, y), "cpu").xty * 2**24, want)


def test_digits_are_bytes_that_add_up_to_the_outputs() -> None:
    y = torch.tensor([[127.5, -128.0, 2.0**-24], [0.0, 65504.0, -65504.0]], dtype=torch.float16)
    parts = list(on_device.digits(y))
    assert all(digit.dtype == torch.int8 for digit, _ in parts)
    total = sum(digit.double() * place[:, None] for digit, place in parts)
    np.testing.assert_array_equal(total.numpy(), y.double().t().numpy())


def test_little_memory_takes_more_pieces_and_panels_and_counts_the_same(monkeypatch) -> None:
    from subtrain.regression.device import memory

    monkeypatch.setattr(memory, "TILE", 64)
    monkeypatch.setattr(memory, "PANEL", 16)
    masks, y = models(1100, 200, 900, np.float16)
    pieces = plan_counts(256, 900, 2, 10**9).models
    little = 2_900_000
    plan = plan_counts(256, 900, 2, little)
    assert plan.models < pieces
    assert not plan.resident
    assert plan.bytes <= little
    seen = []
    got = device_counts(
        blocks(masks, y, 100, 900), "cpu", models=1100, memory=little, progress=lambda *report: seen.append(report)
    )
    assert_same(got, count(masks, y), exact=True)
    assert len(seen) > 3
    assert seen[-1] == ("counts", 1100, 1100)


def test_counts_of_a_device_can_be_added_to_others() -> None:
    masks, y = models(500, 90, 3, np.float16)
    got = device_counts(blocks(masks[:200], y[:200]), "cpu") + count(masks[200:], y[200:])
    assert_same(got, count(masks, y), exact=True)


def test_what_cannot_be_counted_is_refused_with_its_place() -> None:
    masks, y = models(600, 40, 3, np.float32)
    with pytest.raises(InputError, match="no models to count"):
        device_counts([], "cpu")
    with pytest.raises(InputError, match="600 masks but outputs of 599"):
        device_counts([(pack(masks), y[1:])], "cpu")
    with pytest.raises(InputError, match="3 targets, those before it 40 and 2"):
        device_counts([(pack(masks), y[:, :2]), (pack(masks), y)], "cpu")
    y[450, 2] = np.nan
    with pytest.raises(InputError, match="target 2 is nan in the model at position 450"):
        device_counts(blocks(masks, y, 300), "cpu")
    with pytest.raises(InputError, match="device must be cpu or cuda"):
        device_counts(blocks(masks, y), "tpu")


def test_a_gram_that_does_not_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(InputError, match=r"1,000,000 units .*4 TB of it for the Gram.* 80 GB may be used"):
        plan_counts(1_000_000, 10_000, 2, 80 * 10**9)
    masks, y = models(50, 500, 1, np.float16)
    with pytest.raises(InputError, match="500 kB may be used"):
        device_counts(blocks(masks, y), "cpu", memory=500_000)


def test_the_papers_counts_fit_on_an_h100() -> None:
    plan = plan_counts(50_048, 10_000, 2, int(0.92 * 78 * 2**30))
    assert plan.resident
    assert plan.models == 32_768


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU")
def test_without_a_gpu_cuda_is_refused() -> None:
    masks, y = models(50, 5, 1, np.float16)
    with pytest.raises(InputError, match="finds none here"):
        device_counts(blocks(masks, y))


@needs_cuda
@pytest.mark.parametrize("int8", [True, False])
def test_cuda_counts_exactly(monkeypatch, int8: bool) -> None:
    if not int8:
        monkeypatch.setitem(on_device._INT8, "cuda", False)
    masks, y = models(5000, 700, 50, np.float16)
    assert_same(device_counts(blocks(masks, y, 1000, 1200), "cuda"), count(masks, y), exact=True)
