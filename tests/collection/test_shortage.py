"""What memory ran out with is given back: before the models are tried one by one, and once a worker has said so."""

from __future__ import annotations

import gc
import io
import json
import weakref

import numpy as np
import pytest

import subtrain as st
from subtrain.collection import train_segment
from subtrain.collection.workers.worker import _serve


class Large:
    """Something that only the garbage collector ends, as a module of a network is."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def greedy(make_study):
    """(a study whose models do not fit two at a time, what was held when memory ran out)."""
    held: list[weakref.ref[Large]] = []
    seen: list[bool] = []

    def train(masks, seeds):
        if len(masks) > 1:
            large = Large()
            held.append(weakref.ref(large))
            raise MemoryError("told to")
        seen.append(any(one() is not None for one in held))
        return {"a": np.zeros((1, 2))}

    gc.collect()
    gc.disable()
    yield make_study(done=False, task=st.tasks.batch(train, 8, {"a": (2,)}, 4)), held, seen
    gc.enable()


def test_the_models_of_a_batch_that_did_not_fit_are_tried_with_its_memory_free(greedy):
    study, held, seen = greedy
    assert train_segment(study, (0, 4))
    assert len(held) == 1
    assert seen == [False] * 4


def test_a_worker_keeps_nothing_of_what_did_not_fit(greedy):
    study, held, seen = greedy
    answers = io.StringIO()
    _serve(study, {"start": 0, "stop": 4, "careful": False, "last_try": False, "skip": []}, answers)
    assert [json.loads(line)["event"] for line in answers.getvalue().splitlines()][-1] == "short of memory"
    assert (len(held), seen) == (1, [])
    assert held[0]() is None


KILLED = """
import os, signal, time
import numpy as np
import subtrain as st

def make(room, greedy=()):
    '''As a system short of memory: of two that train at once one is killed, and so is a greedy model even alone.'''
    def train(indices, seed):
        mine = os.path.join(room, str(os.getpid()))
        open(mine, "w").close()
        time.sleep(0.2)
        others = [p for p in os.listdir(room) if p != str(os.getpid()) and os.path.exists(f"/proc/{p}")]
        if others or seed in greedy:
            os.unlink(mine)
            os.kill(os.getpid(), signal.SIGKILL)
        os.unlink(mine)
        return {"a": [len(indices)]}
    return st.tasks.function(train, 8, {"a": st.Output([1], "float32")})
"""


@pytest.fixture
def short_system(tmp_path):
    (tmp_path / "killed.py").write_text(KILLED)
    (tmp_path / "room").mkdir()

    def make(**params):
        design = st.Design(models=12, heldout=0, seed=3)
        params = {"room": str(tmp_path / "room")} | params
        return st.Study.create(tmp_path / "s", f"{tmp_path}/killed.py:make", design, params=params, segment=2)

    return make


def test_a_worker_that_the_system_kills_is_one_less_and_no_model_is_blamed(short_system):
    study = short_system()
    done = study.collect(workers=3, progress=False)
    assert done.done == 12
    assert study.status().failed == ()
    assert "going on with 1 worker" in " ".join(done.notes)


def test_with_one_worker_left_a_model_that_is_killed_is_to_blame(short_system):
    bad = int(st.Design(models=12, heldout=0, seed=3, kind="fixed").seeds([5])[0])
    study = short_system(greedy=[bad])
    with pytest.raises(st.SubtrainError, match=r"1 of 12 models are missing.* model 5: .*SIGKILL"):
        study.collect(workers=2, progress=False)
    assert [failed.model for failed in study.status().failed] == [5]


def test_a_worker_that_grows_is_told_from_one_that_is_large():
    from subtrain.collection.engines.local.device_memory import Growth

    large, growing = Growth(), Growth()
    for k in range(4):
        large.held(1000)
        growing.held(400 + 200 * k)
    assert not large.beyond(800), "it has always held that much"
    assert growing.beyond(800)
    assert not growing.beyond(2000)
    assert not growing.beyond(None)


def test_a_leak_never_fails_a_model(make_study, tmp_path):
    """Memory that a process keeps runs out at the third model of each process; a fresh one goes on with that model."""
    kept = []

    def train(masks, seeds):
        import os

        marks = sorted(tmp_path.glob("*.mark"), key=lambda path: path.stat().st_mtime)
        kept.append(1)
        if len(kept) > 2:
            raise MemoryError("told to")
        (tmp_path / f"{os.getpid()}-{len(marks)}.mark").touch()
        return {"a": masks.sum(axis=1, keepdims=True).astype("float32")}

    task = st.tasks.batch(train, 20, {"a": st.Output([1], "float32")}, 1)
    study = st.Study.create(tmp_path / "r", task, st.Design(models=9, heldout=0), segment=8)
    done = study.collect(workers=1, progress=False)
    assert (done.done, study.status().failed) == (9, ())
    assert len({path.name.partition("-")[0] for path in tmp_path.glob("*.mark")}) == 5, "processes, two models each"
