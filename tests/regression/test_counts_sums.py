"""X^T Y by whole numbers: exact for float16 of any shape, and the stages can be had apart."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from subtrain.masks import pack
from subtrain.regression.counting import masked_sums
from subtrain.regression.counting.count_stream import count, count_blocks, peak_bytes
from subtrain.regression.counting.counting_pass import spans
from subtrain.regression.counting.model_stream import array_blocks

SHAPES = {
    "margins": lambda random, shape: random.normal(size=shape) * 5 + 3,
    "far from zero": lambda random, shape: random.normal(size=shape) * 0.1 + 900,
    "one wild": lambda random, shape: np.where(random.random(shape) < 1e-3, 60000.0, random.normal(size=shape)),
    "tiny": lambda random, shape: random.normal(size=shape) * 1e-6,
    "wide": lambda random, shape: np.exp(random.normal(size=shape) * 5).clip(0, 6e4),
    "correct or not": lambda random, shape: random.random(shape) < 0.3,
    "huge": lambda random, shape: random.choice([-65504.0, 65504.0], shape),
    "constant": lambda random, shape: np.full(shape, 0.333),
    "zero": lambda random, shape: np.zeros(shape),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_float16_is_exact(kind: str) -> None:
    random = np.random.default_rng(5)
    masks = random.random((1500, 90)) < 0.5
    y = np.asarray(SHAPES[kind](random, (1500, 33))).astype(np.float16)
    got = count(masks, y, gram="none")
    # Whole multiples of 2^-24 in 64-bit integers: no rounding, whatever the order.
    whole = (y.astype(np.float64) * 2.0**24).astype(np.int64)
    np.testing.assert_array_equal(got.xty * 2.0**24, masks.T.astype(np.int64) @ whole)
    np.testing.assert_array_equal(got.y_sum * 2.0**24, whole.sum(axis=0))


def test_every_finite_float16_is_widened_as_numpy_does() -> None:
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = np.where(np.isfinite(halves), halves, np.float16(0)).reshape(-1, masked_sums.INTS)
    wide = np.full((len(halves) + 64, masked_sums.INTS), np.nan)
    masked_sums.widen(halves[:, :-1], wide)
    np.testing.assert_array_equal(
        wide[: len(halves), :-1].view(np.uint64), halves[:, :-1].astype(float).view(np.uint64)
    )
    assert not wide[len(halves) :].any()
    assert not wide[:, -1].any()


@pytest.mark.parametrize(("kind", "by_wholes"), [("margins", True), ("correct or not", True), ("wide", False)])
def test_which_way_is_taken(kind: str, by_wholes: bool) -> None:
    random = np.random.default_rng(6)
    y = np.asarray(SHAPES[kind](random, (6400, masked_sums.INTS))).astype(np.float16).astype(np.float64)
    mean = y.mean(axis=0)
    panel = masked_sums.scaled(y, 6400, mean, float(np.abs(y - mean).max()), np.empty(y.shape, np.int32))
    assert (panel is not None) == by_wholes
    if panel is not None:
        back = panel.whole * 2.0**-panel.bits + panel.shift
        back[tuple(panel.place.T)] += panel.rest
        np.testing.assert_array_equal(back, y)


def test_flushes_come_before_any_sum_can_pass_int32() -> None:
    random = np.random.default_rng(7)
    up, down = random.random((2, 400)) * 2.0**29
    flush = masked_sums.flushes(up, down)
    assert flush is not None
    starts = [0, *np.flatnonzero(flush).tolist(), 400]
    runs = [(a, b) for a, b in pairwise(starts) if b > a]
    assert all(max(up[a:b].sum(), down[a:b].sum()) < 2**31 for a, b in runs)
    assert 1 < len(runs) < 200
    assert masked_sums.flushes(np.array([2.0**31]), np.array([0.0])) is None


def test_stages_apart_are_the_whole() -> None:
    random = np.random.default_rng(8)
    masks, y = random.random((300, 50)) < 0.5, random.normal(size=(300, 4)).astype(np.float16)
    both = count(masks, y)
    np.testing.assert_array_equal(count(masks, y[:, :0]).gram, both.gram)
    alone = count(masks, y, gram="none")
    assert alone.gram.shape == (0, 0)
    np.testing.assert_array_equal(alone.xty, both.xty)
    np.testing.assert_array_equal(alone.ones, both.ones)


def test_memory_maps_are_read_in_blocks(tmp_path: Path) -> None:
    random = np.random.default_rng(9)
    masks, y = random.random((400, 30)) < 0.5, random.normal(size=(400, 2)).astype(np.float16)
    np.save(tmp_path / "masks.npy", masks)
    np.save(tmp_path / "y.npy", y)
    maps = [np.load(tmp_path / name, mmap_mode="r") for name in ("masks.npy", "y.npy")]
    want = count(masks, y)
    for got in (count(*maps), count_blocks(array_blocks(*maps, rows=70)), count_blocks(array_blocks(pack(masks), y))):
        np.testing.assert_array_equal(got.gram, want.gram)
        np.testing.assert_array_equal(got.xty, want.xty)


def test_less_memory_is_more_passes() -> None:
    random = np.random.default_rng(10)
    masks, y = random.random((9000, 40)) < 0.5, random.normal(size=(9000, 2)).astype(np.float16)
    seen: list[int] = []
    memory = peak_bytes(40, 2, "dense", 4096, 2, 1)
    got = count(masks, y, threads=1, memory=memory, progress=lambda _, done, __: seen.append(done))
    assert len(seen) >= 3
    np.testing.assert_array_equal(got.gram, count(masks, y).gram)


def test_spans_cover() -> None:
    assert spans(10, 4) == [(0, 4), (4, 8), (8, 10)]
