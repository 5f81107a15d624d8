"""How many workers on which devices, as a pure function of the machine and of what the user says."""

from __future__ import annotations

import pytest

from subtrain.collection.engines.local.device_memory import Remedy, Shortage
from subtrain.collection.engines.local.slots import pick_slots
from subtrain.collection.tally import Tally, known_worker_bytes, runner_file
from subtrain.errors import InputError
from subtrain.store.folder import Folder

GPUS = ("cuda:0", "cuda:1")
GB = 10**9


@pytest.mark.parametrize(
    ("given", "devices", "said"),
    [
        ({}, ["cpu"] * 8, "8 workers x 1 thread on 8 cores"),
        ({"workers": 3}, ["cpu"] * 3, "3 workers x 1 thread on 8 cores"),
        ({"workers": 20}, ["cpu"] * 20, "20 workers x 1 thread on 8 cores"),
        ({"per_device": 1}, ["cpu"], "1 worker x 1 thread on 8 cores"),
        ({"segments": 1}, ["cpu"], "1 worker x 1 thread on 8 cores, as only 1 segment is missing"),
        ({"segments": 3, "workers": 5}, ["cpu"] * 3, "as only 3 segments are missing"),
        ({"gpus": GPUS}, ["cpu"] * 8, "8 workers x 1 thread on 8 cores"),
        ({"gpus": GPUS, "wants": "cpu"}, ["cpu"] * 8, "8 workers x 1 thread on 8 cores"),
        ({"wants": "cuda"}, ["cpu"] * 8, "8 workers x 1 thread on 8 cores"),
        ({"gpus": GPUS, "wants": "cuda"}, ["cuda:0", "cuda:1"], "2 workers on cuda:0, cuda:1"),
        ({"gpus": GPUS, "wants": "cuda", "per_device": 2}, [*GPUS, *GPUS], "4 workers on cuda:0, cuda:1 (2 each)"),
        ({"gpus": GPUS, "wants": "cuda", "workers": 3}, [*GPUS, "cuda:0"], "3 workers on cuda:0 (2), cuda:1 (1)"),
        ({"devices": ["cuda:1"]}, ["cuda:1"], "1 worker on cuda:1"),
        ({"devices": ["cuda:1", "cuda:1"], "per_device": 2}, ["cuda:1"] * 2, "2 workers on cuda:1"),
        ({"devices": ["cpu"], "gpus": GPUS, "wants": "cuda"}, ["cpu"] * 8, "8 workers x 1 thread on 8 cores"),
        ({"worker_bytes": 3 * GB, "free_bytes": 10 * GB}, ["cpu"] * 3, "took up to 3 GB of the 10 GB of memory"),
        ({"worker_bytes": 30 * GB, "free_bytes": 10 * GB}, ["cpu"], "as one took up to 30 GB"),
        ({"worker_bytes": 3 * GB, "free_bytes": 10 * GB, "workers": 5}, ["cpu"] * 5, "5 workers x 1 thread"),
        ({"worker_bytes": 1 * GB, "free_bytes": 10 * GB}, ["cpu"] * 8, "8 workers x 1 thread on 8 cores"),
        ({"worker_bytes": 3 * GB}, ["cpu"] * 8, "8 workers x 1 thread on 8 cores"),
    ],
)
def test_picked_and_said(given, devices, said):
    slots = pick_slots(8, **({"segments": 100} | given))
    assert list(slots.devices) == devices
    assert len(slots) == len(devices)
    assert said in str(slots)
    assert slots.told == ("devices" in given or "wants" in given)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"workers": 0}, "workers must be 1 or more, got 0"),
        ({"per_device": -1}, "per_device must be 1 or more, got -1"),
        ({"devices": []}, "devices must name at least one"),
        ({"devices": ["cuda:0", ""]}, "devices must name at least one"),
        ({"workers": 2, "per_device": 2}, "not both"),
    ],
)
def test_what_cannot_be(given, sentence):
    with pytest.raises(InputError, match=sentence):
        pick_slots(8, 10, **given)


def test_a_device_that_the_task_must_have():
    assert str(pick_slots(8, 10, wants="cuda", needs="cuda", gpus=GPUS)) == "2 workers on cuda:0, cuda:1"
    assert str(pick_slots(8, 10, wants="cuda", needs="cuda:1", gpus=GPUS)) == "1 worker on cuda:1"
    assert pick_slots(8, 10, wants="cuda", needs="cuda", devices=["cpu"], workers=1).devices == ("cpu",), "as said"
    assert pick_slots(8, 10, wants="cuda").devices == ("cpu",) * 8, "one that would do without"
    for needs in ("cuda", "cuda:2"):
        with pytest.raises(InputError, match=f"asks for device='{needs}', and torch sees no such device here"):
            pick_slots(8, 10, wants="cuda", needs=needs, gpus=GPUS if ":" in needs else ())


def test_memory_of_earlier_workers_is_remembered(tmp_path):
    store = Folder(tmp_path)
    assert known_worker_bytes(store) is None
    tally = Tally(store, runner_file(), 10, 0, 2)
    tally.add(3, 500)
    tally.add(3, 400)
    tally.write()
    (tmp_path / "runners" / "elsewhere-1.json").write_text('{"worker_bytes": 900}')
    for name in ("torn", "odd"):
        (tmp_path / runner_file()).with_suffix(f".{name}.json").write_text("[" if name == "torn" else "[]")
    assert known_worker_bytes(store) == 500


A, B = (0, 4), (4, 8)


def test_a_device_gives_up_one_worker_at_a_time_down_to_one():
    shortage = Shortage(["cuda:0", "cuda:0", "cuda:0", "cuda:1"])
    assert shortage.alone("cuda:1")
    assert not shortage.alone("cuda:0")
    remedies = [shortage.ran_out(where, "cuda:0") for where in (A, B, A)]
    assert remedies == [Remedy.RETIRE, Remedy.RETIRE, Remedy.AGAIN]
    assert dict(shortage.slots) == {"cuda:0": 1, "cuda:1": 1}
    assert shortage.alone("cuda:0")


def test_a_segment_that_runs_out_again_where_others_go_through_waits_for_its_turn_alone():
    shortage = Shortage(["cuda:0"] * 4)
    assert shortage.ran_out(A, "cuda:0") is Remedy.RETIRE
    shortage.committed += 1
    assert shortage.ran_out(A, "cuda:0") is Remedy.ALONE
    assert shortage.slots["cuda:0"] == 3
    assert shortage.ran_out(B, "cuda:0") is Remedy.RETIRE


def test_a_worker_that_leaves_makes_the_other_the_last():
    shortage = Shortage(["cpu", "cpu"])
    shortage.leave("cpu")
    assert shortage.ran_out(A, "cpu") is Remedy.AGAIN
    assert shortage.alone("cpu")
