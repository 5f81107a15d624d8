"""The compact Gram is the exact Gram, whatever the design: escapes, duplicates, drifting shares, many models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from subtrain.errors import InputError
from subtrain.masks import pack
from subtrain.regression.counting import compact_gram as rules
from subtrain.regression.counting import count_stream
from subtrain.regression.counting.compact_gram import CompactGram
from subtrain.regression.counting.count_stream import count, count_blocks
from subtrain.regression.counting.counts import Counts


def masks_of(m: int, n: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    masks = random.random((m, n)) < random.random(n)
    masks[:, n // 2 :: 5] = masks[:, :1]  # units that always come together lie far from independence
    masks[m // 2 :, ::7] = False  # and shares that change on the way
    return masks


def exact(masks: np.ndarray) -> np.ndarray:
    wide = masks.astype(np.int64)
    return wide.T @ wide


def assert_exact(gram: CompactGram, want: np.ndarray) -> None:
    np.testing.assert_array_equal(np.asarray(gram), want)
    np.testing.assert_array_equal(gram.diagonal(), want.diagonal())
    np.testing.assert_array_equal(gram.row(-1), want[-1])
    index = [len(want) - 1, 0]
    np.testing.assert_array_equal(gram.columns(index), want[:, index])
    np.testing.assert_array_equal(gram.block(index, [0]), want[index][:, [0]])
    np.testing.assert_array_equal(gram[1:3], want[1:3])


@settings(max_examples=25, deadline=None)
@given(some.integers(2, 900), some.integers(2, 140), some.integers(0, 2**32), some.sampled_from([3, 40, 2**15 - 1]))
def test_it_is_the_integer_product(m: int, n: int, seed: int, limit: int) -> None:
    """With a small limit most counts escape, at every stage of the stream."""
    masks = masks_of(m, n, seed)
    found = with_limit(limit, lambda: count(masks, np.zeros((m, 0)), gram="compact", threads=2))
    assert_exact(found.gram, exact(masks))


def with_limit(limit: int, work):  # type: ignore[no-untyped-def]
    """Run with deviations of at most `limit`, in plain Python because a kernel's constants are compiled in."""
    names = ("fold", "escape", "exact_block")
    compiled = {name: getattr(rules, name) for name in names}
    kept, block = rules.LIMIT, count_stream.BLOCK
    try:
        rules.LIMIT, count_stream.BLOCK = limit, 128
        if limit < 2**15 - 1:
            for name in names:
                setattr(rules, name, compiled[name].py_func)
        return work()
    finally:
        rules.LIMIT, count_stream.BLOCK = kept, block
        for name in names:
            setattr(rules, name, compiled[name])


def repeated(masks: np.ndarray, times: int) -> Counts:
    """Fabricated counts of the same models many times over."""
    part = count(masks, np.zeros((len(masks), 0)), gram="compact")
    while times > 1:
        assert times % 2 == 0
        part, times = part + part, times // 2
    return part


def test_real_escapes_by_addition() -> None:
    """Together, two units in half of 2^18 models are 2^16 above independence: past int16."""
    masks = masks_of(256, 40, 1)
    many = repeated(masks, 2**12)
    assert many.gram.key.size > 0
    assert_exact(many.gram, exact(masks) * 2**12)
    with_more = count_blocks([(pack(masks), np.zeros((256, 0)))], start=many, gram="compact")
    assert_exact(with_more.gram, exact(masks) * (2**12 + 1))
    assert_exact(many.gram, exact(masks) * 2**12)
    dense = count(masks, np.zeros((256, 0)))
    np.testing.assert_array_equal((many + dense).gram, exact(masks) * (2**12 + 1))


def test_more_than_int32_models() -> None:
    masks = masks_of(128, 12, 2)
    many = repeated(masks, 2**24)
    assert many.m == 2**31
    assert many.gram.dtype == np.int64
    assert_exact(many.gram, exact(masks) * 2**24)
    more = count_blocks([(pack(masks), np.zeros((128, 0)))], start=many, gram="compact")
    assert_exact(more.gram, exact(masks) * (2**24 + 1))
    with pytest.raises(InputError, match=r"fewer than 2\^32"):
        many + many


def test_a_dense_gram_becomes_int64_in_the_stream() -> None:
    masks = masks_of(200, 9, 3)
    held = count(masks, np.zeros((200, 0)))
    m = 2**31 - 100
    start = replace(held, m=m, gram=np.full_like(held.gram, m), ones=np.full_like(held.ones, m))
    got = count_blocks([(pack(masks), np.zeros((200, 0)))], start=start)
    assert got.gram.dtype == np.int64
    np.testing.assert_array_equal(got.gram, exact(masks) + m)
    np.testing.assert_array_equal(got.ones, got.gram.diagonal())
    np.testing.assert_array_equal(start.gram, m)


def test_wrong_use_is_refused() -> None:
    masks = masks_of(50, 6, 0)
    found = count(masks, np.zeros((50, 1)), gram="compact")
    with pytest.raises(InputError, match="below 6"):
        found.gram.row(6)
    with pytest.raises(InputError, match=r"block\(rows, columns\)"):
        found.gram[0, 1]
    with pytest.raises(InputError, match="with and without"):
        found + count(masks, np.zeros((50, 1)), gram="none")
    with pytest.raises(InputError, match="one of dense"):
        count(masks, np.zeros((50, 1)), gram="sparse")
    with pytest.raises(InputError, match="GB allowed; a compact Gram takes half"):
        count(masks, np.zeros((50, 1)), memory=1000)
