"""Whatever happens to a study's folder, what is committed is whole and right, and the rest can be trained again."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import worlds
from commands import run
from processes import dying_at, ended, forked
from subtrain import Design, Study
from subtrain.collection import train_segment
from subtrain.collection.status import check, live_runners
from subtrain.collection.workers import train_segment as training
from subtrain.store import atomic_files
from subtrain.store.folder import Folder

SEGMENTS = st.integers(0, 4)
YEAR = 365 * 86_400


class Recovery(RuleBasedStateMachine):
    """A study whose runners are killed at any step, beside whatever else happens to folders."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        design = Design(models=14, heldout=3, replicates=2, seed=1)
        self.study = Study.create(self.folder / "s", worlds.linear(noise=0.5), design, segment=4)
        right = self.study.task.train(self.study.masks().unpack(), self.study.design.seeds())
        self.right = {name: np.asarray(array) for name, array in right.items()}
        self.there: set[tuple[int, int]] = set()
        self.dice = random.Random(0)

    def teardown(self) -> None:
        """Whatever has happened: collecting what is missing gives the study that nothing has happened to."""
        for where in self.study.segments:
            train_segment(self.study, where)
        self.tidy()
        assert check(Study.open(self.folder / "s")) == []
        for name, array in self.right.items():
            assert Study.open(self.folder / "s").read(name).tobytes() == array.tobytes()
        shutil.rmtree(self.folder)

    def tidy(self) -> None:
        from subtrain.collection.workers import checkpoint

        self.study.store.sweep()
        checkpoint.sweep(self.study)

    @rule(k=SEGMENTS)
    def commit(self, k: int) -> None:
        where = self.study.segments[k]
        assert train_segment(self.study, where) == (where not in self.there)
        self.there.add(where)

    @rule(k=SEGMENTS, step=st.integers(1, 14), saving=st.booleans())
    def killed(self, k: int, step: int, saving: bool) -> None:
        where = self.study.segments[k]

        def act() -> None:
            training.SAVE_EVERY = 0.0 if saving else 1e9
            dying_at(step, "fsync", "link", "unlink", "rmdir")
            train_segment(self.study, where)

        code = ended(forked(act))
        assert code in (0, 9)
        committed = where in Study.open(self.folder / "s").rows.whole()
        assert committed or code == 9
        assert committed or where not in self.there, "what is committed stays"
        if not saving and where not in self.there:
            assert committed == (step > 2), "the link alone, the second step, commits"
        self.there |= {where} if committed else set()

    @rule(k=SEGMENTS)
    def race(self, k: int) -> None:
        where = self.study.segments[k]
        racers = [forked(lambda: os._exit(10 + train_segment(self.study, where))) for _ in range(2)]
        won = [ended(racer) for racer in racers]
        assert sorted(won) == ([10, 10] if where in self.there else [10, 11])
        self.there.add(where)

    @rule(host=st.sampled_from(["here", "elsewhere"]), days=st.integers(-400, 400), size=st.integers(0, 300))
    def torn_temporary(self, host: str, days: int, size: int) -> None:
        name = self.dice.choice(self.study.segments)
        host = socket.gethostname() if host == "here" else host
        folder = self.folder / "s" / "segments"
        folder.mkdir(exist_ok=True)
        path = folder / f".{name[0]:06d}-{name[1] - 1:06d}.seg.{host}.{2**22 + 1}.{self.dice.randrange(16**8):08x}.tmp"
        path.write_bytes(self.dice.randbytes(size))
        os.utime(path, (time.time() + days * 86_400,) * 2)

    @rule(seconds=st.sampled_from([-YEAR, -1, 1, YEAR]))
    def clock_jumps(self, seconds: int) -> None:
        for path in (self.folder / "s").rglob("*"):
            now = path.stat().st_mtime
            os.utime(path, (max(0, now + seconds),) * 2)

    @rule()
    def sweep(self) -> None:
        self.tidy()
        here = f".{socket.gethostname()}."
        assert [p for p in (self.folder / "s").rglob(".*.tmp") if here in p.name] == []

    @precondition(lambda self: self.there)
    @rule()
    def segment_deleted_by_hand(self) -> None:
        where = self.dice.choice(sorted(self.there))
        self.study.store.delete(f"segments/{where[0]:06d}-{where[1] - 1:06d}.seg")
        self.there.remove(where)

    @invariant()
    def what_is_committed_is_right(self) -> None:
        study = Study.open(self.folder / "s")
        assert study.rows.whole() == self.there
        done = study.done()
        for name, array in self.right.items():
            assert study.read(name).tobytes() == array[done].tobytes()


TestRecovery = Recovery.TestCase
TestRecovery.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)


def test_thousands_of_stale_temporaries(make_study):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    study = make_study()
    folder = study.path / "segments"
    now = time.time()
    for k in range(5000):
        host = socket.gethostname() if k % 2 else "node17"
        path = folder / f".000000-000003.seg.{host}.{dead.pid}.{k:08x}.tmp"
        path.touch()
        age = (k % 4 > 1) * 2 * 86_400
        os.utime(path, (now - age,) * 2)
    assert study.models_done() == 16
    assert study.status().bytes_done == sum(path.stat().st_size for path in folder.glob("*.seg"))
    assert study.store.sweep() == 2500 + 1250
    assert len(list(folder.glob(".*.tmp"))) == 1250, "those of another machine that may still be at work"
    assert study.store.sweep() == 0
    assert check(study) == []


def test_a_temporary_taken_away_too_early_is_written_again(tmp_path, monkeypatch):
    store, link, taken = Folder(tmp_path), os.link, []

    def swept(source, target):
        if len(taken) < 2:
            taken.append(source)
            os.unlink(source)
        link(source, target)

    monkeypatch.setattr(os, "link", swept)
    assert store.commit_new("segments/a", lambda file: file.write(b"x"))
    assert len(taken) == 2
    assert os.listdir(tmp_path / "segments") == ["a"]


def test_a_folder_that_is_gone_is_not_made_again(tmp_path):
    store = Folder(tmp_path / "study")
    store.prepare()
    shutil.rmtree(tmp_path / "study")
    with pytest.raises(Exception, match=r"the folder .*study is gone"):
        store.commit_new("segments/a", lambda file: file.write(b"x"))
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("seconds", [-3600, -20, 20, 3600])
def test_a_heartbeat_from_another_time_is_nobodys(make_study, seconds):
    study = make_study(done=False)
    (study.path / "runners").mkdir()
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    note = {"host": "node17", "pid": 1, "state": "running", "rate": 1.0, "updated": at.isoformat(timespec="seconds")}
    (study.path / "runners" / "node17-1.json").write_text(json.dumps(note))
    assert live_runners(study) == ()
    note["updated"] = datetime.now(UTC).isoformat(timespec="seconds")
    (study.path / "runners" / "node17-1.json").write_text(json.dumps(note))
    assert len(live_runners(study)) == 1


def test_a_read_only_study_can_be_looked_at_and_says_why_it_cannot_be_trained(tiny_disk):
    task = f"{worlds.__file__}:linear"
    study = Study.create(tiny_disk / "s", task, Design(models=10, heldout=3, seed=1), segment=4)
    train_segment(study, study.segments[0])
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    assert json.loads(run("status", study.path, "--json").stdout)["done"] == 4
    done = run("collect", study.path, "--workers", "1")
    assert done.returncode == 6
    assert "Error: cannot write" in done.stderr
    assert "Read-only file system" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Read-only file system" in run("extend", study.path, "--models", "2").stderr


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_every_write_of_a_folder_says_what_is_wrong(tmp_path, monkeypatch, code):
    store = Folder(tmp_path)

    def full(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(atomic_files, "_written", full)
    for act in (store.commit_new, store.replace):
        with pytest.raises(Exception, match=rf"(no space left on the disk of|cannot write) {tmp_path}/a"):
            act("a", lambda file: file.write(b"x"))
