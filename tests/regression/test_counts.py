"""Counts are exact, additive, and independent of how the models are cut into blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from subtrain.errors import InputError
from subtrain.masks import pack
from subtrain.regression.counting import count_stream, counting_pass
from subtrain.regression.counting.count_stream import count, count_blocks
from subtrain.regression.counting.counts import Counts


def world(m: int, n: int, targets: int, seed: int = 0, dtype: str = "float16") -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    masks = random.random((m, n)) < random.random(n)
    return masks, (random.normal(size=(m, targets)) * 5 + 2).astype(dtype)


def assert_same(a: Counts, b: Counts) -> None:
    assert (a.m, a.n) == (b.m, b.n)
    for name in ("gram", "ones", "xty", "y_sum", "y_min", "y_max"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    np.testing.assert_allclose(a.y_sq, b.y_sq, rtol=1e-13)


@settings(max_examples=40, deadline=None)
@given(some.integers(1, 700), some.integers(1, 150), some.integers(1, 35), some.integers(0, 2**32))
def test_counts_are_the_integer_products(m: int, n: int, targets: int, seed: int) -> None:
    masks, y = world(m, n, targets, seed)
    got = count(masks, y)
    wide = masks.astype(np.int64)
    np.testing.assert_array_equal(got.gram, wide.T @ wide)
    np.testing.assert_array_equal(got.ones, masks.sum(axis=0))
    # Sums of float16 values of this size have no rounding in float64, in any order.
    exact = y.astype(np.float64)
    np.testing.assert_array_equal(got.xty, masks.T.astype(np.float64) @ exact)
    np.testing.assert_array_equal(got.y_sum, exact.sum(axis=0))
    np.testing.assert_allclose(got.y_sq, (exact**2).sum(axis=0), rtol=1e-13)
    np.testing.assert_array_equal((got.y_min, got.y_max), (exact.min(axis=0), exact.max(axis=0)))


def test_strips_and_panels_of_more_than_one_pass() -> None:
    masks, y = world(m=1030, n=333, targets=17)
    got = count(masks, y, threads=3)
    wide = masks.astype(np.int64)
    np.testing.assert_array_equal(got.gram, wide.T @ wide)
    np.testing.assert_array_equal(got.xty, masks.T.astype(np.float64) @ y.astype(np.float64))


def test_unit_ranges_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting_pass, "UNITS", 48)
    masks, y = world(m=200, n=131, targets=20)
    got = count(masks, y)
    np.testing.assert_array_equal(got.xty, masks.T.astype(np.float64) @ y.astype(np.float64))
    np.testing.assert_array_equal(got.y_sum, y.astype(np.float64).sum(axis=0))


@settings(max_examples=25, deadline=None)
@given(some.lists(some.integers(0, 150), min_size=1, max_size=8), some.integers(1, 90), some.integers(0, 2**32))
def test_blocks_of_any_size_add_up(sizes: list[int], block: int, seed: int) -> None:
    masks, y = world(max(sum(sizes), 1), 70, 3, seed)
    ends = np.cumsum([0, *sizes]).tolist()

    def blocks() -> Iterator[tuple[object, np.ndarray]]:
        for a, b in pairwise(ends):
            yield pack(masks[a:b]), y[a:b]

    whole = count(masks[: ends[-1]], y[: ends[-1]])
    before = count_stream.BLOCK
    try:
        count_stream.BLOCK = block
        assert_same(count_blocks(blocks()), whole)
    finally:
        count_stream.BLOCK = before


def test_counts_add_in_any_order() -> None:
    masks, y = world(m=500, n=60, targets=4)
    parts = [count(masks[a:b], y[a:b]) for a, b in ((0, 1), (1, 140), (140, 500))]
    whole = count(masks, y)
    assert_same(parts[0] + parts[1] + parts[2], whole)
    assert_same(parts[2] + (parts[0] + parts[1]), whole)


def test_sums_past_float32_and_int32() -> None:
    """2^24 + 1 models are one more than float32 can count; their sum is made of equal halves, and past int32 too."""
    masks = np.ones((1, 5), bool)
    part = count(masks, [[1.0]])
    for _ in range(24):
        part = part + part
    more = part + count(masks, [[1.0]])
    assert more.gram.dtype == np.int32
    assert more.gram[4, 0] == more.ones[2] == 2**24 + 1
    for _ in range(7):
        more = more + more
    assert more.gram.dtype == np.int64
    assert more.gram[1, 3] == more.m == (2**24 + 1) * 2**7


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_masked_sums_keep_to_the_stated_bound(dtype: str) -> None:
    """Margins of realistic scale with a few huge ones, against exact rational sums."""
    random = np.random.default_rng(3)
    m = 3000
    masks = random.random((m, 6)) < 0.5
    y = random.normal(size=(m, 2)) * 4
    y[::500] = 60000.0
    y[1::7] *= 1e-6
    y = y.astype(dtype)
    got = count(masks, y).xty
    for j in range(6):
        for t in range(2):
            values = [float(v) for v in y[masks[:, j], t]]
            error = abs(Fraction(got[j, t]) - sum(Fraction(v) for v in values))
            bound = (m / 64 + 64) * 2.0**-53 * math.fsum(abs(v) for v in values)
            assert error <= bound
            assert error == 0 or dtype != "float16"


def test_outputs_of_any_layout() -> None:
    masks, y = world(m=100, n=9, targets=3, dtype="float32")
    want = count(masks, y)
    assert_same(count(masks, np.asfortranarray(y)), want)
    assert_same(count(masks, y.astype(">f4")), want)
    assert_same(count(masks.astype(float), y[::-1][::-1]), want)
    assert_same(count(masks, y[:, 0]), count(masks, y[:, :1]))


def test_a_bad_output_is_named() -> None:
    masks, y = world(m=70, n=4, targets=3)
    y[67, 2] = np.nan
    with pytest.raises(InputError, match="target 2 is nan in the model at position 67"):
        count(masks, y)
    y[67, 2], y[5, 1] = 0, np.inf
    with pytest.raises(InputError, match="target 1 is inf in the model at position 5"):
        count_blocks([(pack(masks[:3]), y[:3]), (pack(masks[3:]), y[3:])])


def test_what_does_not_fit_together_is_refused() -> None:
    masks, y = world(m=10, n=4, targets=3)
    with pytest.raises(InputError, match="10 masks but outputs of 9 models"):
        count(masks, y[:9])
    with pytest.raises(InputError, match="dtype"):
        count(masks, y.astype(complex))
    with pytest.raises(InputError, match="4 units and 2 targets, those before it 4 and 3"):
        count_blocks([(pack(masks), y), (pack(masks), y[:, :2])])
    with pytest.raises(InputError, match="no models"):
        count_blocks([])
    with pytest.raises(InputError, match="cannot be added"):
        count(masks, y) + count(masks[:, :3], y)


def test_progress_ends_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_stream, "BLOCK", 64)
    masks, y = world(m=200, n=4, targets=1)
    seen: list[tuple[str, int, int]] = []
    count(masks, y, progress=lambda *at: seen.append(at))
    assert seen == [("counts", 64, 200), ("counts", 128, 200), ("counts", 192, 200), ("counts", 200, 200)]
