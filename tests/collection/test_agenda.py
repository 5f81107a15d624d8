"""Several runners on one study share the work; none begins a second, half study where it was."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from subtrain import Design, Study
from subtrain.collection import segment_order as module
from subtrain.collection import train_segment
from subtrain.collection.segment_order import Agenda, Company
from subtrain.collection.tally import Tally
from subtrain.errors import StorageError

TASK = """
import os
import time
import subtrain as st

def task(count, pause=0.0):
    def train(masks, seeds):
        time.sleep(pause * len(masks))
        file = os.open(count, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, b"x" * len(masks))
        os.close(file)
        return {"test_margins": masks[:, :3].astype("float32")}
    return st.tasks.batch(train, 20, {"test_margins": st.Output((3,), "float32")}, 8)
"""


def counting_study(tmp_path: Path, models: int, segment: int, pause: float = 0.0) -> Study:
    """A study whose task adds a byte to a file for every model that is trained."""
    (tmp_path / "counting.py").write_text(TASK)
    params = {"count": str(tmp_path / "count"), "pause": pause}
    plan = Design(models=models, heldout=8, replicates=2)
    return Study.create(tmp_path / "study", f"{tmp_path / 'counting.py'}:task", plan, params=params, segment=segment)


def runner(study: Study, name: str, segments: list | None = None, pid: int | None = None) -> Tally:
    """A runner of another process of this machine that lives."""
    tally = Tally(study.store, f"runners/{name}.json", study.models, 0)
    tally.segments = segments if segments is not None else []
    tally.write()
    if pid is not None:
        path = study.path / "runners" / f"{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": pid}))
    return tally


def test_four_collectors_started_at_once_train_few_models_twice(tmp_path):
    study = counting_study(tmp_path, models=384, segment=8, pause=0.002)
    command = [sys.executable, "-m", "subtrain", "collect", str(study.path), "--workers", "1"]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(4)]
    said = [racer.communicate()[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 4, said
    assert Study.open(study.path).models_done() == 424
    assert 424 <= os.path.getsize(tmp_path / "count") <= 1.3 * 424


def drained(study: Study, runners: int, blind: float = 0.0) -> int:
    """Segments trained when so many runners, step by step in a random order, empty their agendas; blind: the chance
    that a runner sees nothing of what the others say."""
    order = random.Random(0)
    tallies = [Tally(study.store, f"runners/r{k}.json", study.models, 0) for k in range(runners)]
    agendas = [Agenda(study, study.segments, tally) for tally in tallies]
    work: list[tuple[int, int] | None] = [None] * runners
    trained = 0
    for one in agendas:
        seen = one.company.busy
        one.company.busy = lambda anew=False, seen=seen: set() if order.random() < blind else seen(anew)
    while any(agendas) or any(work):
        k = order.randrange(runners)
        where, work[k] = work[k], None
        if where is not None:
            trained += 1
            agendas[k].over(where, train_segment(study, where))
            tallies[k].write()  # as runners do several times a second: until then, others wait for this segment
        else:
            work[k] = agendas[k].take()
    return trained


@pytest.mark.parametrize(("blind", "most"), [(0.0, 1.0), (0.5, 1.3)])
def test_runners_share_the_segments(make_study, blind, most):
    study = make_study(done=False, models=100, segment=2)
    assert drained(study, 4, blind) <= most * len(study.segments)
    assert Study.open(study.path).models_done() == study.models


def test_each_begins_at_a_place_of_its_own_and_takes_turns_from_there(make_study):
    study = make_study(done=False, models=100, segment=2)
    first = set()
    for _ in range(20):
        one = Agenda(study, study.segments, Tally(study.store, "", 0, 0))
        taken = [one.take() for _ in study.segments]
        at = study.segments.index(taken[0])
        assert taken == study.segments[at:] + study.segments[:at]
        first.add(at)
    assert len(first) > 5


def test_what_is_committed_elsewhere_counts_as_done_and_is_asked_for_once(make_study):
    study = make_study(done=False, models=100, segment=2)
    one = Agenda(study, study.segments, tally := Tally(study.store, "runners/me.json", study.models, 0))
    for where in study.segments[:40]:
        train_segment(study, where)
    left = []
    while (where := one.take()) is not None:
        left.append(where)
        one.over(where)
    assert sorted(left) == study.segments[40:]
    assert tally.done == 80


def test_all_that_is_left_is_under_way_elsewhere(make_study, monkeypatch):
    study = make_study(done=False, models=8, segment=2)
    other = runner(study, "other", list(study.segments))
    one = Agenda(study, study.segments, Tally(study.store, "runners/me.json", study.models, 0))
    assert one
    assert one.take() is None
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    assert one.take() in study.segments  # it took longer than a segment takes here
    monkeypatch.setattr(module, "PATIENCE", 1000.0)
    assert one.take() is None
    other.state = "finished"
    other.write()
    assert one.take() in study.segments


def test_who_is_dead_silent_or_cannot_be_read_holds_nothing(make_study, monkeypatch):
    study = make_study(done=False, models=8, segment=2)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    runner(study, "dead", list(study.segments), pid=gone.pid)
    for name, text in (
        ("torn", '{"state": "runn'),
        ("odd", '{"state": "running", "segments": [[1, "x"]]}'),
        ("list", "[]"),
    ):
        (study.path / "runners" / f"{name}.json").write_text(text)
    company = Company(study.store, "runners/me.json")
    assert company.busy() == set()
    alive = runner(study, "alive", [study.segments[1]])
    assert company.busy() == {study.segments[1]}
    clock = module.time.monotonic() + module.STALE + 1
    monkeypatch.setattr(module.time, "monotonic", lambda: clock)
    assert company.busy() == set()
    alive.trained += 1
    alive.write()
    assert company.busy() == {study.segments[1]}


def test_clocks_that_disagree_do_not_matter_once_a_runner_is_seen_to_move(make_study):
    study = make_study(done=False, models=8, segment=2)
    runner(study, "other", [study.segments[0]])
    path = study.path / "runners" / "other.json"
    data = json.loads(path.read_text()) | {"updated": "2001-01-01T00:00:00+00:00"}
    path.write_text(json.dumps(data))
    company = Company(study.store, "runners/me.json")
    assert company.busy() == set()
    path.write_text(json.dumps(data | {"trained": 12345}))
    assert company.busy() == {study.segments[0]}


def test_two_that_take_the_same_at_once_both_let_go(make_study, monkeypatch):
    study = make_study(done=False, models=2, heldout=0, segment=2)
    mine = Agenda(study, study.segments, Tally(study.store, "runners/me.json", study.models, 0))
    monkeypatch.setattr(mine.company, "busy", lambda anew=False: {study.segments[0]} if mine.tally.segments else set())
    assert mine.take() is None
    assert mine.tally.segments == []
    assert mine


@pytest.mark.parametrize("how", ["moved", "unmounted", "another"])
def test_a_study_that_is_gone_is_not_half_made_again(make_study, tmp_path, how):
    study = make_study(done=False)
    train_segment(study, study.segments[0])
    study.path.rename(tmp_path / "elsewhere")
    if how == "unmounted":
        study.path.mkdir()  # where it was mounted
    if how == "another":
        Study.create(study.path, study.task, Design(models=10, heldout=3, replicates=2, seed=2), segment=4)
    before = sorted(study.path.rglob("*")) if study.path.exists() else None
    with pytest.raises(StorageError, match=r"is gone, or its study\.json|another study lies in the folder"):
        train_segment(study, study.segments[1])
    assert (sorted(study.path.rglob("*")) if study.path.exists() else None) == before
    assert Study.open(tmp_path / "elsewhere").models_done() == 4


@pytest.mark.parametrize("mounted", [True, False])
def test_a_collector_ends_with_6_when_its_study_goes_away(tmp_path, mounted):
    study = counting_study(tmp_path, models=400, segment=8, pause=0.01)
    command = [sys.executable, "-m", "subtrain", "collect", str(study.path), "--workers", "1"]
    collector = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list(study.path.glob("segments/*.seg")):
        assert collector.poll() is None
    study.path.rename(tmp_path / "elsewhere")
    if mounted:
        study.path.mkdir()
    said = collector.communicate()[1]
    assert collector.returncode == 6, said
    assert "is gone" in said.splitlines()[-1]
    assert not list(study.path.rglob("*")) if mounted else not study.path.exists()
    moved = Study.open(tmp_path / "elsewhere")
    assert 0 < moved.models_done() < moved.models
