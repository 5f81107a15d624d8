"""Nobody ever sees half a file: full disks, closed folders, races, and death at every step."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import time

import pytest

from processes import dying_at, ended, forked
from subtrain.errors import CorruptError, InputError, StorageError
from subtrain.store import atomic_files


def write(data: bytes):
    return lambda file: file.write(data)


def test_commit_creates_once_and_the_loser_leaves_nothing(tmp_path):
    path = tmp_path / "a"
    assert atomic_files.commit_new(path, write(b"first"))
    assert not atomic_files.commit_new(path, write(b"second"))
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["a"]
    assert path.stat().st_nlink == 1


def test_commit_never_overwrites_an_empty_file_or_a_folder(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "b").mkdir()
    assert not atomic_files.commit_new(tmp_path / "a", write(b"x"))
    assert not atomic_files.commit_new(tmp_path / "b", write(b"x"))
    assert (tmp_path / "a").read_bytes() == b""


def test_a_link_whose_reply_was_lost_is_ours(tmp_path, monkeypatch):
    link = os.link

    def lost(source, target):
        link(source, target)
        raise FileExistsError(errno.EEXIST, "reply lost, tried again")

    monkeypatch.setattr(os, "link", lost)
    assert atomic_files.commit_new(tmp_path / "a", write(b"ours"))
    assert os.listdir(tmp_path) == ["a"]


RACE = """
import sys, time
from pathlib import Path
from subtrain.store import atomic_files
folder, me, start = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
time.sleep(max(0, start - time.time()))
for k in range(100):
    won = atomic_files.commit_new(folder / str(k), lambda file: file.write(me.encode() * 5000))
    print(int(won), end="")
"""


def test_of_many_racers_one_wins_each_file(tmp_path):
    start = str(time.time() + 1.5)
    racers = [
        subprocess.Popen([sys.executable, "-c", RACE, tmp_path, me, start], stdout=subprocess.PIPE, text=True)
        for me in "abc"
    ]
    wins = {me: racer.communicate()[0] for me, racer in zip("abc", racers, strict=True)}
    assert sorted(os.listdir(tmp_path)) == sorted(map(str, range(100)))
    for k in range(100):
        winner = [me for me in "abc" if wins[me][k] == "1"]
        assert len(winner) == 1
        assert (tmp_path / str(k)).read_bytes() == winner[0].encode() * 5000


def test_replace_swaps_whole_files(tmp_path):
    path = tmp_path / "a"
    for data in (b"one", b"two"):
        atomic_files.replace(path, write(data))
        assert path.read_bytes() == data

    def fail(file):
        file.write(b"half")
        raise RuntimeError("stop")

    for action in (atomic_files.replace, atomic_files.commit_new):
        with pytest.raises(RuntimeError):
            action(path, fail)
        with pytest.raises(RuntimeError):
            action(tmp_path / "new", fail)
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("action", ["commit_new", "replace"])
def test_death_at_every_step_leaves_the_old_file_or_the_new(tmp_path, action):
    new = b"new" * 50_000
    seen = []

    def act(die, folder):
        dying_at(die, "fsync", "link", "replace", "unlink", after=True)
        getattr(atomic_files, action)(folder / "a", write(new))

    for die in range(1, 20):
        folder = tmp_path / str(die)
        folder.mkdir()
        if action == "replace":
            (folder / "a").write_bytes(b"old")
        code = ended(forked(lambda die=die, folder=folder: act(die, folder)))
        there = (folder / "a").read_bytes() if (folder / "a").exists() else b""
        assert there in (b"old" if action == "replace" else b"", new)
        seen.append(there == new)
        atomic_files.sweep_temporaries(folder)
        assert set(os.listdir(folder)) <= {"a"}
        assert atomic_files.commit_new(folder / "a", write(new)) == (there == b"")
        if code == 0:
            break
        assert code == 9
    assert code == 0, "the last round goes through"
    assert len(seen) > 6
    assert seen == sorted(seen), "once committed, it stays"
    assert not seen[0]


def test_only_leftovers_of_dead_processes_are_swept(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = socket.gethostname()
    keep = [f".a.{host}.{os.getpid()}.aabbccdd.tmp", f".a.elsewhere.{dead.pid}.aabbccdd.tmp", ".a.tmp", "b.tmp", ".b"]
    gone = [f".a.{host}.{dead.pid}.aabbccdd.tmp", f".x.y.json.{host}.{dead.pid}.00112233.tmp"]
    for name in keep + gone:
        (tmp_path / name).touch()
    assert atomic_files.sweep_temporaries(tmp_path) == 2
    assert sorted(os.listdir(tmp_path)) == sorted(keep)
    assert atomic_files.sweep_temporaries(tmp_path / "missing") == 0


@pytest.mark.parametrize("call", ["write", "fsync", "link"])
@pytest.mark.parametrize("code", ["ENOSPC", "EDQUOT"])
def test_a_full_disk_is_one_sentence_and_no_file(tmp_path, monkeypatch, call, code):
    def full(*args):
        raise OSError(getattr(errno, code), "full")

    if call != "write":
        monkeypatch.setattr(os, call, full)
    with pytest.raises(StorageError, match=f"no space left on the disk of {tmp_path}/a; .* run the same again"):
        atomic_files.commit_new(tmp_path / "a", full if call == "write" else write(b"x"))
    assert os.listdir(tmp_path) == []


def test_a_really_full_disk(tiny_disk):
    assert atomic_files.commit_new(tiny_disk / "small", write(b"s" * 10_000))
    for action in (atomic_files.commit_new, atomic_files.replace):
        with pytest.raises(StorageError, match=r"no space left on the disk of .*large"):
            action(tiny_disk / "large", write(b"l" * 300_000))
        with pytest.raises(StorageError, match="no space left"):
            atomic_files.replace(tiny_disk / "small", write(b"l" * 195_000))
    assert os.listdir(tiny_disk) == ["small"]
    assert (tiny_disk / "small").read_bytes() == b"s" * 10_000
    assert atomic_files.commit_new(tiny_disk / "other", write(b"o" * 10_000)), "what fits can still be written"


def test_a_read_only_file_system(tiny_disk):
    (tiny_disk / "a").write_bytes(b"old")
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    for action, name in ((atomic_files.commit_new, "b"), (atomic_files.replace, "a")):
        with pytest.raises(StorageError, match=f"cannot write .*{name}: Read-only file system"):
            action(tiny_disk / name, write(b"new"))
    assert os.listdir(tiny_disk) == ["a"]
    assert (tiny_disk / "a").read_bytes() == b"old"


def test_a_closed_folder_is_one_sentence(tmp_path, monkeypatch):
    def closed(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("builtins.open", closed)
    with pytest.raises(StorageError, match=r"cannot write .*a: Permission denied"):
        atomic_files.replace(tmp_path / "a", write(b"x"))


def test_json_is_strict_and_damage_is_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(atomic_files.json_bytes({"a": [1, "é"]}))
    assert atomic_files.read_json(path) == {"a": [1, "é"]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic_files.json_bytes({"a": float("nan")})
    for damage in (b"", b'{"a": [1', b"\xff\xfe\x00"):
        path.write_bytes(damage)
        with pytest.raises(CorruptError, match=r"a\.json is damaged"):
            atomic_files.read_json(path)
    with pytest.raises(InputError, match="is a folder"):
        atomic_files.read_json(tmp_path)
