"""Models that fail or crash: found, named, left out, trained later; everything else is finished and kept."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

import worlds
from subtrain import Design, Study
from subtrain.collection import train_segment
from subtrain.collection.engines.local import executor
from subtrain.collection.retries import Ledger
from subtrain.collection.status import status
from subtrain.collection.tally import Tally
from subtrain.collection.workers import checkpoint
from subtrain.collection.workers.train_segment import ModelsFailedError, record_failure
from subtrain.errors import CollectError, CorruptError, StorageError
from subtrain.tasks import batch


def failing(study, workers=2):
    with pytest.raises(CollectError) as caught:
        study.collect(workers=workers, progress=False)
    return str(caught.value)


def failure_text(study, model):
    return (study.path / "failures" / f"{model:06d}.txt").read_text()


def usable(study, expected, missing):
    there = [row for row in range(study.models) if row not in missing]
    assert study.done().tolist() == there
    for name, array in expected(study).items():
        assert study.read(name).tobytes() == array[there].tobytes()


ORDERS = {
    "raise": "ValueError: told to fail",
    "nan": "output test_margins of model 5 is nan at target 1",
    "exit": "its worker process died with exit code 3; see .*/logs/worker-",
    "kill": r"its worker process died with signal SIGKILL \(out of memory\?\)",
    "quit": "SystemExit: told to quit",
}


@pytest.mark.parametrize("order", ORDERS)
def test_one_bad_model_is_named_and_left_out_until_its_cause_is_gone(unruly_study, expected, obedient, order):
    study = unruly_study({5: order})
    said = failing(study)
    assert said.startswith("1 of 16 models are missing after repeated failures, everything else is kept: model 5: ")
    assert failed_as(order, said)
    assert f"see {study.path}/failures/000005.txt" in said
    text = failure_text(study, 5)
    assert f"model 5, seed {study.design.seeds([5])[0]}, segment 000004-000007.seg" in text
    assert failed_as(order, text)
    if order == "raise":
        assert 'raise ValueError("told to fail' in text, "the traceback"
    usable(study, expected, {5})
    now = status(study)
    assert [(f.model, f.file) for f in now.failed] == [(5, f"{study.path}/failures/000005.txt")]
    assert (now.done, now.missing) == (15, 1)
    segments = {p: p.read_bytes() for p in (study.path / "segments").iterdir()}
    assert sorted(p.name for p in segments if p.suffix == ".gaps") == ["000004-000007.gaps"]
    obedient()
    done = study.collect(workers=2, progress=False)
    assert (done.done, done.trained) == (16, 1)
    usable(study, expected, set())
    assert all(p.read_bytes() == data for p, data in segments.items())
    assert status(study).failed == ()
    assert os.listdir(study.path / "failures") == []
    assert list((study.path / "partial").rglob("*")) == []


def failed_as(order, text):
    return re.search(ORDERS[order], text)


def test_only_the_failed_model_is_trained_again(unruly_study, obedient, expected):
    study = unruly_study({5: "raise"})
    failing(study)
    obedient()
    control = study.source.params["control"]
    for row in (4, 6, 7):
        Path(control, str(study.design.seeds([row])[0])).write_text("raise")
    study.collect(workers=1, progress=False)
    usable(study, expected, set())


@pytest.mark.parametrize("order", ["raise", "kill"])
def test_several_bad_models_in_one_segment(unruly_study, expected, order):
    study = unruly_study({4: order, 6: order}, models=16, segment=8)
    said = failing(study)
    assert "2 of 22 models are missing" in said
    assert sorted(f.model for f in status(study).failed) == [4, 6]
    usable(study, expected, {4, 6})


def test_a_whole_segment_of_crashes_is_given_up(unruly_study, expected):
    study = unruly_study(dict.fromkeys(range(4, 8), "exit"))
    said = failing(study)
    assert "4 of 16 models are missing" in said
    usable(study, expected, {4, 5, 6, 7})


def test_failures_in_every_segment_do_not_stop_the_rest(unruly_study, expected):
    bad = range(0, 40, 4)
    study = unruly_study(dict.fromkeys(bad, "raise"), models=40)
    said = failing(study)
    assert said.startswith("10 of 46 models are missing")
    assert said.count("told to fail") == 3
    assert f"; and 7 more segments, see subtrain status {study.path}" in said
    usable(study, expected, set(bad))


def test_failures_that_stay_do_not_stop_what_comes_after(unruly_study, expected, monkeypatch):
    monkeypatch.setattr(executor, "HOPELESS", 2)
    study = unruly_study(dict.fromkeys(range(0, 32, 4), "raise"), models=32, heldout=0)
    failing(study)
    longer = study.extend(models=8)
    assert failing(longer, workers=1).startswith("8 of 40 models are missing")
    usable(longer, expected, set(range(0, 32, 4)))
    [runner] = [json.loads(p.read_text()) for p in (study.path / "runners").iterdir()]
    assert (runner["done"], runner["trained"], runner["failed"], runner["state"]) == (24, 8, 8, "failed")


def test_when_nothing_works_it_gives_up_early(unruly_study):
    study = unruly_study(dict.fromkeys(range(206), "raise"), models=200)
    said = failing(study)
    assert said.startswith("224 of 224 models are missing: all 8 trainings so far failed alike, so no more are tried: ")
    assert re.search(r"ValueError: told to fail \(\w+\.py, line \d+\); see .*/failures/\d+\.txt$", said)
    assert 8 <= len(os.listdir(study.path / "failures")) <= 8 + 2, "each of two workers may be at one more"
    assert study.models_done() == 0


@pytest.mark.parametrize("order", ["exit", "nan"])
def test_when_each_model_crashes_or_diverges_it_gives_up_early_too(unruly_study, order):
    study = unruly_study(dict.fromkeys(range(46), order), models=40)
    said = failing(study)
    assert said.startswith("46 of 46 models are missing: all 8 trainings so far failed alike, so no more are tried: ")
    assert {"exit": "died with exit code 3; see ", "nan": " is nan at target 1; see "}[order] in said
    assert 1 <= len(os.listdir(study.path / "failures")) <= 8 + 2
    assert study.models_done() == 0


def test_failures_of_several_kinds_are_tried_again_each_by_itself(unruly_study):
    study = unruly_study({row: ("raise", "nan")[row % 2] for row in range(14)}, models=14, heldout=0)
    assert failing(study).startswith("14 of 14 models are missing after repeated failures")
    assert len(os.listdir(study.path / "failures")) == 14


def test_a_study_that_has_a_model_tries_all_others_however_alike_they_fail(unruly_study, expected, obedient):
    study = unruly_study(dict.fromkeys(range(1, 16), "raise"), models=16, heldout=0, segment=16)
    assert failing(study, workers=1).startswith("15 of 16 models are missing after repeated failures")
    usable(study, expected, set(range(1, 16)))
    assert failing(study, workers=1).startswith("15 of 16 models are missing after repeated failures")


def test_a_crash_in_every_segment_does_not_stop_the_rest(unruly_study, expected, monkeypatch):
    monkeypatch.setattr(executor, "HOPELESS", 2)
    bad = range(1, 8, 2)  # fewer than ALIKE, for all may crash before the first of them is tried again
    study = unruly_study(dict.fromkeys(bad, "exit"), models=8, heldout=0, segment=2)
    said = failing(study)
    assert said.startswith("4 of 8 models are missing")
    usable(study, expected, set(bad))


@pytest.mark.parametrize("size", [1, 4])
def test_undeclared_outputs_stop_everything_at_once(unruly_study, size):
    study = unruly_study(dict.fromkeys(range(16), "shape"), size=size)
    said = failing(study)
    assert said in {f"output test_margins of model {m} has shape [2], declared [3]" for m in range(16)}
    assert study.store.names("segments") == []
    assert list((study.path / "partial").rglob("*.seg")) == []


def test_a_task_that_returns_no_dict_stops_everything_at_once(make_study):
    study = make_study(done=False, task=batch(lambda masks, seeds: [masks], 20, {"a": (20,)}))
    assert failing(study) == "training must return a dict of arrays, it returned list"
    assert study.models_done() == 0


def test_a_killed_worker_is_replaced_and_nothing_is_lost(unruly_study, expected, tmp_path):
    """The order to die is taken back by whoever obeys it: a crash that does not come again."""
    path = tmp_path / "once.py"
    path.write_text(
        "import os\nfrom pathlib import Path\nfrom worlds import linear\n"
        "def make(mark):\n"
        "    plain = linear(noise=0.5)\n"
        "    def train(masks, seeds):\n"
        "        try:\n            Path(mark).unlink()\n        except FileNotFoundError:\n"
        "            return plain.train(masks, seeds)\n"
        "        os.kill(os.getpid(), 9)\n"
        "    from subtrain.tasks import batch\n"
        "    return batch(train, plain.n, plain.outputs, 4)\n"
    )
    mark = tmp_path / "mark"
    mark.touch()
    study = Study.create(tmp_path / "s", f"{path}:make", Design(models=10, heldout=3), params={"mark": str(mark)})
    assert study.collect(workers=2, progress=False).done == 16
    usable(study, expected, set())
    assert status(study).failed == ()


def test_a_damaged_gaps_file_is_named_and_never_trained_over(unruly_study, obedient):
    study = unruly_study({5: "raise"})
    failing(study)
    obedient()
    path = study.path / "segments" / "000004-000007.gaps"
    path.write_bytes(path.read_bytes()[:-1])
    for action in (study.models_done, lambda: study.collect(workers=1, progress=False), lambda: status(study)):
        with pytest.raises(CorruptError, match=r"000004-000007\.gaps is damaged"):
            action()


def test_damage_in_the_cache_only_costs_time(unruly_study, expected, obedient):
    study = unruly_study({5: "raise"})
    (study.path / "segments").mkdir()
    with pytest.raises(ModelsFailedError):
        train_segment(study, (4, 8))
    files = sorted(p for p in (study.path / "partial").rglob("*") if p.is_file())
    assert [f.name for f in files] == ["000004-000004.seg", "000006-000007.seg"]
    files[0].write_bytes(files[0].read_bytes()[:50])
    assert sorted(checkpoint.load(study, (4, 8))) == [6, 7]
    obedient()
    assert train_segment(study, (4, 8))
    assert not train_segment(study, (4, 8)), "it is there already"
    assert np.array_equal(study.read("test_margins"), expected(study)["test_margins"][4:8])


def study_on(disk, tmp_path, **design):
    params = {"control": str(tmp_path)}
    return Study.create(disk / "s", f"{worlds.__file__}:unruly", Design(**design), params=params, segment=2)


def test_a_full_disk_stops_the_work_and_can_go_on(tiny_disk, tmp_path, expected):
    study = study_on(tiny_disk, tmp_path, models=200, heldout=0)
    with pytest.raises(StorageError, match=r"no space left on the disk of .*; nothing incomplete was kept"):
        study.collect(workers=2, progress=False)
    there = study.done()
    assert 0 < there.size < 200
    assert np.array_equal(study.read("test_margins"), expected(study)["test_margins"][there])
    assert [p for p in study.path.rglob("*") if p.name.endswith(".tmp")] == []
    subprocess.run(["mount", "-o", "remount,size=5m", tiny_disk], check=True)
    assert study.collect(workers=2, progress=False).done == 218
    assert np.array_equal(study.read("test_margins"), expected(study)["test_margins"])


def test_a_disk_that_can_only_be_read(tiny_disk, tmp_path, expected):
    study = study_on(tiny_disk, tmp_path, models=6, heldout=0)
    study.collect(workers=1, progress=False)
    longer = study.extend(models=2)
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    with pytest.raises(StorageError, match="Read-only file system"):
        longer.collect(workers=1, progress=False)
    with pytest.raises(StorageError, match="Read-only file system"):
        Study.create(tiny_disk / "other", worlds.linear(), Design(models=4))
    with pytest.raises(StorageError, match="Read-only file system"):
        longer.extend(models=1)
    again = Study.open(study.path)
    assert np.array_equal(again.read("test_margins"), expected(study)["test_margins"])
    assert status(again).missing == 2


def test_a_full_disk_is_no_failure_of_the_model(unruly_study, monkeypatch):
    study = unruly_study()
    (study.path / "segments").mkdir()

    def full(*args):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(StorageError, match="no space left"):
        train_segment(study, (0, 4))
    assert not (study.path / "failures").exists()
    assert os.listdir(study.path / "segments") == []


def test_segments_trained_elsewhere_are_given_up_together_once_all_that_was_tried_failed_alike(unruly_study):
    study = unruly_study(models=200)
    ledger = Ledger(study, study.segments, Tally(study.store, "runners/x.json", 206, 0))
    for number, where in enumerate(study.segments[:2]):
        assert not ledger.hopeless
        for row in range(*where):
            record_failure(study, where, row, 7, f"ValueError: no /tmp/tmpab{row}xyz/data.npy", "")
        assert not ledger.failed(where, "its job ended", final=True), number
    assert ledger.hopeless
    with pytest.raises(
        CollectError, match=r"^224 of 224 models are missing: all 8 .*: no /tmp/tmpab0xyz/data.npy; see"
    ):
        ledger.over()


def test_segments_trained_elsewhere_that_failed_for_several_reasons_are_tried_on(unruly_study):
    study = unruly_study(models=200)
    ledger = Ledger(study, study.segments, Tally(study.store, "runners/x.json", 206, 0))
    for where in study.segments[:2]:
        for row in range(*where):
            record_failure(study, where, row, 7, ("ValueError: a", "ValueError: b")[row % 2], "")
        ledger.failed(where, "its job ended", final=True)
    assert not ledger.hopeless
    assert [f.start for f in ledger.over()] == [0, 4]
