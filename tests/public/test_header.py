"""Headers that others made: read, or refused in a sentence, never with memory or code of theirs."""

import io
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mirror import npy
from subtrain.errors import CorruptError
from subtrain.public.remote.npy_header import FIRST, read_header

PLAIN = st.sampled_from(["?", "<f2", ">f2", "<f4", "<f8", "u1", "<i8", ">i4"])


def with_header(text: str, version: int = 1) -> bytes:
    data = text.encode("latin1")
    length = len(data).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + data


def declared(shape: str, descr: str = "'<f2'", order: str = "False") -> bytes:
    return with_header(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n")


@given(
    arrays.arrays(PLAIN.map(np.dtype), arrays.array_shapes(max_dims=3, max_side=5), elements=st.just(0)), st.booleans()
)
def test_what_numpy_writes_is_read(array, fortran):
    array = np.asfortranarray(array) if fortran else array
    data = npy(array)
    found = read_header(data[:FIRST], len(data), "x")
    assert (found.shape, found.dtype, found.size) == (array.shape, array.dtype, len(data))
    assert data[found.offset :] == array.tobytes("F" if found.fortran else "C")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (npy(np.array([{}, ()], object)), "Python objects"),
        (npy(np.zeros(3, "f4,i4")), "not bool or numbers"),
        (npy(np.array(["text"])), "not bool or numbers"),
        (npy(np.zeros(3, "M8[s]")), "not bool or numbers"),
        (npy(np.zeros(3, complex)), "not bool or numbers"),
        (npy(np.float32(1)), "shape"),
        (declared("(10**9,)"), "cannot be read|can be read"),
        (declared("(999999999999999999999, 9)"), "declares an array"),
        (declared("(-1, -8)"), "declares the shape"),
        (declared("(True, 5)"), "declares the shape"),
        (declared("(1,)*9"), "can be read"),
        (declared("(1,1,1,1,1,1,1,1,1)"), "declares the shape"),
        (declared("(5,)", "__import__('os').system('true')"), "can be read"),
        (declared("(5,)", "'|O'"), "Python objects"),
        (declared("(5,)", "'V99999999999'"), "can be read|not bool or numbers"),
        (with_header("(" * 900), "can be read"),
        (with_header("-" * 900 + "1"), "can be read"),
        (with_header("{'descr': '<f2', " + " " * 2000), "can be read"),
        (with_header("{}", 3), "version"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "can be read"),
        (b"", "can be read"),
        (b"\x93NUMPY", "can be read"),
        (pickle.dumps([1, 2]), "can be read"),
    ],
)
def test_what_is_no_plain_array_is_refused(data, said):
    with pytest.raises(CorruptError, match=said):
        read_header(data[:FIRST], len(data), "there/x.npy")


def test_archives_are_refused_as_such():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(10**6))
    with pytest.raises(CorruptError, match="zip archive"):
        read_header(file.getvalue(), len(file.getvalue()), "x")


def test_a_file_that_is_cut_off_or_longer_than_it_says():
    data = npy(np.zeros((7, 3), np.float16))
    for size in (len(data) - 1, len(data) + 1, 10**15):
        with pytest.raises(CorruptError, match=r"declares an array of \[7, 3\] float16, 170 bytes, but has"):
            read_header(data, size, "x")


@given(st.binary(max_size=300))
def test_no_bytes_crash_it(noise):
    for data in (noise, b"\x93NUMPY\x01\x00" + noise, b"\x93NUMPY\x01\x00\x46\x00{'descr': " + noise):
        refused_or_right(data)


@given(st.data())
def test_no_damaged_header_crashes_it(data):
    whole = bytearray(npy(np.zeros((3, 4), np.float16)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, 127))] = data.draw(st.integers(0, 255))
    refused_or_right(bytes(whole))


def refused_or_right(data: bytes) -> None:
    try:
        found = read_header(data, len(data), "x")
    except CorruptError:
        return
    assert found.size == len(data)
    assert found.dtype.kind in "biuf"


def test_a_header_that_declares_much_takes_no_memory():
    data = declared("(1000000, 1000000)")
    tracemalloc.start()
    with pytest.raises(CorruptError):
        read_header(data, len(data), "x")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
