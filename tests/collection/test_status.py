"""What `status` says is true: of the folder as it is, not of what some process once believed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from commands import run
from subtrain import Datamodels
from subtrain.collection import train_segment
from subtrain.collection.status import check, status
from subtrain.collection.tally import Tally, runner_file
from subtrain.collection.workers.train_segment import record_failure
from subtrain.fits import save_fit


def test_counts_of_a_study_half_done(make_study):
    study = make_study(done=False)
    before = status(study)
    assert (before.done, before.missing, before.bytes_done, before.fits) == (0, 16, 0, ())
    (study.path / "segments").mkdir()
    for where in ((4, 8), (10, 14)):
        train_segment(study, where)
    now = status(study)
    assert (now.models, now.done, now.missing) == (16, 8, 8)
    assert (now.fit_models, now.fit_done) == (10, 4)
    assert (now.evaluation_models, now.evaluation_done) == (6, 4)
    assert (now.units, now.alpha, dict(now.outputs)) == (20, 0.5, {"test_margins": [3], "train_margins": [20]})
    assert now.bytes_to_come == 8 * (3 + 20) * 4
    assert now.bytes_done == sum(p.stat().st_size for p in (study.path / "segments").iterdir())
    assert (now.failed, now.runners) == ((), ())
    save_fit(study, Datamodels(np.zeros((20, 3)), np.zeros(3), np.zeros(3)), "mine")
    (study.path / "fits" / "unfinished").mkdir()
    assert status(study).fits == ("mine",)


def test_json_of_the_command_line_is_the_status(make_study):
    study = make_study()
    out = run("status", study.path, "--json")
    assert json.loads(out.stdout) == json.loads(json.dumps(status(study).to_json()))
    assert json.loads(out.stdout)["missing"] == 0
    assert out.stderr == ""


def runner(study, name="x", age=0.0, **changes):
    data = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "state": "running",
        "updated": (datetime.now(UTC) - timedelta(seconds=age)).isoformat(timespec="seconds"),
    } | changes
    (study.path / "runners").mkdir(exist_ok=True)
    (study.path / "runners" / f"{name}.json").write_text(json.dumps(data))
    return data


def test_only_runners_at_work_are_shown(make_study):
    study = make_study(done=False)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    runner(study, "finished", state="finished")
    runner(study, "dead", pid=gone.pid)
    runner(study, "silent", age=60)
    runner(study, "elsewhere and silent", age=60, host="elsewhere", pid=1)
    (study.path / "runners" / "torn.json").write_text('{"host": "')
    (study.path / "runners" / "odd.json").write_text('{"state": "running"}')
    assert status(study).runners == ()
    alive = [runner(study, "a"), runner(study, "b", host="elsewhere", pid=gone.pid)]
    assert status(study).runners == tuple(alive)


def test_failures_of_models_that_are_there_by_now_are_not_shown(make_study):
    study = make_study(done=False)
    (study.path / "segments").mkdir()
    for model in (5, 9):
        record_failure(study, (4, 8), model, 77, "ValueError: bad\nsecond line", "Traceback …\n")
    assert [(f.model, f.why) for f in status(study).failed] == [(5, "ValueError: bad"), (9, "ValueError: bad")]
    (study.path / "failures" / "000006.txt").write_text("torn")
    (study.path / "failures" / "notes.txt").write_text("a\nb\nc\n")
    train_segment(study, (4, 8))
    record_failure(study, (4, 8), 5, 77, "a runner that was late", "")
    assert [f.model for f in status(study).failed] == [9]


def test_files_may_vanish_while_we_look(make_study, monkeypatch):
    study = make_study()
    right = status(study).bytes_done
    listed = os.scandir

    def with_a_ghost(folder):
        ghost = study.path / "segments" / ".000000-000003.seg.host.1.ab.tmp"
        ghost.touch()
        entries = list(listed(folder))
        ghost.unlink()
        return entries

    monkeypatch.setattr(os, "scandir", with_a_ghost)
    assert status(study).bytes_done == right


def test_a_tally_is_published_whole_or_not_at_all(make_study, monkeypatch):
    study = make_study(done=False)
    tally = Tally(study.store, runner_file(), 100, 10, 2)
    assert (tally.rate, tally.eta) == (0.0, None)
    clock_shows = SimpleNamespace(now=0.0)
    monkeypatch.setattr("subtrain.collection.tally.time", SimpleNamespace(monotonic=lambda: clock_shows.now))
    tally.add(20)
    clock_shows.now = 10.0
    tally.add(30)
    assert tally.rate == 3.0, "30 models in the 10 seconds since the first report"
    assert tally.eta == pytest.approx(40 / 3)
    tally.write()
    [shown] = status(study).runners
    assert (shown["total"], shown["done"], shown["trained"], shown["rate"]) == (100, 10, 50, 3.0)
    monkeypatch.setattr(os, "replace", lambda *args: (_ for _ in ()).throw(OSError(28, "full")))
    tally.write()
    assert status(study).runners == (shown,)


def test_check_reads_every_byte_and_knows_the_masks(make_study):
    study = make_study()
    assert check(study) == []
    path = sorted((study.path / "segments").iterdir())[1]
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert [str(path) in sentence for sentence in check(study)] == [True]
    path.write_bytes(whole)
    drifted = replace(study, design=replace(study.design, seed=2))
    vars(drifted)["identity"] = study.identity
    assert len(check(drifted)) == len(study.segments)
    assert "other masks" in check(drifted)[0]
