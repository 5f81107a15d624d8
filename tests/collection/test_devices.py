"""Devices that run out of memory, and models that never end: fewer workers, named culprits, everything else kept."""

from __future__ import annotations

import json

import numpy as np
import pytest

from commands import run
from processes import running, wait_until
from subtrain import Design, Study
from subtrain.collection.engines.local import engine
from subtrain.collection.status import status
from subtrain.errors import CollectError, InputError

CODE = """
import fcntl, os, time
import numpy as np
import subtrain as st

class OutOfMemoryError(RuntimeError):
    pass

def make(room, seats=1, bad=(), large=(), pause=0.2, size=2, kind="device", device="cuda", crowd=1):
    '''`seats` workers fit on each device; a seat is a locked file, so that it is free again when a worker dies.

    A `large` model takes all seats. No training ends before `crowd` workers have begun one.
    '''
    def take(device, wanted):
        with open(f"{room}/door", "w") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            taken = []
            for k in range(seats):
                file = open(f"{room}/{device}-{k}", "w")
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    taken.append(file)
                except BlockingIOError:
                    file.close()
                if len(taken) == wanted:
                    return taken
            for file in taken:
                file.close()
            return []

    def train(masks, seeds):
        device = os.environ.get("SUBTRAIN_DEVICE", "none")
        open(f"{room}/began-{os.getpid()}", "w").close()
        if set(seeds.tolist()) & set(bad):
            raise MemoryError("told to") if kind == "host" else OutOfMemoryError("told to")
        taken = take(device, seats if set(seeds.tolist()) & set(large) else 1)
        if not taken:
            raise MemoryError("full") if kind == "host" else OutOfMemoryError("CUDA out of memory. 2 GiB")
        while sum(name.startswith("began") for name in os.listdir(room)) < crowd:
            time.sleep(0.01)
        time.sleep(pause)
        for file in taken:
            file.close()
        where = {"cuda:0": 0, "cuda:1": 1, "cpu": 7, "none": 9}[device]
        return {"a": np.stack([seeds % 100, np.full(len(seeds), where)], axis=1)}
    task = st.tasks.batch(train, 8, {"a": (2,)}, size)
    object.__setattr__(task, "device", device)
    return task
"""


@pytest.fixture
def hungry(tmp_path):
    """hungry(models=…, seats=…): a study whose workers need a seat on their device."""
    (tmp_path / "hungry.py").write_text(CODE)
    (tmp_path / "room").mkdir()

    def make(models=24, segment=2, **params):
        design = Design(models=models, heldout=0, seed=3)
        params = {"room": str(tmp_path / "room")} | params
        return Study.create(tmp_path / "s", f"{tmp_path}/hungry.py:make", design, params=params, segment=segment)

    return make


def right(study, missing=()):
    there = [row for row in range(study.models) if row not in missing]
    assert study.done().tolist() == there
    found = study.read("a")
    assert np.array_equal(found[:, 0], study.design.seeds()[there] % 100)
    return found[:, 1]


def runner(study):
    [path] = (study.path / "runners").iterdir()
    return json.loads(path.read_text())


def test_a_full_device_gets_fewer_workers_and_no_model_fails(hungry, capfd):
    study = hungry(crowd=3)
    done = study.collect(devices=["cuda:0"], per_device=3)
    assert done.trained == 24
    assert set(right(study)) == {0}
    assert done.slots == "3 workers on cuda:0"
    assert done.notes == tuple(
        f"memory ran out on cuda:0: going on with {left} there" for left in ("2 workers", "1 worker")
    )
    said = capfd.readouterr().err
    assert "Training with 3 workers on cuda:0" in said
    assert f"Note: {done.notes[1]}" in said
    about = runner(study)
    assert (about["failed"], about["workers"], about["notes"]) == (0, 1, list(done.notes))
    assert about["worker_bytes"] > 10_000_000
    assert status(study).failed == ()
    assert not (study.path / "failures").exists()


def test_another_device_keeps_its_workers(hungry):
    study = hungry(seats=2, crowd=4, pause=0.01)
    done = study.collect(devices=["cuda:0", "cuda:1"], per_device=2, progress=False)
    assert done.notes == ()
    assert set(right(study)) == {0, 1}


def test_memory_of_the_host_is_treated_alike(hungry):
    study = hungry(kind="host", device=None, crowd=2)
    done = study.collect(workers=2, progress=False)
    assert done.notes == ("memory ran out on this machine: going on with 1 worker there",)
    assert set(right(study)) == {9}, "a task that says nothing of devices is told of none"


def test_a_task_that_could_use_a_gpu_is_told_when_there_is_none(hungry, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    study = hungry(models=4)
    study.collect(workers=1, progress=False)
    assert set(right(study)) == {7}


def test_visible_gpus_are_taken_by_a_task_that_uses_them(hungry, monkeypatch):
    monkeypatch.setattr(engine, "visible_gpus", lambda: ("cuda:0", "cuda:1"))
    study = hungry(crowd=2)
    assert study.collect(progress=False).slots == "2 workers on cuda:0, cuda:1"
    assert set(right(study)) == {0, 1}


def test_when_one_worker_is_too_many_the_models_fail_with_a_sentence(hungry):
    study = hungry(models=4, seats=0)
    with pytest.raises(CollectError) as caught:
        study.collect(devices=["cuda:0"], per_device=2, progress=False)
    assert "4 of 4 models are missing" in str(caught.value)
    error = "OutOfMemoryError: CUDA out of memory. 2 GiB (hungry.py, line 38)"
    sentence = f"it needs more memory than there is on cuda:0: {error}"
    assert sentence in str(caught.value)
    assert {failed.why for failed in status(study).failed} == {sentence}


def test_a_model_that_is_too_large_costs_one_worker_not_all(hungry):
    bad = int(Design(models=24, heldout=0, seed=3, kind="fixed").seeds([5])[0])
    study = hungry(bad=[bad], seats=4, crowd=4)
    with pytest.raises(CollectError, match=r"1 of 24 models are missing.* model 5: it needs more memory than there is"):
        study.collect(devices=["cuda:0"], per_device=4, progress=False)
    right(study, {5})
    assert runner(study)["workers"] == 3


def test_a_model_that_needs_the_device_for_itself_waits_for_it(hungry):
    large = int(Design(models=24, heldout=0, seed=3, kind="fixed").seeds([2])[0])
    study = hungry(large=[large], seats=3, crowd=3)
    done = study.collect(devices=["cuda:0"], per_device=3, progress=False)
    # How many give up their place before the large model is alone depends on who holds the device at that moment.
    assert done.notes[0] == "memory ran out on cuda:0: going on with 2 workers there"
    right(study)


def test_a_model_that_never_ends_is_stopped_and_named(unruly_study, expected):
    study = unruly_study({5: "sleep"})
    with pytest.raises(CollectError, match=r"model 5: it took longer than the timeout of 2\.5 s and was stopped"):
        study.collect(workers=2, timeout=2.5, progress=False)
    there = [row for row in range(16) if row != 5]
    assert study.done().tolist() == there
    assert study.read("test_margins").tobytes() == expected(study)["test_margins"][there].tobytes()


def test_subprocesses_of_user_code_end_with_a_worker_that_is_stopped(tmp_path):
    code = "import os, subprocess, sys\nimport subtrain as st\ndef make(marks):\n    def train(indices, seed):\n"
    code += "        child = subprocess.Popen(['sleep', '1000'])\n        open(f'{marks}/{child.pid}', 'w').close()\n"
    code += "        child.wait()\n    return st.tasks.function(train, 4, {'a': [1]})\n"
    (tmp_path / "family.py").write_text(code)
    marks = tmp_path / "marks"
    marks.mkdir()
    design = Design(models=1, heldout=0)
    study = Study.create(tmp_path / "s", f"{tmp_path}/family.py:make", design, params={"marks": str(marks)})
    with pytest.raises(CollectError, match="longer than the timeout"):
        study.collect(timeout=1, progress=False)
    children = [int(path.name) for path in marks.iterdir()]
    assert children
    wait_until(lambda: not any(running(pid) for pid in children))


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_timeouts_are_above_zero(unruly_study, timeout):
    with pytest.raises(InputError, match="timeout must be above 0 seconds"):
        unruly_study().collect(timeout=timeout)


def test_options_of_the_command_line(hungry):
    study = hungry(models=6, seats=2)
    words = ["collect", study.path, "--device", "cuda:0, cuda:1", "--per-device", "2", "--timeout", "60"]
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert "Training with 3 workers on cuda:0 (2), cuda:1 (1), as only 3 segments are missing" in done.stderr
    right(study)
