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
from subtrain.collection.worker import _serve


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
