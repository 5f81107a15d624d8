"""Tasks by name: modules, files, parameters, and what is said when there is none."""

from __future__ import annotations

import os
import subprocess
import sys
import types

import numpy as np
import pytest

from subtrain.errors import InputError
from subtrain.tasks import importable, load_task
from subtrain.tasks.base import BatchTask
from subtrain.tasks.loading.load import parse_params

CODE = """
import subtrain as st
from helper_of_task import SCALE

def make(targets=2, **rest):
    if rest:
        raise TypeError(f"no {sorted(rest)}")
    return st.tasks.function(lambda indices, seed: {"a": [SCALE] * targets}, 4, {"a": [targets]})

task = make()
class Box:
    task = task
nothing = 3
def no_task():
    return "text"
class Plain:
    n, outputs, fingerprint = 4, {"a": st.Output((1,))}, "x"
    def __init__(self, n=4):
        self.n = n
    def train(self, masks, seeds):
        return {"a": masks[:, :1]}
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "helper_of_task.py").write_text("SCALE = 7.0\n")
    path = tmp_path / "my_task_code.py"
    path.write_text(CODE)
    yield path
    for name in ("helper_of_task", "my_task_code", "subtrain_task_my_task_code"):
        sys.modules.pop(name, None)


def test_by_file_with_its_neighbours_and_parameters(file, monkeypatch):
    task, source = load_task(f"{file}:make", {"targets": 3})
    assert task.outputs["a"].shape == (3,)
    assert (source.name, source.params, source.file) == (f"{file}:make", {"targets": 3}, str(file))
    monkeypatch.chdir(file.parent)
    relative, source = load_task(f"{file.name}:task")
    assert source.name == f"{file.name}:task", "as it was written"
    assert source.place == f"{file}:task", "a worker elsewhere must find it"
    assert relative.outputs["a"].shape == (2,)
    assert load_task(f"{file.name}:Box.task")[0].n == 4


def test_by_module_in_the_current_folder(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    task, source = load_task("my_task_code:make")
    assert task.n == 4
    assert source.name == "my_task_code:make"


def test_any_object_with_the_four_members_is_a_task(file):
    assert load_task(f"{file}:Plain", {"n": 9})[0].n == 9


def test_built_in_names():
    task, source = load_task("tabular", {"data": "iris"})
    assert task.n == 105
    assert source.name == "subtrain.tasks.tabular:tabular"


@pytest.mark.parametrize(
    ("name", "params", "sentence"),
    [
        ("my_task_code", {}, "named module:name, file.py:name or .*digits.*tabular; got 'my_task_code'"),
        (":task", {}, "named module:name"),
        ("{file}:", {}, "named module:name"),
        ("no.such.module:task", {}, "cannot import the task's module 'no.such.module': ModuleNotFoundError"),
        ("nosuchmodule:task", {}, "No module named 'nosuchmodule'; put the folder that holds it on PYTHONPATH"),
        ("{folder}/other.py:task", {}, "there is no file .*other.py to load the task from"),
        ("{file}:missing", {}, "my_task_code.py has nothing named 'missing'"),
        ("{file}:nothing", {}, "is a int, neither a task nor a function that returns one"),
        ("{file}:no_task", {}, r"returned a str, not a task \(n, outputs, fingerprint, train\)"),
        ("{file}:make", {"speed": 1}, r"could not be called with parameters \{'speed': 1\}: no \['speed'\]"),
        ("{file}:task", {"speed": 1}, "is a task already and takes no parameters, got speed"),
    ],
)
def test_names_that_lead_nowhere(file, name, params, sentence):
    with pytest.raises(InputError, match=sentence):
        load_task(name.format(file=file, folder=file.parent), params)


@pytest.mark.parametrize(
    ("code", "kind"), [("def (", "SyntaxError"), ("1 / 0", "ZeroDivisionError"), ("import nothing_at_all", "ModuleNot")]
)
def test_code_that_cannot_be_loaded(tmp_path, monkeypatch, code, kind):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad_task_code.py").write_text(code)
    with pytest.raises(InputError, match=f"bad_task_code.py could not be loaded: {kind}"):
        load_task("bad_task_code.py:task")
    with pytest.raises(InputError, match=f"cannot import the task's module 'bad_task_code': {kind}"):
        load_task("bad_task_code:task")
    assert "subtrain_task_bad_task_code" not in sys.modules


def test_parameters_are_json_or_text():
    assert parse_params(["epochs=5", "init=own", "widths=[64, 32]", "lr=1e-2", "flag=true", "name=", "a=b=c"]) == {
        "epochs": 5,
        "init": "own",
        "widths": [64, 32],
        "lr": 0.01,
        "flag": True,
        "name": "",
        "a": "b=c",
    }
    for bad in ("epochs", "=5", "two words=3"):
        with pytest.raises(InputError, match="a parameter must be written key=value"):
            parse_params([bad])


def test_importable_tasks_know_how_to_be_made_again():
    def local(n=4):
        return made(n)

    assert importable(made)(n=5).source.to_json() == {"name": f"{__name__}:made", "params": {"n": 5}}
    assert importable(made)(5).source is None, "positional arguments have no names to be given by"
    assert importable(made)(n=np.int64(5)).source is None, "what JSON cannot write cannot be kept"
    assert importable(local)(n=5).source is None, "nobody else finds a function inside a function"
    script = importable(types.FunctionType(made.__code__, made.__globals__ | {"__name__": "__main__"}))
    assert script(n=5).source is None, "nor one of the script that runs"


def made(n):
    return BatchTask(lambda masks, seeds: {}, n, {}, "print")


PATHS = """
import sys
from subtrain import Design, Study
if len(sys.argv) > 3:
    sys.path.insert(0, sys.argv[3])
study = Study.create(sys.argv[1], "onpath:make", Design(models=4, heldout=0)) if sys.argv[2] == "make" else None
print(Study.open(sys.argv[1]).collect(workers=1, progress=False).done)
"""


@pytest.mark.parametrize("how", ["PYTHONPATH", "sys.path"])
def test_workers_find_modules_where_the_process_that_starts_them_does(tmp_path, how):
    for folder in ("lib", "elsewhere"):
        (tmp_path / folder).mkdir()
    (tmp_path / "lib" / "onhelper.py").write_text("def f(i): return float(i.sum())\n")
    (tmp_path / "lib" / "onpath.py").write_text(
        "import subtrain as st\nfrom onhelper import f\n"
        "def train(i, seed): return {'a': [f(i)]}\n"
        "@st.task_factory\ndef make(): return st.tasks.function(train, 10, {'a': [1]})\n"
    )
    lib = str(tmp_path / "lib")
    there = {"PYTHONPATH": os.pathsep.join(filter(None, [lib, os.environ.get("PYTHONPATH")]))}
    words = [sys.executable, "-c", PATHS, str(tmp_path / "s"), "make", *([] if how == "PYTHONPATH" else [lib])]
    env = {**os.environ, **(there if how == "PYTHONPATH" else {})}
    done = subprocess.run(words, cwd=tmp_path / "elsewhere", env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "4\n", done.stderr
