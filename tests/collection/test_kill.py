"""SIGKILL at any moment, of runners and workers, two runners on one study: no row lost, torn, doubled or changed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import worlds
from processes import dying_at, ended, forked, running, wait_until
from subtrain import Design, Study
from subtrain.collection import train_segment
from subtrain.collection.workers import train_segment as training
from subtrain.studies.segments import segment_file

RUNNER = """
import sys
import subtrain as st
study = st.Study.open(sys.argv[1])
print("ready", flush=True)
done = study.collect(workers=int(sys.argv[2]), progress=False)
print(done.done, done.total, flush=True)
"""


def start(study, workers=1):
    return subprocess.Popen(
        [sys.executable, "-c", RUNNER, study.path, str(workers)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def children(pid):
    """Pids of the living children of a process."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    state, parent = file.read().rsplit(")", 1)[1].split()[:2]
            except OSError:
                continue
            if int(parent) == pid and state != "Z":
                found.append(int(entry))
    return found


@pytest.mark.slow
def test_two_runners_killed_again_and_again(unruly_study, expected, make_study, tmp_path):
    plan = {"models": 330, "heldout": 10, "segment": 8}
    study = unruly_study(**plan)
    uninterrupted = make_study(name="uninterrupted", task=worlds.linear(noise=0.5), **plan)
    (tmp_path / "control" / "pause").write_text("0.05")
    dice = random.Random(7)
    runners = [start(study), start(study)]
    kills, together = 0, 0
    while kills < 15:
        victim = runners[kills % 2]
        if dice.random() < 0.8:
            victim.stdout.readline()
        time.sleep(dice.uniform(0, 0.7))
        together += all(r.poll() is None for r in runners)
        victim.kill()
        victim.communicate()
        kills += 1
        runners[(kills - 1) % 2] = start(study)
    assert together == 15, "the runners must really have met"
    (tmp_path / "control" / "pause").unlink()
    assert [r.wait(60) for r in runners] == [0, 0]
    for runner in runners:
        assert runner.communicate()[0].endswith("374 374\n")
    assert Study.open(study.path).collect(workers=1, progress=False).trained == 0
    finished(study, uninterrupted, expected)


def finished(study, uninterrupted, expected):
    """Every row once, byte for byte as in a run that nobody disturbed, and nothing left lying about."""
    names = sorted(os.listdir(study.path / "segments"))
    assert names == [segment_file.file_name(*where) for where in study.segments]
    assert names == sorted(os.listdir(uninterrupted.path / "segments"))
    for name, array in expected(study).items():
        assert study.read(name).tobytes() == array.tobytes() == uninterrupted.read(name).tobytes()
    kept = [p for p in study.path.rglob("*") if p.is_file()]
    assert [p for p in kept if p.name.endswith(".tmp") or "partial" in p.parts] == []


def busy(control):
    """Pids of the two workers, once both are in the middle of training."""
    wait_until(lambda: len(list(control.glob("began.*"))) == 2)
    return [int(path.suffix[1:]) for path in control.glob("began.*")]


def test_workers_die_with_their_runner(unruly_study, tmp_path):
    study = unruly_study(models=100, pause=60)
    runner = start(study, 2)
    workers = busy(tmp_path / "control")
    runner.kill()
    runner.communicate()
    wait_until(lambda: not any(running(pid) for pid in workers))


def test_a_runner_that_is_interrupted_takes_its_workers_along(unruly_study, tmp_path):
    study = unruly_study(models=100, pause=60)
    runner = start(study, 2)
    workers = busy(tmp_path / "control")
    runner.send_signal(signal.SIGINT)
    assert runner.wait(20) != 0
    wait_until(lambda: not any(running(pid) for pid in workers))
    [about] = (study.path / "runners").glob("*.json")
    assert '"state": "interrupted"' in about.read_text()
    runner.communicate()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_workers_killed_again_and_again_are_replaced(unruly_study, expected):
    study = unruly_study(models=60, heldout=5, segment=10, pause=0.03)
    runner = start(study, 2)
    dice = random.Random(3)
    for _ in range(5):
        time.sleep(dice.uniform(0.2, 0.6))
        for pid in children(runner.pid)[:1]:
            os.kill(pid, signal.SIGKILL)
    assert runner.wait(60) == 0
    assert runner.communicate()[0].endswith("70 70\n")
    assert np.array_equal(study.read("test_margins"), expected(study)["test_margins"])


def test_death_at_every_step_of_a_segment(unruly_study, expected):
    """With outputs saved after every call, so that the cache is written and cleared between the steps too."""
    study = unruly_study(size=2)
    (study.path / "segments").mkdir()
    assert study.task.batch == 2
    right = expected(study)["test_margins"][4:8].tobytes()
    committed = []

    def act(die, study=study):
        dying_at(die, "fsync", "link", "unlink", "rmdir")
        training.SAVE_EVERY = 0.0
        train_segment(study, (4, 8))

    for die in range(1, 60):
        for path in (study.path / "segments").iterdir():
            path.unlink()
        code = ended(forked(lambda die=die: act(die)))
        study = Study.open(study.path)
        there = study.models_done()
        assert there in (0, 4)
        if there:
            assert study.read("test_margins").tobytes() == right
        committed.append(there == 4)
        if code == 0:
            break
        assert code == 9
    assert code == 0, "the last round goes through"
    assert committed[-1]
    assert len(committed) > 8
    study.collect(workers=1, progress=False)
    assert study.read("test_margins").tobytes() == expected(study)["test_margins"].tobytes()
    assert [p for p in study.path.rglob("*") if p.is_file() and (p.name.endswith(".tmp") or "partial" in p.parts)] == []


def test_two_processes_on_one_segment_commit_it_once(tmp_path):
    study = Study.create(tmp_path / "s", worlds.linear(noise=1.0), Design(models=8, heldout=0), segment=8)
    (study.path / "segments").mkdir()
    other = Study.open(study.path, task=worlds.linear(noise=1.0))
    path = study.path / "segments" / segment_file.file_name(0, 8)

    def overtaken(models):
        if models and not path.exists():
            assert train_segment(other, (0, 8))

    assert not train_segment(study, (0, 8), report=overtaken)
    assert os.listdir(study.path / "segments") == [path.name]
    assert not (study.path / "partial").exists() or os.listdir(study.path / "partial") == []
