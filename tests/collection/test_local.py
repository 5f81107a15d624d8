"""The local executor when nothing goes wrong: everything is trained once, by processes that keep to themselves."""

from __future__ import annotations

import json
import os
import threading

import numpy as np
import pytest

from commands import ok
from subtrain import Output, Study
from subtrain.errors import CollectError, InputError, MismatchError
from subtrain.studies.segments import segment_file
from subtrain.studies.stored_study import segment_name
from subtrain.tasks import batch, function


def leftovers(study):
    """Files that have no business in a study at rest."""
    kept = [p for p in study.path.rglob("*") if p.is_file()]
    return [p for p in kept if p.name.endswith(".tmp") or "partial" in p.parts or "logs" in p.parts]


def test_two_workers_train_everything_once(unruly_study, expected):
    study = unruly_study(models=50, segment=8, name="a study [of ours], ü")
    done = study.collect(workers=2, progress=False)
    assert (done.done, done.total, done.trained) == (56, 56, 56)
    assert done.rate > 0
    for name, array in expected(study).items():
        assert study.read(name).tobytes() == array.tobytes()
    assert sorted(os.listdir(study.path / "segments")) == [segment_file.file_name(*where) for where in study.segments]
    assert leftovers(study) == []
    [runner] = (study.path / "runners").iterdir()
    about = json.loads(runner.read_text())
    assert (about["state"], about["trained"], about["failed"], about["workers"]) == ("finished", 56, 0, 2)
    pids = {header_of(study, where)["about"]["pid"] for where in study.segments}
    assert len(pids) <= 2
    assert os.getpid() not in pids
    again = study.collect(workers=2, progress=False)
    assert (again.done, again.trained, again.rate) == (56, 0, 0.0)


def header_of(study, where):
    return segment_file.read_segment(study.store, segment_name(where), study.outputs, [], study.identity)[1]


def test_only_what_is_missing_is_trained(unruly_study, expected):
    study = unruly_study()
    study.collect(workers=1, progress=False)
    before = {p: p.read_bytes() for p in (study.path / "segments").iterdir()}
    gone = study.path / "segments" / "000004-000007.seg"
    gone.unlink()
    longer = study.extend(models=3)
    assert longer.collect(workers=1, progress=False).trained == 4 + 3
    assert np.array_equal(longer.read("test_margins"), expected(longer)["test_margins"])
    after = {p: p.read_bytes() for p in (study.path / "segments").iterdir()}
    assert all(after[p] == data for p, data in before.items() if p != gone)


def test_a_task_without_a_name_travels_to_the_workers(make_study, tmp_path):
    scale = np.float64(3.0)
    study = make_study(
        done=False,
        task=function(lambda indices, seed: {"a": [scale * len(indices), seed % 1000]}, 9, {"a": (2,)}),
        alpha=0.7,
    )
    assert study.source is None
    study.collect(workers=2, progress=False)
    assert study.read("a")[:, 0].tolist() == [18.0] * 16
    assert study.read("a")[:, 1].tolist() == (study.design.seeds() % 1000).tolist()


CHATTY = """
import os, subprocess, sys
import numpy as np
import subtrain as st

print("hello from the module")

def train(indices, seed):
    print("hello", seed)
    print('{"event": "committed", "won": true}')
    print("to stderr", file=sys.stderr)
    os.write(1, b"raw bytes\\n")
    subprocess.run(["sh", "-c", "echo from a child; cat"], check=True)
    assert sys.stdin.read() == ""
    threads = [os.environ[f"{name}_NUM_THREADS"] for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")]
    assert threads == ["1"] * 4, threads
    return {"a": [len(indices)]}

task = st.tasks.function(train, 9, {"a": st.Output((1,), "int8")})
"""


def test_user_code_that_prints_and_reads_cannot_break_the_protocol(make_study, tmp_path):
    (tmp_path / "chatty.py").write_text(CHATTY)
    study = make_study(done=False, task=f"{tmp_path}/chatty.py:task")
    assert study.collect(workers=2, progress=False).trained == 16
    assert study.read("a").ravel().tolist() == [4] * 16
    logs = [p.read_text() for p in (study.path / "logs").iterdir()]
    assert 1 <= len(logs) <= 2
    for seed in study.design.seeds():
        assert sum(log.count(f"hello {seed}\n") for log in logs) == 1
    for words in ("hello from the module", "to stderr", "raw bytes", "from a child"):
        assert words in "".join(logs)


def test_groups_are_trained_on_by_their_members(make_study):
    groups = tuple(np.arange(20) % 5)

    def train(masks, seeds):
        return {"a": masks.astype(np.float32)}

    task = batch(train, 20, {"a": Output((20,), "bool")})
    study = make_study(done=False, task=task, groups=groups, models=4, heldout=1, alpha=0.4)
    study.collect(workers=1, progress=False)
    assert study.n == 5
    assert study.masks().n == 5
    assert np.array_equal(study.read("a"), study.masks().unpack()[:, groups])


def test_progress_and_status_are_written_while_it_runs(unruly_study, capfd, tmp_path):
    study = unruly_study(models=40, size=1)
    slow = tmp_path / "control" / "pause"
    slow.write_text("1")
    thread = threading.Thread(target=study.collect, kwargs={"workers": 2})
    thread.start()
    seen = []
    while thread.is_alive():
        thread.join(0.2)
        seen.append(json.loads(ok("status", study.path, "--json")))
        if any(one["eta_seconds"] for one in seen[-1]["runners"]):
            slow.unlink(missing_ok=True)  # it was seen under way
    assert [s["done"] for s in seen] == sorted(s["done"] for s in seen)
    running = [s["runners"][0] for s in seen if s["runners"]]
    assert running
    assert {r["pid"] for r in running} == {os.getpid()}
    assert any(r["trained"] and r["rate"] > 0 and (r["eta_seconds"] or 0) > 0 for r in running)
    assert seen[-1]["done"] == study.models or study.models_done() == study.models
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(("workers", "sentence"), [(0, "workers must be 1 or more, got 0"), (-2, "got -2")])
def test_workers_are_counted_from_one(unruly_study, workers, sentence):
    study = unruly_study()
    with pytest.raises(InputError, match=sentence):
        study.collect(workers=workers)
    assert os.listdir(study.path) == ["study.json"]


def test_a_task_that_changed_is_refused_before_anything_starts(unruly_study, make_study, tmp_path):
    code = (tmp_path / "world.py", "from worlds import linear as make\n")
    code[0].write_text(code[1])
    study = make_study(done=False, task=f"{code[0]}:make")
    code[0].write_text("from worlds import linear\ndef make():\n    return linear(noise=1.0)\n")
    with pytest.raises(MismatchError, match="its data, code or settings have changed"):
        Study.open(study.path).collect(workers=1, progress=False)
    assert os.listdir(study.path) == ["study.json"]


def test_a_task_that_only_works_here_stops_with_a_sentence(make_study, tmp_path):
    path = tmp_path / "shy.py"
    path.write_text(
        "import os, worlds\n"
        f"if os.getpid() != {os.getpid()}:\n    raise RuntimeError('not in a worker')\n"
        "task = worlds.linear()\n"
    )
    study = make_study(done=False, task=f"{path}:task")
    with pytest.raises(CollectError, match=r"shy\.py could not be loaded: RuntimeError: not in a worker"):
        study.collect(workers=2, progress=False)
    assert study.models_done() == 0
