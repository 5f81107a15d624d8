"""Background computations: once each, failures in a sentence and tried again later."""

import threading
import time

from subtrain.errors import InputError
from subtrain.explorer import jobs
from subtrain.explorer.jobs import Jobs


def ended(job):
    for _ in range(500):
        if job.state in ("done", "failed"):
            return job
        time.sleep(0.01)
    raise AssertionError("it never ended")


def test_each_is_computed_once_and_one_at_a_time():
    desk, calls, gate = Jobs(), [], threading.Event()

    def slow():
        calls.append(1)
        gate.wait(5)
        return 7

    first, again = desk.once("a", slow), desk.once("a", slow)
    second = desk.once("b", lambda: 8)
    assert first is again
    assert second.state == "queued"
    gate.set()
    assert (ended(first).value, ended(second).value, calls) == (7, 8, [1])
    desk.stop()


def test_failures_are_said_and_tried_again_later(monkeypatch):
    desk = Jobs()

    def fail():
        raise InputError("too little")

    def burst():
        raise ZeroDivisionError("by zero")

    job = ended(desk.once("a", fail))
    assert (job.state, job.why) == ("failed", "too little")
    assert ended(desk.once("b", burst)).why == "unexpected ZeroDivisionError: by zero"
    assert desk.once("a", lambda: 1) is job
    monkeypatch.setattr(jobs, "AGAIN", -1.0)
    assert ended(desk.once("a", lambda: 1)).value == 1
    desk.stop()


def test_old_results_are_forgotten(monkeypatch):
    monkeypatch.setattr(jobs, "KEPT", 3)
    desk = Jobs()
    for key in range(6):
        ended(desk.once(key, lambda: object()))
    assert len(desk._jobs) <= 4
    assert 5 in desk._jobs
    desk.stop()
