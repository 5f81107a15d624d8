"""The Ray engine with a cluster that is none: what it asks for, and what it makes of all that can happen there."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from subtrain.collection.engines.ray import cluster as ray
from subtrain.collection.engines.ray import engine
from subtrain.collection.engines.ray.cluster import LostError, RayCluster, RayOptions
from subtrain.collection.retries import ATTEMPTS
from subtrain.errors import CollectError, InputError, StorageError
from subtrain.studies.segments import segment_file


class Pretended:
    """A cluster in this process with room for two tasks; `lose` says which calls of a task are lost."""

    slots, nodes = 2, ("a", "b")

    def __init__(self):
        self.asked, self.most, self.cancelled, self.open = [], 0, [], {}
        self.lose = lambda where, call: False

    def share(self, value):
        return value

    def submit(self, function, *given):
        reference = len(self.asked)
        self.asked.append(given[0])
        self.open[reference] = function, given
        self.most = max(self.most, len(self.open))
        return reference

    def finished(self, references, seconds):
        return list(references)[:1]

    def get(self, reference):
        function, given = self.open.pop(reference)
        if self.lose(given[0], self.asked[: reference + 1].count(given[0])):
            raise LostError("its Ray task was lost: NodeDiedError: gone")
        return function(*given)

    def cancel(self, references):
        self.cancelled = list(references)


@pytest.fixture
def cluster(monkeypatch):
    """The pretended cluster; workers that wait for tasks are ended after the test."""
    pretended = Pretended()

    @contextmanager
    def connected(options):
        yield pretended

    monkeypatch.setattr(engine, "connected", connected)
    yield pretended
    for worker in (worker for workers in engine._idle.values() for worker in workers):
        worker.kill()
    engine._idle.clear()


def test_everything_is_trained_once_with_few_tasks_waiting(unruly_study, expected, cluster):
    study = unruly_study(models=60, heldout=5)
    done = study.collect(engine="ray", progress=False)
    assert (done.done, done.trained) == (70, 70)
    assert sorted(cluster.asked) == study.segments
    assert cluster.most == 4
    assert "2 nodes and room for 2 tasks at a time" in done.notes[0]
    assert study.read("test_margins").tobytes() == expected(study)["test_margins"].tobytes()
    assert not list((study.path / "logs").iterdir())
    assert study.collect(engine="ray", progress=False).trained == 0


def test_lost_tasks_are_tried_again(unruly_study, expected, cluster):
    study = unruly_study(models=20)
    cluster.lose = lambda where, call: call < ATTEMPTS and where[0] % 8 == 0
    assert study.collect(engine="ray", progress=False).done == study.models
    assert np.array_equal(study.read("test_margins"), expected(study)["test_margins"])


def test_a_segment_whose_tasks_are_always_lost_is_given_up(unruly_study, cluster):
    study = unruly_study(models=20)
    cluster.lose = lambda where, call: where == (4, 8)
    with pytest.raises(CollectError, match=r"4 of 26 models are missing .* models 4 to 7: its Ray task was lost"):
        study.collect(engine="ray", progress=False)
    assert cluster.asked.count((4, 8)) == ATTEMPTS
    assert study.models_done() == 22


@pytest.mark.parametrize("order", ["raise", "nan", "kill", "exit"])
def test_a_model_that_fails_reads_as_it_does_locally(unruly_study, cluster, order):
    study = unruly_study({5: order})
    with pytest.raises(CollectError) as here:
        study.collect(progress=False)
    assert study.models_done() == 15
    for path in [*(study.path / "segments").iterdir(), *(study.path / "failures").iterdir()]:
        path.unlink()
    with pytest.raises(CollectError) as there:
        study.collect(engine="ray", progress=False)
    assert study.models_done() == 15

    def plain(error):
        return str(error.value).split("; see ")[0]

    assert plain(there) == plain(here)


def test_an_interruption_cancels_what_is_under_way(unruly_study, cluster, monkeypatch):
    study = unruly_study(models=60)

    def interrupted(references, seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster, "finished", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.collect(engine="ray", progress=False)
    assert cluster.cancelled == [0, 1, 2, 3]


def test_a_folder_that_shows_commits_late_is_waited_for(unruly_study, cluster, monkeypatch):
    study = unruly_study(models=8, heldout=0)
    whole, looks = type(study.rows).whole, []

    def late(rows):
        looks.append(1)
        return whole(rows) if len(looks) > 8 else set()

    monkeypatch.setattr(type(study.rows), "whole", late)
    monkeypatch.setattr(engine, "EVERY", 0.0)
    assert study.collect(engine="ray", progress=False).done == 8
    assert len(cluster.asked) == 2


def test_a_node_that_does_not_see_the_study(unruly_study, cluster, monkeypatch):
    study = unruly_study(models=8)
    order = engine.RayExecutor._order
    monkeypatch.setattr(engine.RayExecutor, "_order", lambda self: replace(order(self), path=str(study.path / "not")))
    with pytest.raises(StorageError, match=r"does not see the study at .*not: its folder must be on storage that all"):
        study.collect(engine="ray", progress=False)


def test_room_is_counted_node_by_node():
    class Api:
        def nodes(self):
            room = ({"CPU": 8.0, "GPU": 1.0}, {"CPU": 1.0, "GPU": 4.0}, {"CPU": 64.0})
            return [{"Alive": True, "Resources": some} for some in room] + [{"Alive": False, "Resources": room[0]}]

    assert RayCluster(Api(), RayOptions(num_gpus=0.25)).slots == 4 + 1
    assert RayCluster(Api(), RayOptions(num_gpus=0.25, num_cpus=0)).slots == 4 + 16
    assert RayCluster(Api(), RayOptions()).slots == 8 + 1 + 64
    assert RayCluster(Api(), RayOptions(workers=3)).slots == 3
    assert RayCluster(Api(), RayOptions(num_gpus=8)).slots == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_cpus": -1}, "num_cpus must be 0 or more"),
        ({"num_cpus": 0}, "num_cpus and num_gpus are both 0"),
        ({"max_retries": -1}, "max_retries must be 0 or more"),
        ({"timeout": 0}, "timeout must be above 0"),
        ({"address": "ray://head:10001"}, "Ray Client"),
        ({"devices": ["cpu"]}, "engine ray has no option devices"),
    ],
)
def test_options_that_make_no_sense(unruly_study, options, said):
    with pytest.raises(InputError, match=said):
        unruly_study().collect(engine="ray", progress=False, **options)


@pytest.mark.parametrize(
    ("address", "said"), [("head", "HOST:PORT, for example"), ("127.0.0.1:9", "no Ray cluster answers at 127.0.0.1:9")]
)
def test_addresses_at_which_there_is_nobody(address, said):
    with pytest.raises(InputError, match=said):
        ray._check_answers(address)


def test_what_takes_a_task_is_said(unruly_study, cluster):
    study = unruly_study(models=4, heldout=0)
    assert study.collect(engine="ray", progress=False, address="head:1", num_gpus=0.25).slots == (
        "Ray at head:1, 1 CPU and 0.25 GPU a task"
    )
    assert (study.path / "segments" / segment_file.file_name(0, 4)).exists()


def test_a_map_keeps_order_and_cancels_only_what_is_not_over():
    cluster = Pretended()
    found = ray.RayMapper(cluster).map(divmod, [7, 8, 9, 10, 11, 12], [3])
    assert [next(found) for _ in range(2)] == [(2, 1), (2, 2)]
    found.close()
    assert (cluster.most, cluster.cancelled) == (4, [2, 3, 4])
    cluster = Pretended()
    found = ray.RayMapper(cluster).map(divmod, [7, 8], [3])
    assert [next(found), next(found)] == [(2, 1), (2, 2)]
    found.close()
    assert cluster.cancelled == []
