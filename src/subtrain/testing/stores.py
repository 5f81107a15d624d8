"""What any store must do. Each of `CHECKS` gets an empty store that is ready to be used."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import BinaryIO

import numpy as np

from subtrain.errors import InputError
from subtrain.store.addresses import open_store
from subtrain.store.protocol import Store, Write, put_json, read_json
from subtrain.testing.expect import expect

ESCAPES = ("../a", "a/../../b", "/etc/passwd", "", ".", "..", "a//b", "a/", "./a", "a\\b", "a\0b", "a/./b", ".a")


def content(data: bytes) -> Write:
    """What writes these bytes."""
    return lambda file: file.write(data)


def check_store(empty: Callable[[], Store]) -> None:
    """Run every check of `CHECKS`.

    Args:
        empty: Makes an empty store, another one each time.

    Raises:
        AssertionError: For the first thing that is not as the contract says.

    Example:
        >>> from subtrain.store.memory import Memory
        >>> check_store(Memory)
    """
    for check in CHECKS:
        check(empty())


def what_is_committed_is_read(store: Store) -> None:
    data = os.urandom(100_000)
    assert store.commit_new("segments/a", content(data))
    assert store.exists("segments/a")
    assert store.read("segments/a") == data
    assert store.read_range("segments/a", 10, 1000) == data[10:1000]
    assert store.read_range("segments/a", 99_990, 200_000) == data[99_990:]
    assert store.read_range("segments/a", 200_000, 200_010) == b""


def the_first_commit_stays(store: Store) -> None:
    assert store.commit_new("a", content(b"first"))
    assert not store.commit_new("a", content(b"second"))
    assert not store.commit_new("a", content(b"first")), "even of the same bytes there is one winner"
    assert store.read("a") == b"first"
    assert store.names() == ["a"]


def empty_files_are_files(store: Store) -> None:
    assert store.commit_new("a", content(b""))
    assert not store.commit_new("a", content(b"x"))
    assert store.read("a") == b""
    assert store.read_range("a", 0, 100) == b""
    assert [entry.size for entry in store.entries()] == [0]


def replace_puts_the_new_in_place_of_the_old(store: Store) -> None:
    for data in (b"old", b"x" * 1_000_000, b""):
        store.replace("fits/a/b", content(data))
        assert store.read("fits/a/b") == data
    put_json(store, "fits/a.json", {"é": [1, None]}, durable=False)
    assert read_json(store, "fits/a.json") == {"é": [1, None]}
    assert not store.commit_new("fits/a.json", content(b"x"))


def arrays_can_be_saved_to_it(store: Store) -> None:
    array = np.arange(3_000_000, dtype=np.float32)
    store.replace("a.npy", lambda file: np.save(file, array))
    raw = store.read("a.npy")
    assert len(raw) == 128 + array.nbytes
    assert raw[128:] == array.tobytes()


def what_fails_half_way_leaves_nothing(store: Store) -> None:
    def torn(file: BinaryIO) -> None:
        file.write(b"half")
        raise RuntimeError("stop")

    store.replace("old", content(b"whole"))
    for action, name in ((store.commit_new, "new"), (store.replace, "new"), (store.replace, "old")):
        expect(RuntimeError, partial(action, name, torn), "stop")
    assert store.names() == ["old"]
    assert store.read("old") == b"whole"


def missing_files_are_not_found(store: Store) -> None:
    assert not store.exists("a/b")
    for read in (lambda: store.read("a/b"), lambda: store.read_range("a/b", 0, 10)):
        expect(FileNotFoundError, read)
    store.delete("a/b")
    store.clear("a")
    assert store.names("a") == []
    assert list(store.entries("a")) == []


def listings_are_whole_and_know_sizes(store: Store) -> None:
    names = [f"segments/{k:06d}-{k:06d}.seg" for k in range(1100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: store.replace(name, content(name.encode() * 2), durable=False), names))
    for name in ("segments.json", "segments-b/x", "partial/s/x.seg"):
        store.replace(name, content(b"other"), durable=False)
    assert store.names("segments") == names
    assert {e.name: e.size for e in store.entries("segments")} == {name: 2 * len(name) for name in names}
    assert all(abs(entry.modified - time.time()) < 3600 for entry in store.entries("segments"))
    assert store.names("partial") == ["partial/s/x.seg"]
    assert store.names() == sorted([*names, "segments.json", "segments-b/x", "partial/s/x.seg"])


def deleting_and_clearing(store: Store) -> None:
    for name in ("p/a/1", "p/a/2", "p/ab", "q"):
        store.replace(name, content(b"x"))
    store.clear("p/a")
    assert store.names() == ["p/ab", "q"]
    store.delete("q")
    assert store.names() == ["p/ab"]
    assert store.commit_new("q", content(b"again"))


def no_name_leads_out(store: Store) -> None:
    for name in ESCAPES:
        write = content(b"x")
        acts: list[Callable[[], object]] = [
            partial(store.read, name),
            partial(store.read_range, name, 0, 1),
            partial(store.exists, name),
            partial(store.commit_new, name, write),
            partial(store.replace, name, write),
            partial(store.delete, name),
            partial(store.clear, name),
        ]
        for act in acts:
            expect(InputError, act, "no name of a file in a study")
    assert store.names() == []


def names_may_hold_any_letters(store: Store) -> None:
    for name in ("a b", "ü/ß", "a+b&c=d", "100%", "[x]", "a#b?c", "~", "a.."):
        assert store.commit_new(name, content(name.encode()))
        assert store.read(name) == name.encode()
        assert name in store.names()


def of_eight_who_create_at_once_one_wins(store: Store, rounds: int = 25) -> None:
    ready = threading.Barrier(8)

    def race(me: int, name: str) -> bool:
        ready.wait()
        return store.commit_new(name, content(str(me).encode() * 5000))

    with ThreadPoolExecutor(8) as pool:
        for k in range(rounds):
            won = list(pool.map(race, range(8), [f"race/{k}"] * 8))
            assert won.count(True) == 1, won
            assert store.read(f"race/{k}") == str(won.index(True)).encode() * 5000
    assert len(store.names("race")) == rounds


def readers_see_the_old_or_the_new(store: Store) -> None:
    store.replace("a", content(b"0" * 10_000))
    stop = threading.Event()

    def write() -> None:
        k = 0
        while not stop.is_set():
            k = (k + 1) % 10
            store.replace("a", content(str(k).encode() * 10_000), durable=False)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [store.read("a") for _ in range(100)]
    finally:
        stop.set()
        writer.join()
    assert all(len(data) == 10_000 and len(set(data)) == 1 for data in seen)


def sweeping_takes_nothing_that_is_whole(store: Store) -> None:
    store.commit_new("segments/a", content(b"x"))
    assert store.sweep() == 0
    assert store.names() == ["segments/a"]


def its_address_opens_it_again(store: Store) -> None:
    store.commit_new("a", content(b"x"))
    if "://memory" not in store.address:
        assert open_store(store.address).read("a") == b"x"
    assert open_store(store) is store
    assert store.location("a") == f"{store.location()}/a"


def it_can_be_prepared_twice(store: Store) -> None:
    store.prepare()
    store.commit_new("a", content(b"x"))
    store.prepare()
    assert store.names() == ["a"]


CHECKS = [
    what_is_committed_is_read,
    the_first_commit_stays,
    empty_files_are_files,
    replace_puts_the_new_in_place_of_the_old,
    arrays_can_be_saved_to_it,
    what_fails_half_way_leaves_nothing,
    missing_files_are_not_found,
    listings_are_whole_and_know_sizes,
    deleting_and_clearing,
    no_name_leads_out,
    names_may_hold_any_letters,
    of_eight_who_create_at_once_one_wins,
    readers_see_the_old_or_the_new,
    sweeping_takes_nothing_that_is_whole,
    its_address_opens_it_again,
    it_can_be_prepared_twice,
]
