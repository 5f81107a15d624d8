"""Ranges kept on this machine: within their limit, never damaged ones, never of another version."""

import os
import stat

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subtrain.public.remote.range_cache import RangeCache
from subtrain.public.remote.source import FileVersion

DATA = np.random.default_rng(0).bytes(5000)


class Counted:
    def __init__(self):
        self.asked = []

    def __call__(self, start: int, stop: int) -> bytes:
        self.asked.append((start, stop))
        return DATA[start:stop]

    @property
    def bytes(self) -> int:
        return sum(b - a for a, b in self.asked)


@pytest.fixture
def kept(tmp_path):
    return RangeCache(tmp_path / "kept", 10**6)


SPANS = st.lists(st.tuples(st.integers(0, 4999), st.integers(1, 900)), min_size=1, max_size=12)


@given(SPANS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_byte_is_fetched_twice_and_every_one_is_right(tmp_path_factory, spans):
    file = RangeCache(tmp_path_factory.mktemp("kept"), 10**6).of("s3://b/k", FileVersion(5000, "a"))
    fetch, seen = Counted(), np.zeros(5000, bool)
    for start, length in spans:
        stop = min(start + length, 5000)
        assert file.missing(start, stop) == (~seen[start:stop]).sum()
        assert file.read(start, stop, fetch) == DATA[start:stop]
        seen[start:stop] = True
        assert fetch.bytes == seen.sum()


def test_another_process_finds_it_and_another_version_does_not(kept):
    kept.of("s3://b/k", FileVersion(5000, "a")).read(0, 100, Counted())
    fetch = Counted()
    assert RangeCache(kept.folder).of("s3://b/k", FileVersion(5000, "a")).read(0, 100, fetch) == DATA[:100]
    assert fetch.asked == []
    for address, version in (
        ("s3://b/k", FileVersion(5000, "b")),
        ("s3://b/k", FileVersion(4999, "a")),
        ("s3://c/k", FileVersion(5000, "a")),
    ):
        fetch = Counted()
        kept.of(address, version).read(0, 100, fetch)
        assert fetch.asked == [(0, 100)]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone"])
def test_what_is_damaged_is_fetched_again(kept, damage):
    file = kept.of("s3://b/k", FileVersion(5000, "a"))
    file.read(0, 100, Counted())
    [path] = kept.folder.glob("*/*-*")
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"flip": bytes(data), "cut": bytes(data[:-1]), "empty": b""}[damage])
    fetch = Counted()
    assert file.read(10, 60, fetch) == DATA[10:60]
    assert fetch.asked == [(10, 60)]
    assert file.read(10, 60, Counted()) == DATA[10:60]


def test_the_ranges_unused_longest_go_first(tmp_path):
    kept = RangeCache(tmp_path / "kept", 3000)
    file = kept.of("s3://b/k", FileVersion(5000, "a"))
    for k in range(5):
        file.read(1000 * k, 1000 * k + 500, Counted())
        os.utime(file.folder / f"{1000 * k}-{1000 * k + 500}", (k, k))
    fetch = Counted()
    file.read(0, 500, fetch)
    assert fetch.asked == [], "used again, so it is the newest now"
    for k in range(4):
        kept.of(f"s3://b/other{k}", FileVersion(5000, "a")).read(0, 500, Counted())
        assert used(kept) <= 3000
    assert file.read(0, 500, fetch) == DATA[:500]
    assert fetch.asked == []
    assert file.read(1000, 1500, fetch) == DATA[1000:1500]
    assert fetch.asked == [(1000, 1500)], "it was the oldest"


def test_a_range_larger_than_a_quarter_of_the_limit_is_not_kept(tmp_path):
    kept = RangeCache(tmp_path / "kept", 3000)
    assert kept.of("s3://b/k", FileVersion(5000, "a")).read(0, 1000, Counted()) == DATA[:1000]
    assert used(kept) == 0


def test_a_folder_that_cannot_be_written_is_no_reason_to_fail(tmp_path):
    (tmp_path / "file").write_text("")
    kept = RangeCache(tmp_path / "file" / "kept", 10**6)
    assert kept.of("s3://b/k", FileVersion(5000, "a")).read(5, 9, Counted()) == DATA[5:9]


def used(kept: RangeCache) -> int:
    found = [path.stat() for path in kept.folder.rglob("*")]
    return sum(state.st_size for state in found if stat.S_ISREG(state.st_mode))
