"""Packed masks: the same bits in and out, nothing but 0 and 1 accepted."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from subtrain import Masks
from subtrain.errors import InputError
from subtrain.masks import pack, row_bytes

BITS = hnp.arrays(bool, st.tuples(st.integers(0, 9), st.integers(1, 200)))


@settings(max_examples=100, deadline=None)
@given(BITS)
def test_pack_and_unpack(bits):
    packed = pack(bits)
    m, n = bits.shape
    assert len(packed) == m
    assert packed.data.shape == (m, row_bytes(n)) == (m, -(-n // 64) * 8)
    assert np.array_equal(packed.unpack(), bits)
    assert packed.unpack().dtype == bool
    assert np.array_equal(packed.sizes(), bits.sum(axis=1))
    assert packed.words.shape == (m, -(-n // 64))
    for i, j in ((0, 0), (m - 1, n - 1)) if m else ():
        assert (int(packed.words[i, j // 64]) >> (j % 64)) & 1 == bits[i, j]
    padding = np.unpackbits(packed.data, axis=1, bitorder="little")[:, n:]
    assert not padding.any()
    assert packed.sha256() == hashlib.sha256(packed.data.tobytes()).hexdigest()


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, ">f8", ">i4"])
def test_any_zeros_and_ones_pack_alike(dtype):
    bits = np.random.default_rng(0).random((5, 70)) < 0.5
    assert np.array_equal(pack(bits.astype(dtype)).data, pack(bits).data)
    assert np.array_equal(pack(np.asfortranarray(bits.astype(dtype))).data, pack(bits).data)
    assert np.array_equal(pack(bits.tolist()).data, pack(bits).data)


def test_rows_by_slice_numbers_or_flags():
    bits = np.random.default_rng(1).random((6, 9)) < 0.5
    packed = pack(bits)
    for rows in (slice(1, 5, 2), slice(None, None, -1), np.array([4, 0, 0]), bits[:, 0]):
        assert np.array_equal(packed[rows].unpack(), bits[rows])
        assert packed[rows].data.flags.c_contiguous
    assert pack(packed) is packed
    assert repr(packed) == "Masks(models=6, units=9)"


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (np.array([[0, 1], [2, 0]]), "masks must hold only 0 and 1; row 1, unit 0 is 2"),
        (np.array([[0.0, 0.5]]), "row 0, unit 1 is 0.5"),
        (np.array([[0.0, np.nan]]), "row 0, unit 1 is nan"),
        (np.array([[-1, 1]]), "row 0, unit 0 is -1"),
        (np.array([0, 1]), r"two-dimensional \[models, units\], got shape \[2\]"),
        (np.array([["a", "b"]]), "bool or 0/1 numbers, got dtype <U1"),
        (np.array([[None, 1]]), "bool or 0/1 numbers, got dtype object"),
        (np.array([[1j]]), "got dtype complex128"),
    ],
)
def test_other_things_are_refused(bad, sentence):
    with pytest.raises(InputError, match=sentence):
        pack(bad)


@pytest.mark.parametrize("data", [np.zeros((2, 8), np.int8), np.zeros((2, 9), np.uint8), np.zeros(8, np.uint8)])
def test_packed_bits_of_the_wrong_kind_are_refused(data):
    with pytest.raises(InputError, match=r"packed masks over 60 units must be uint8 \[m, 8\]"):
        Masks(data, 60)
