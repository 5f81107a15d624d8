"""A task's file is loaded as its own program would be, and the modules of its folder are its own."""

from __future__ import annotations

import builtins
import os
import sys
import textwrap

import numpy as np
import pytest

from subtrain import Design, Study
from subtrain.errors import InputError
from subtrain.tasks import load_task
from subtrain.tasks.loading import task_folder

MASKS, SEEDS = np.ones((1, 4), bool), np.uint32([0])


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """Neither modules nor paths of a test's folders outlive it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(task_folder, "_homes", {})
    monkeypatch.setattr(builtins, "__import__", builtins.__import__)
    modules = dict(sys.modules)
    yield
    for name in set(sys.modules) - set(modules):
        if getattr(sys.modules[name], "__file__", None) and "pytest-" in (sys.modules[name].__file__ or ""):
            del sys.modules[name]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


TASK = """
import subtrain as st
from data import N
def train(indices, seed):
    import data
    import late
    from package.inner import V
    return {"a": [N, data.N, late.N, V]}
task = st.tasks.function(train, 4, {"a": st.Output([4], "float32")})
"""


def folder(path, value):
    write(path / "data.py", f"from other import N\nassert N == {value}")
    write(path / "other.py", f"N = {value}")
    write(path / "late.py", f"from other import N\nassert N == {value}")
    write(path / "package" / "__init__.py", "")
    write(path / "package" / "inner.py", f"from .base import V\nassert V == {value}")
    write(path / "package" / "base.py", f"V = {value}")
    return write(path / "task.py", TASK)


def test_two_folders_keep_their_own_modules_also_those_that_are_imported_late(tmp_path):
    tasks = {value: load_task(f"{folder(tmp_path / str(value), value)}:task")[0] for value in (1, 2, 3)}
    for value in (1, 2, 3, 1, 3, 2):
        assert tasks[value].train(MASKS, SEEDS)["a"].tolist() == [[value] * 4]


def test_the_program_s_own_modules_stay_its_own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(write(tmp_path / "mine" / "data.py", "N = 7").parent)
    import data  # type: ignore[import-not-found]

    task, _ = load_task(f"{folder(tmp_path / 'theirs', 2)}:task")
    assert sys.modules["data"] is data
    assert data.N == 7
    assert task.train(MASKS, SEEDS)["a"].tolist() == [[2] * 4]
    assert sys.modules["data"] is data


def test_a_changed_module_is_loaded_again(tmp_path):
    file = folder(tmp_path, 1)
    assert load_task(f"{file}:task")[0].train(MASKS, SEEDS)["a"][0, 0] == 1
    folder(tmp_path, 25)
    assert load_task(f"{file}:task")[0].train(MASKS, SEEDS)["a"].tolist() == [[25] * 4]


PACKAGE = """
import pickle
import subtrain as st
from . import V
from ..base import V as W
class Box:
    pass
assert type(pickle.loads(pickle.dumps(Box()))) is Box
def train(indices, seed):
    from .late import V as X
    return {"a": [V, W, X, __name__ == "package.sub.task"]}
task = st.tasks.function(train, 4, {"a": st.Output([4], "float32")})
"""


def test_a_package_by_file_path(tmp_path):
    for name, text in (("", ""), ("sub/", "V = 1")):
        write(tmp_path / "src" / "package" / name / "__init__.py", text)
    write(tmp_path / "src" / "package" / "base.py", "V = 2")
    write(tmp_path / "src" / "package" / "sub" / "late.py", "V = 3")
    file = write(tmp_path / "src" / "package" / "sub" / "task.py", PACKAGE)
    assert load_task(f"{file}:task")[0].train(MASKS, SEEDS)["a"].tolist() == [[1, 2, 3, 1]]


ANY = """
import dataclasses, pickle, random
import subtrain as st
assert hasattr(random, "Random")
@dataclasses.dataclass
class Box:
    value: float
assert pickle.loads(pickle.dumps(Box(1))) == Box(1)
task = st.tasks.function(lambda indices, seed: {"a": [1]}, 4, {"a": st.Output([1], "float32")})
"""


@pytest.mark.parametrize("name", ["random.py", "my-task.py", "my task.py", "v1.2.py", "1st.py"])
def test_any_file_name(tmp_path, name):
    standard = sys.modules["random"]
    assert load_task(f"{write(tmp_path / name, ANY)}:task")[0].n == 4
    assert sys.modules["random"] is standard
    assert sys.modules["numpy"] is np


CHILDREN = """
import multiprocessing
import subtrain as st
from joblib import Parallel, delayed
from scale import scaled
class Box:
    def __init__(self, value):
        self.value = value
def part(box):
    return Box(scaled(box.value))
def train(indices, seed):
    boxes = [Box(int(i)) for i in indices]
    by_joblib = Parallel(n_jobs=2)(delayed(part)(box) for box in boxes)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        by_spawn = pool.map(part, boxes)
    return {"a": [sum(box.value for box in found) for found in (by_joblib, by_spawn)]}
task = st.tasks.function(train, 4, {"a": st.Output([2], "float32")})
"""


def test_children_of_a_worker_import_the_task_s_file(tmp_path, monkeypatch):
    write(tmp_path / "scale.py", "def scaled(v):\n    return 3 * v")
    file = write(tmp_path / "mycode.py", CHILDREN)
    monkeypatch.setenv("JOBLIB_TEMP_FOLDER", str(tmp_path))
    study = Study.create(tmp_path / "r", f"{file}:task", Design(alpha=0.75, models=1, heldout=0))
    study.collect(workers=1, progress=False)
    total = 3 * np.flatnonzero(study.masks().unpack()[0]).sum()
    assert study.read("a").tolist() == [[total, total]]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "import sys\nsys.exit(0)",
            r"task.py could not be loaded: it leaves the program, sys.exit\(0\) \(task.py, line 2",
        ),
        ("\nraise SystemExit", r"it leaves the program, sys.exit\(\) \(task.py, line 2\); keep that below if __name__"),
        ("class E(BaseException): ...\nraise E('odd')", r"could not be loaded: E: odd \(task.py, line 2\)"),
        ("import broken", r"SyntaxError: .* \(broken.py, line 2\)"),
        ("\nimport missing", r"ModuleNotFoundError: No module named 'not_there' \(missing.py, line 3\)"),
        ("import subtrain as st\nst.tasks.function(print, 1, {})", r"could not be loaded: .* \(task.py, line 2\)"),
        ("\ndef task():\n    return [][0]", r"task failed: IndexError: list index out of range \(task.py, line 3\)"),
        (
            "def task():\n    raise SystemExit(1)",
            r"task failed: it leaves the program, sys.exit\(1\) \(task.py, line 2\)",
        ),
        ("def task():\n    return 1 + ''", r"task failed: TypeError: .* \(task.py, line 2\)"),
    ],
)
def test_errors_name_file_and_line(tmp_path, code, sentence):
    write(tmp_path / "broken.py", "a = 1\ndef f(:\n    pass")
    write(tmp_path / "missing.py", "a = 1\n\nimport not_there")
    with pytest.raises(InputError, match=sentence):
        load_task(f"{write(tmp_path / 'task.py', code)}:task")


def test_interrupts_pass(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        load_task(f"{write(tmp_path / 'task.py', 'raise KeyboardInterrupt')}:task")


def test_the_file_s_own_command_line_and_no_output_of_ours(tmp_path, capfd):
    code = "import argparse, os, sys\nargparse.ArgumentParser().parse_args()\nprint('said')\nos.system('echo child')\n"
    file = write(tmp_path / "task.py", code + "assert sys.argv == [__file__]\n" + ANY)
    before = sys.argv
    load_task(f"{file}:task")
    assert sys.argv is before
    said = capfd.readouterr()
    assert said.out == ""
    assert {"said", "child"} <= set(said.err.split())


def test_leaving_the_program_fails_the_model_only(tmp_path):
    code = """
        import sys
        import subtrain as st
        def train(indices, seed):
            if 0 in indices:
                sys.exit(0)
            return {"a": [1]}
        task = st.tasks.function(train, 4, {"a": st.Output([1], "float32")})
    """
    study = Study.create(tmp_path / "r", f"{write(tmp_path / 'task.py', code)}:task", Design(models=6, heldout=0))
    with pytest.raises(Exception, match="SystemExit: 0"):
        study.collect(workers=1, progress=False)
    failed = [int(file.stem) for file in (tmp_path / "r" / "failures").glob("*.txt")]
    assert sorted(failed) == np.flatnonzero(study.masks().unpack()[:, 0]).tolist()


def test_an_edit_in_the_same_second_is_run(tmp_path):
    """Python alone would run the bytecode of the code before: size and second of the file are the same."""
    file = write(
        tmp_path / "mycode.py", "import subtrain as st\ntask = st.tasks.function(print, 4, {'a': [1]})\nV = 1\n"
    )
    for value in (1, 2):
        file.write_text(file.read_text().replace("V = 1", f"V = {value}"))
        os.utime(file, (1_700_000_000, 1_700_000_000))
        load_task(f"{file}:task")
        assert value == sys.modules["mycode"].V
