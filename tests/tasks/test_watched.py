"""A study notices every edit of what its task's code names, says which part it was, and nothing else looks changed."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import subprocess
import sys
import textwrap

import cloudpickle
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from subtrain import Design, Output, Study
from subtrain.errors import InputError, MismatchError
from subtrain.store.seal import SEAL, sealed
from subtrain.studies.manifest import UNSEALED
from subtrain.tasks import batch, function, load_task, mlp, ridge_head, sklearn
from subtrain.tasks.watching.walk import Walk
from subtrain.tasks.watching.watched import SCHEME, changes, other_versions, packages_of, texts_of
from subtrain.trainers.kit.sgd import Sgd

HEAD = "import numpy as np\nimport subtrain as st\n"
TASK = 'task = st.tasks.function(train, 4, {"a": st.Output([1], "float32")})\n'


def code(text, value="v(indices)"):
    """A task's file: this, and a function that returns this value."""
    return HEAD + textwrap.dedent(text) + f'\ndef train(indices, seed):\n    return {{"a": [{value}]}}\n' + TASK


WRITTEN = itertools.count(1)


def write(folder, files):
    """Python takes a module's bytecode for fresh if neither size nor second of its file changed: no edit shares one."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        then = 1_700_000_000 + next(WRITTEN)
        os.utime(folder / name, (then, then))


@pytest.fixture(autouse=True)
def paths(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


DECORATED = """
import functools
def d(f):
    @functools.wraps(f)
    def w(i): return f(i)
    return w
@d
def v(i): return 1
"""
# What each holds, the edit, and what is named as changed.
EDITS = {
    "constant": ("K = 3\ndef v(i): return K", "K = 3", "K = 4", "K"),
    "array": ("x = np.arange(5.0)\ndef v(i): return x[i].sum()", "(5.0)", "(5.0) * 2", "x"),
    "helper": ("def h(i): return i.sum()\ndef v(i): return h(i)", "sum", "max", "h"),
    "far helper": ("def g(): return 1\ndef h(): return g()\ndef v(i): return [h() for _ in i]", "1", "2", "g"),
    "method": ("class A:\n  def f(self): return 1\ndef v(i): return A().f()", "1", "2", "A"),
    "class attribute": ("class A:\n  k = 1\ndef v(i): return A.k", "1", "2", "A"),
    "attribute set later": ("class A: ...\nA.k = 1\ndef v(i): return A.k", "1", "2", "A"),
    "base": ("class B:\n  k = 1\nclass A(B): ...\ndef v(i): return A.k", "1", "2", "B"),
    "metaclass": ("class M(type):\n  k = 1\nclass A(metaclass=M): ...\ndef v(i): return A.k", "1", "2", "M"),
    "property": (
        "def h(): return 1\nclass A:\n  @property\n  def f(self): return h()\ndef v(i): return A().f",
        "1",
        "2",
        "h",
    ),
    "default": ("K = 3\ndef v(i, k=K): return k", "3", "4", "v"),
    "keyword default": ("def h(): return 1\ndef v(i, *, k=h): return k()", "1", "2", "h"),
    "closure": ("class O: k = 1\ndef m(o):\n  return lambda i: o.k\nv = m(O())", "k = 1", "k = 2", "O"),
    "object": (
        "class O:\n  def __init__(self, k): self.k = k\n  def __call__(self, i): return self.k\nv = O(1)",
        "O(1)",
        "O(2)",
        "v",
    ),
    "bound method": (
        "class O:\n  def __init__(self, k): self.k = k\n  def f(self, i): return self.k\nv = O(1).f",
        "O(1)",
        "O(2)",
        "v",
    ),
    "partial": (
        "from functools import partial\nclass O: k = 1\nv = partial(lambda o, i: o.k, O())",
        "k = 1",
        "k = 2",
        "O",
    ),
    "function attribute": ("def v(i): return v.k\nv.k = 1", "v.k = 1", "v.k = 2", "v"),
    "decorated": (DECORATED, "return 1", "return 2", "v"),
    "cached": ("import functools\n@functools.lru_cache\ndef h(): return 1\ndef v(i): return h()", "1", "2", "h"),
    "compiled": ("import numba\nK = 1\n@numba.njit\ndef h(): return K\ndef v(i): return h()", "K = 1", "K = 2", "K"),
    "vectorized": ("h = np.frompyfunc(lambda i: 1, 1, 1)\ndef v(i): return h(0)", "i: 1", "i: 2", "h"),
    "one of two lambdas": ("u, v = (lambda i: 0), (lambda i: 1)", ": 1", ": 2", "<lambda>"),
    "dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n  k: int\nc = A(1)\ndef v(i): return c.k",
        "A(1)",
        "A(2)",
        "c",
    ),
    "enum": ("import enum\nclass E(enum.Enum):\n  A = 1\ndef v(i): return E.A.value", "1", "2", "E"),
    "nested values": ("t = [{'a': (1, {'b'})}]\ndef v(i): return len(t)", "'b'", "'c'", "t"),
    "random generator": ("g = np.random.default_rng(0)\ndef v(i): return g.normal()", "0", "1", "g"),
    "sparse": ("import scipy.sparse as sp\nm = sp.eye(3).tocsr()\ndef v(i): return m.sum()", "(3)", "(3, k=1)", "m"),
    "frame": (
        "import pandas as pd\nm = pd.DataFrame({'a': [1], 'b': ['x']})\ndef v(i): return len(m)",
        "'x'",
        "'y'",
        "m",
    ),
    "columns": (
        "import pandas as pd\nm = pd.DataFrame({'a': [1], 'b': ['x']})\ndef v(i): return len(m)",
        "'b'",
        "'c'",
        "m",
    ),
    "objects": ("m = np.array(['a', None, 3], object)\ndef v(i): return m[2]", "3", "4", "m"),
}


def loaded(folder, files):
    write(folder, files)
    return load_task(f"{folder / 'mycode.py'}:task")[0]


@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_is_noticed_and_named(tmp_path, kind):
    text, old, new, part = EDITS[kind]
    assert old in text
    before = loaded(tmp_path / "one", {"mycode.py": code(text)})
    after = loaded(tmp_path / "two", {"mycode.py": code(text.replace(old, new))})
    assert before.fingerprint != after.fingerprint
    said = changes(before.watched.parts, after)
    assert said.startswith("changed: ")
    assert part in said.removeprefix("changed: ").split(", ")


MODULES = {
    "from": ("from helpers import v", "v(1)"),
    "as": ("import helpers as h", "h.v(1)"),
    "star": ("from helpers import *", "v(1)"),
    "late": ("", "__import__('helpers').v(1)"),
    "by name": ("import helpers", "getattr(helpers, 'v')(1)"),
    "package": ("import package.inner", "package.inner.v(1)"),
    "late in a package": ("def v(i):\n    from package import inner\n    return inner.v(i)", "v(1)"),
}


@pytest.mark.parametrize("kind", MODULES)
def test_modules_of_the_folder_count(tmp_path, kind):
    text, value = MODULES[kind]
    files = {
        "mycode.py": code(text, value),
        "helpers.py": "from deep import *\n",
        "deep.py": "def v(i):\n    return 1\n",
        "package/__init__.py": "",
        "package/inner.py": "from .base import v\n",
        "package/base.py": "def v(i):\n    return 1\n",
    }
    before = loaded(tmp_path / "one", files)
    for name in ("deep.py", "package/base.py"):
        files[name] = files[name].replace("1", "2")
    after = loaded(tmp_path / "two", files)
    assert before.fingerprint != after.fingerprint


SAME = {
    "comment": ("def v(i): return 1", "return 1", "return  1  # one"),
    "docstring": ("def v(i):\n  'one'\n  return 1", "'one'", "'two'"),
    "line": ("def v(i): return 1", "def v", "\n\ndef v"),
    "another function": ("def u(): return 1\ndef v(i): return 2", "1", "3"),
    "order of a dict": ("t = {'a': 1, 'b': 2}\ndef v(i): return t['a']", "'a': 1, 'b': 2", "'b': 2, 'a': 1"),
}


@pytest.mark.parametrize("kind", SAME)
def test_what_means_the_same_has_not_changed(tmp_path, kind):
    text, old, new = SAME[kind]
    before = loaded(tmp_path / "one", {"mycode.py": code(text)})
    assert before.fingerprint == loaded(tmp_path / "two", {"mycode.py": code(text.replace(old, new))}).fingerprint


STATE = """
import functools, logging, os, threading
from pathlib import Path
count, model, seen, found = 0, None, {}, set("abcdefgh")
log, lock, rng = logging.getLogger(__name__), threading.Lock(), np.random.default_rng()
here, text = Path(__file__).parent, os.path.dirname(__file__) + "/a.npy"
words = {"one", "two", "three", "four"}

class Box:
    @functools.cached_property
    def late(self):
        return 1

box = Box()

@functools.lru_cache
def kept(k):
    return k

def v(i):
    global count, model
    count, model = count + 1, object()
    seen[count] = i
    return kept(count) + box.late + rng.normal() + len(words) + len(found) + (log is None) + (lock is None) + len(text)
"""


def test_neither_training_nor_another_process_or_folder_looks_like_a_change(tmp_path):
    task = loaded(tmp_path / "one", {"mycode.py": code(STATE)})
    before = task.fingerprint
    task.train(np.ones((1, 4), bool), np.uint32([0]))
    vars(task.watched).clear()
    again = load_task(f"{tmp_path / 'one' / 'mycode.py'}:task")[0]
    again.train(np.ones((1, 4), bool), np.uint32([0]))
    assert before == again.fingerprint
    (tmp_path / "one").rename(tmp_path / "moved")
    script = f"from subtrain.tasks import load_task; print(load_task('{tmp_path}/moved/mycode.py:task')[0].fingerprint)"
    for seed in ("1", "2"):
        run = {"env": {**os.environ, "PYTHONHASHSEED": seed}, "cwd": tmp_path, "text": True}
        assert subprocess.check_output([sys.executable, "-c", script], **run).strip() == before


def test_what_is_defined_below_the_task_counts(tmp_path):
    text = HEAD + "def train(indices, seed):\n    return {'a': [h()]}\n" + TASK + "def h():\n    return 1\n"
    before = loaded(tmp_path / "one", {"mycode.py": text})
    assert (
        before.fingerprint != loaded(tmp_path / "two", {"mycode.py": text.replace("return 1", "return 2")}).fingerprint
    )


INNER = """
inner = st.tasks.function(v, 4, {"a": st.Output([1], "float32")}, data=["DATA"])
def wrapped():
    held = inner
    return lambda i: held.train(i, i)
w = wrapped()
"""


def test_a_task_around_another_watches_what_that_one_watches(tmp_path):
    """Also when the other was looked at before, as it is when it has trained."""
    (tmp_path / "data").write_text("1")
    text = code("def h(): return 1\ndef v(i, seed): return h()" + INNER.replace("DATA", str(tmp_path / "data")), "w(1)")
    before = loaded(tmp_path / "one", {"mycode.py": text})
    after = loaded(tmp_path / "two", {"mycode.py": text.replace("return 1", "return 2")})
    assert changes(before.watched.parts, after) == "changed: h"
    again = loaded(tmp_path / "one", {"mycode.py": text.replace("held = inner", "held = inner; held.fingerprint")})
    looked = loaded(tmp_path / "one", {"mycode.py": text.replace("return lambda", "held.fingerprint; return lambda")})
    assert {"h", "v"} <= looked.watched.parts.keys()
    assert looked.watched.parts["h"] == again.watched.parts["h"] == before.watched.parts["h"]
    (tmp_path / "data").write_text("2")
    assert loaded(tmp_path / "one", {"mycode.py": text}).fingerprint != before.fingerprint


def test_a_task_whose_function_names_it(tmp_path):
    text = code("", "task.n * 1")
    before = loaded(tmp_path / "one", {"mycode.py": text})
    assert before.fingerprint == loaded(tmp_path / "two", {"mycode.py": text}).fingerprint
    assert before.fingerprint != loaded(tmp_path / "two", {"mycode.py": text.replace("* 1", "* 2")}).fingerprint


GRAPH = """
class Node: pass
nodes = [Node() for _ in range(60)]
for k, node in enumerate(nodes):
    node.near, node.load = [nodes[k - 1], nodes[k - 2], nodes[(k + 1) % 60]], 0
nodes[40].load = 1
def v(i): return nodes[0].load
"""


def test_objects_that_many_others_hold_are_looked_at_once(tmp_path):
    """Each way through this graph once would take longer than the world stands."""
    before = loaded(tmp_path / "one", {"mycode.py": code(GRAPH)})
    assert before.fingerprint == loaded(tmp_path / "two", {"mycode.py": code(GRAPH)}).fingerprint
    after = loaded(tmp_path / "two", {"mycode.py": code(GRAPH.replace("load = 1", "load = 2"))})
    assert before.fingerprint != after.fingerprint
    after = loaded(tmp_path / "two", {"mycode.py": code(GRAPH.replace("nodes[40]", "nodes[41]"))})
    assert before.fingerprint != after.fingerprint


def test_data_may_be_a_dict_or_one_thing_that_is_not_taken_apart():
    import pandas as pd
    import scipy.sparse as sp
    import torch

    def seen(data, make=function):
        task = make(print, 4, {"a": [1]}, data=data)
        return task.fingerprint, list(task.watched.parts)

    table = np.arange(6.0).reshape(3, 2)
    for kind in (np.array, pd.DataFrame, sp.csr_matrix, torch.tensor, lambda t: {"x": t}, lambda t: {*t.ravel()}):
        for make in (function, batch):
            one, parts = seen(kind(table), make)
            other, _ = seen(kind(table + np.eye(3, 2)), make)
            assert one == seen(kind(table.copy()), make)[0] != other
            assert len([name for name in parts if name.startswith("data")]) == 1, "not row by row"
    assert seen(pd.DataFrame(table, columns=["a", "b"])) != seen(pd.DataFrame(table, columns=["a", "c"]))
    assert seen(None) == seen(()) == seen({})


def test_data_are_sets_tables_tensors_and_what_lies_at_paths(tmp_path):
    import pandas as pd
    import scipy.sparse as sp
    import torch

    def seen(*data):
        return function(print, 4, {"a": [1]}, data=list(data)).fingerprint

    pairs = [
        ({"a", "b"}, {"a", "c"}),
        (sp.eye(3).tocsr(), sp.eye(3, k=1).tocsr()),
        (torch.eye(3), torch.zeros(3, 3)),
        (torch.utils.data.TensorDataset(torch.eye(3)), torch.utils.data.TensorDataset(torch.zeros(3, 3))),
        (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"b": [1, 2]})),
        (pd.Series(["x", None]), pd.Series(["x", "y"])),
        (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[1, 0])),
    ]
    for one, other in pairs:
        assert seen(one) == seen(one) != seen(other)
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    file = tmp_path / "folder" / "deep" / "data.bin"
    prints = set()
    for content in (b"1", b"2"):
        file.write_bytes(content)
        prints |= {seen(file), seen(str(file)), seen(tmp_path / "folder")}
    assert len(prints) == 4, "a path given as text is the same file"


SKLEARN = """
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
def far(x): return 2 * x
def twice(x): return far(x)
class Own(LogisticRegression):
    def fit(self, x, y): return super().fit(3 * x, y)
x, y = np.arange(12.0).reshape(6, 2), [0, 1] * 3
task = st.tasks.sklearn(make_pipeline(FunctionTransformer(twice), Own(C=4)), x, y, x, y)
"""


@pytest.mark.parametrize(
    ("old", "new", "part"), [("2 *", "5 *", "far"), ("3 *", "5 *", "Own, Own.fit"), ("C=4", "C=5", "estimator")]
)
def test_methods_and_helpers_of_estimators_count(tmp_path, old, new, part):
    before = loaded(tmp_path / "one", {"mycode.py": HEAD + SKLEARN})
    after = loaded(tmp_path / "two", {"mycode.py": HEAD + SKLEARN.replace(old, new)})
    assert changes(before.watched.parts, after) == f"changed: {part}"


TORCH = """
import copy, functools, torch
from torch import nn
from subtrain.trainers.torch.recipe import TorchRecipe
x, y = torch.arange(12.0).reshape(6, 2), torch.tensor([0, 1] * 3)
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)
    def forward(self, v): return self.inner(v)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block()
    def forward(self, v): return self.block(v)
def make(): return Net()
def loss(out, y): return 3 * nn.functional.cross_entropy(out, y)
torch.manual_seed(0)
start = Net()
task = st.tasks.torch_module(MAKE, train=(x, y), test=(x, y), recipe=TorchRecipe(epochs=1, loss=loss))
"""


@pytest.mark.parametrize(
    "make", ["Net", "make", "lambda: Net()", "functools.partial(Net)", "lambda: copy.deepcopy(start)"]
)
@pytest.mark.parametrize(("old", "new", "part"), [("self.inner(v)", "-self.inner(v)", "Block"), ("3 *", "4 *", "loss")])
def test_modules_of_torch_count_with_their_blocks(tmp_path, make, old, new, part):
    text = HEAD + TORCH.replace("MAKE", make)
    before = loaded(tmp_path / "one", {"mycode.py": text})
    after = loaded(tmp_path / "two", {"mycode.py": text.replace(old, new)})
    assert part in changes(before.watched.parts, after)
    if "start" in make:
        other = loaded(tmp_path / "three", {"mycode.py": text.replace("manual_seed(0)", "manual_seed(1)")})
        assert changes(before.watched.parts, other) == "changed: start"


def test_a_study_says_which_part_has_changed(tmp_path):
    text = code("K = 3\ndef v(i): return K")
    write(tmp_path, {"mycode.py": text})
    study = Study.create(tmp_path / "r", f"{tmp_path / 'mycode.py'}:task", Design(models=4, heldout=0))
    assert study.fingerprint.startswith(SCHEME)
    assert Study.open(tmp_path / "r").task.n == 4
    write(tmp_path, {"mycode.py": text.replace("K = 3", "K = 4")})
    with pytest.raises(MismatchError, match=r"have changed \(changed: K\)"):
        _ = Study.open(tmp_path / "r").task


def test_a_study_of_the_first_version_goes_on_with_the_task_it_saw(tmp_path):
    text = code("K = 3\ndef v(i): return K", "v(indices) * 2")
    write(tmp_path, {"mycode.py": text})
    task, source = load_task(f"{tmp_path / 'mycode.py'}:task")
    study = Study.create(tmp_path / "r", f"{tmp_path / 'mycode.py'}:task", Design(models=4, heldout=0))
    manifest = json.loads((tmp_path / "r" / "study.json").read_text())
    del manifest[SEAL]
    manifest["format"] = UNSEALED
    manifest["task"] = {"source": source.to_json(), "fingerprint": task.watched.old()}
    assert not manifest["task"]["fingerprint"].startswith(SCHEME)
    (tmp_path / "r" / "study.json").write_text(json.dumps(manifest))
    name = f"{tmp_path / 'mycode.py'}:task"
    study = Study.open(tmp_path / "r", task=name)
    study.collect(workers=1, progress=False)
    assert study.read("a").tolist() == [[6.0]] * 4
    assert Study.open(tmp_path / "r").with_task(task).task.fingerprint == study.fingerprint
    write(tmp_path, {"mycode.py": text.replace("* 2", "* 5")})
    with pytest.raises(MismatchError, match="have changed"):
        Study.open(tmp_path / "r", task=name)


def of_versions(path, **versions):
    """A study of a plain function whose packages were of these versions when it was created."""
    write(path.parent, {"mycode.py": code("import numpy as np\ndef v(i): return np.float64(3)", "v(indices)")})
    Study.create(path, f"{path.parent / 'mycode.py'}:task", Design(models=4, heldout=0))
    manifest = json.loads((path / "study.json").read_text())
    found = dict(manifest["task"]["packages"])
    manifest["task"]["packages"] |= versions
    (path / "study.json").write_text(json.dumps(sealed(manifest)))
    return Study.open(path), found


def test_a_package_of_another_version_is_said_once_before_training(tmp_path):
    study, found = of_versions(tmp_path / "r", numpy="1.2.3", gone="7.0")
    assert found == {"Python": ".".join(map(str, sys.version_info[:2])), "numpy": np.__version__}
    done = study.collect(workers=1, progress=False)
    [note] = [note for note in done.notes if "packages are not watched" in note]
    here = f"gone 7.0 (here unknown), numpy 1.2.3 (here {np.__version__})"
    assert note.startswith(f"the study was created with {here}: ")
    assert study.collect(workers=1, progress=False).notes == (), "nothing was trained"


def test_packages_of_the_same_versions_are_not_worth_a_word(tmp_path):
    study, _ = of_versions(tmp_path / "r")
    assert not any("packages" in note for note in study.collect(workers=1, progress=False).notes)


@pytest.mark.parametrize("recorded", [None, 3, {"numpy": 3}, {"numpy": "1\x1b[31m"}, {"../x": ""}])
def test_versions_that_somebody_else_wrote_down_do_no_harm(recorded):
    assert "\x1b" not in other_versions(recorded)


def test_tasks_of_subtrain_and_of_own_classes_keep_versions_too():
    assert packages_of(load_task("digits", {"n": 60, "targets": 5})[0]).keys() >= {"Python", "numpy", "scikit-learn"}

    class Own:
        n, outputs, fingerprint = 4, {}, "1"

        def train(self, masks, seeds):
            return {"a": np.zeros(len(masks))}

    assert packages_of(Own()).keys() == {"Python", "numpy"}


# As version 0.1.0 made them.
FIRST = {
    "digits": ({"n": 60, "targets": 5}, "a3b2a4afc65359936c082f3cb850db24ae8877d917d73b166a1b8bee01c85337"),
    "planted": ({"n": 60, "targets": 5}, "b7d52ad6216e2d162675ad5f3c26fc1f72083c32f8cb20fe3116aa2199d8c16a"),
    "tabular": ({}, "415fa1e94c68d3e3198da931b8ebfb3d2540548481bafe181bcf948945010304"),
}


@pytest.mark.parametrize("name", FIRST)
def test_built_in_tasks_are_those_of_the_first_version(name):
    params, recorded = FIRST[name]
    task = load_task(name, params)[0]
    if getattr(task, "earlier", None):
        task = task.earlier()
    assert recorded == (task.watched.old() if getattr(task, "watched", None) else task.fingerprint)


def test_a_relative_path_is_found_from_the_current_folder_and_beside_the_code(tmp_path, monkeypatch):
    text = HEAD + "def train(i, seed): return {'a': [0]}\n"
    text += "task = st.tasks.function(train, 4, {'a': [1]}, data={'x': 'data/x.csv', 'all': ['data/x.csv', 'b.txt']})\n"
    write(tmp_path, {"one/data/x.csv": "1", "one/b.txt": "2", "two/.keep": ""})
    seen = []
    for folder in ("one", "two"):
        monkeypatch.chdir(tmp_path / folder)
        seen.append(loaded(tmp_path / "one", {"mycode.py": text}))
    assert seen[0].fingerprint == seen[1].fingerprint
    write(tmp_path, {"one/b.txt": "3"})
    changed = loaded(tmp_path / "one", {"mycode.py": text})
    assert changes(seen[0].watched.parts, changed) == "changed: data[all]"
    (tmp_path / "one/data/x.csv").unlink()
    lost = loaded(tmp_path / "one", {"mycode.py": text})
    assert changes(changed.watched.parts, lost) == (
        f"changed: data[all], data[x]; there is no data/x.csv, which data[x] names, in {tmp_path}/two, nor in "
        f"{tmp_path}/one, beside the task's code; there is no data/x.csv, which data[all][0] names, in {tmp_path}/two, "
        f"nor in {tmp_path}/one, beside the task's code"
    )
    text = text.replace("'data/x.csv'", "__import__('pathlib').Path('x.csv')")
    with pytest.raises(
        InputError, match=r"there is no x\.csv, which data\[x\] names, in .*/two, nor in .*/one, beside"
    ):
        loaded(tmp_path / "one", {"mycode.py": text})


def test_texts_that_are_no_paths_are_texts():
    def task(*data):
        return function(print, 4, {"a": [1]}, data=list(data))

    for one, other in (("", "."), ("a b/c", "a b/d"), ("~nobody-has-this-name/x", "x"), ("y" * 5000, "y" * 5001)):
        assert task(one).fingerprint == task(one).fingerprint != task(other).fingerprint
    assert texts_of(task("", "some words. And more", "y" * 5000, ["a", "b"], 3)) == []
    [said] = texts_of(task("/nowhere/x.npy"))
    assert said.startswith("there is no /nowhere/x.npy, which data[0] names: it counts as a text")


def one(masks, seeds):
    return {"a": np.ones((len(masks), 1))}


def two(masks, seeds):
    return {"a": np.full((len(masks), 1), 2)}


def test_a_replaced_function_is_the_one_that_is_watched():
    before, other = (batch(train, 4, {"a": [1]}) for train in (one, two))
    after = dataclasses.replace(before, train_batch=two)
    assert after.fingerprint == other.fingerprint != before.fingerprint
    assert changes(before.watched.parts, after) == "new: two; gone: one"
    assert dataclasses.replace(after, train_batch=one).fingerprint == before.fingerprint
    assert dataclasses.replace(before, batch=3).fingerprint == before.fingerprint
    assert dataclasses.replace(before, fingerprint="mine").fingerprint == "mine"
    assert dataclasses.replace(before, outputs={"a": Output((2,))}).fingerprint == batch(one, 4, {"a": [2]}).fingerprint
    single = function(lambda i, s: {"a": [1]}, 4, {"a": [1]}, data=[np.arange(3)])
    replaced = dataclasses.replace(single, train_one=lambda i, s: {"a": [2]})
    assert replaced.fingerprint != single.fingerprint
    assert "data[0]" in replaced.watched.parts


@pytest.mark.parametrize("sent", [False, True])
def test_a_replaced_function_of_a_built_in_task_counts_too(sent):
    x, y = np.arange(12.0).reshape(6, 2), np.array([0, 1] * 3)
    for made in (ridge_head(x, y, x, y), mlp(x, y, x, y), sklearn(LogisticRegression(), x, y, x, y)):
        task = cloudpickle.loads(cloudpickle.dumps(made)) if sent else made
        assert task.fingerprint == made.fingerprint
        assert dataclasses.replace(task, view=None).fingerprint == made.fingerprint
        name = "train_batch" if hasattr(task, "train_batch") else "train_one"
        assert dataclasses.replace(task, **{name: two}).fingerprint != made.fingerprint


def test_a_task_of_one_number_names_what_has_changed():
    x, y = np.arange(12.0).reshape(6, 2), np.array([0, 1] * 3)
    other_y = y[::-1]

    def ridge(x=x, y=y, lam=1.0, margin="max"):
        return ridge_head(x, y, x[:4], y[:4], lam=lam, margin=margin)

    before = ridge().watched.parts
    assert changes(before, ridge(x=x + 1)) == "changed: features, features_test"
    assert changes(before, ridge(y=other_y)) == "changed: y, y_test"
    assert changes(before, ridge(lam=2.0)) == "changed: settings"
    assert changes(before, ridge(margin="logsumexp")) == "changed: outputs"
    before = mlp(x, y, x, y).watched.parts
    assert changes(before, mlp(x, y, x, y, recipe=Sgd(epochs=3))) == "changed: settings"
    assert changes(before, mlp(x, other_y, x, y)) == "changed: y"
    assert changes(before, mlp(x, y, x, y).relabelled([0], [1])) == "new: new labels, relabelled units"


def test_a_task_of_one_number_within_another_is_that_number():
    x, y = np.arange(12.0).reshape(6, 2), np.array([0, 1] * 3)
    for task in (ridge_head(x, y, x, y), mlp(x, y, x, y)):
        assert task.watched.told_to_walk(Walk()) == task.fingerprint


def test_data_drawn_without_a_seed_are_told_from_data_that_were_changed(tmp_path):
    text = code("x, k = np.random.rand(3), 1\ndef v(i): return x[0] + k")
    write(tmp_path, {"mycode.py": text})
    name = f"{tmp_path / 'mycode.py'}:task"
    Study.create(tmp_path / "r", name, Design(models=4, heldout=0))
    said = r"\(changed: x\); two loads of the same code differ too \(changed: x\): draw such data with a seed, as np"
    with pytest.raises(MismatchError, match=said):
        _ = Study.open(tmp_path / "r").task
    with pytest.raises(MismatchError, match=said):
        Study.open(tmp_path / "r", task=name)
    write(tmp_path, {"mycode.py": text.replace("np.random.rand(3)", "np.ones(3)")})
    with pytest.raises(MismatchError, match=r"have changed \(changed: x\)$"):
        _ = Study.open(tmp_path / "r").task
