"""Arrays that are mapped from files travel by name, and what training prints never fills a disk."""

import os

import cloudpickle
import numpy as np
import pytest

import subtrain as st
from subtrain.collection.workers import bounded_logs
from subtrain.collection.workers.memory_maps import dumps
from subtrain.collection.workers.task_message import pack

ROWS = np.arange(1_000_000, dtype=np.float32).reshape(1000, 1000)


@pytest.fixture
def file(tmp_path):
    np.save(tmp_path / "big.npy", ROWS)
    return tmp_path / "big.npy"


VIEWS = {
    "map": lambda a: a,
    "view": np.asarray,
    "rows": lambda a: np.asarray(a)[100:900],
    "transposed": lambda a: a.T,
    "steps": lambda a: a[::2, 1:],
}


@pytest.mark.parametrize("mode", ["r", "r+"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_map_travels_by_name(file, view, mode):
    array = VIEWS[view](np.load(file, mmap_mode=mode))
    message = dumps({"x": array})
    assert len(message) < 1000
    found = cloudpickle.loads(message)["x"]
    assert np.array_equal(found, array)
    assert isinstance(found, np.memmap) == isinstance(array, np.memmap)
    if mode == "r+":
        found[0, 0] = -1
        assert array[0, 0] != -1, "a process changes its own copy, as it would one that was sent"


def test_what_is_not_in_a_file_travels_by_value(file):
    array = np.load(file, mmap_mode="r")
    own = np.load(file, mmap_mode="c")
    own[3, 3] = 7
    for by_value in (own, array[::-1], ROWS, array * 2):
        assert np.array_equal(cloudpickle.loads(dumps(by_value)), by_value)
    np.save(file.with_name("other.npy"), ROWS + 1)
    os.replace(file.with_name("other.npy"), file)
    assert np.array_equal(cloudpickle.loads(dumps(array)), ROWS), "the file is another by now"
    file.unlink()
    assert np.array_equal(cloudpickle.loads(dumps(array)), ROWS)


def test_a_task_with_a_map_is_small_here_and_whole_elsewhere(file):
    x = np.load(file, mmap_mode="r")
    task = st.tasks.function(lambda indices, seed: {"a": [x[indices, 0].sum()]}, n=1000, outputs={"a": (1,)})
    assert len(pack(task)["task"]) < 20_000
    assert len(pack(task, here=False)["task"]) > x.nbytes


def test_a_worker_reads_the_map(file, tmp_path):
    x = np.load(file, mmap_mode="r")
    task = st.tasks.function(
        lambda indices, seed: {"a": [x[indices, 0].sum()]}, n=1000, outputs={"a": st.Output([1], "float64")}
    )
    study = st.Study.create(tmp_path / "r", task, st.Design(models=2, heldout=0))
    study.collect(workers=1, progress=False)
    exact = [ROWS[mask, 0].sum() for mask in study.masks().unpack()]
    assert np.array_equal(study.read("a")[:, 0], exact)


def test_a_log_keeps_its_beginning_and_its_end(tmp_path):
    path = tmp_path / "log"
    with open(path, "ab", buffering=0) as log:
        log.write(b"first words\n" + b"x" * 100_000 + b"last words\n")
        bounded_logs.bound(path, 4000)
        assert path.stat().st_size < 2200
        log.write(b"and more\n")
    said = path.read_text()
    assert said.startswith("first words\n")
    assert "bytes left out" in said
    assert said.endswith("last words\nand more\n")
    before = path.read_bytes()
    bounded_logs.bound(path, 4000)
    assert path.read_bytes() == before
    bounded_logs.bound(tmp_path / "none", 4000)


def test_a_training_that_prints_without_end(make_study, monkeypatch, tmp_path):
    monkeypatch.setattr(bounded_logs, "MOST", 1 << 20)
    monkeypatch.setattr(bounded_logs.bound, "__defaults__", (1 << 20,))

    def train(indices, seed):
        import time

        for _ in range(10):
            print("x" * 1_000_000)
            time.sleep(0.05)
        time.sleep(0.5)
        return {"a": [1.0 * len(indices)]}

    task = st.tasks.function(train, n=20, outputs={"a": (1,)})
    study = st.Study.create(tmp_path / "r", task, st.Design(models=2, heldout=0))
    study.collect(workers=1, progress=False)
    [log] = (study.path / "logs").iterdir()
    assert log.stat().st_size < 5_000_000
    assert "bytes left out" in log.read_text()
