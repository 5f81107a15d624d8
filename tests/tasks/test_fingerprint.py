"""A fingerprint changes with data, code and settings, and with nothing else: not with layout, process or address."""

from __future__ import annotations

import functools
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from subtrain.fingerprint import fingerprint
from subtrain.tasks import function, load_task
from subtrain.tasks.watching.fingerprint_0_1 import settings_of, source_of


def print_of(tmp_path: Path, code: str, name: str = "task") -> str:
    return load_task(f"{written(tmp_path, code)}:{name}")[0].fingerprint


def written(tmp_path: Path, code: str) -> Path:
    path = tmp_path / f"code_{fingerprint(code)[:8]}.py"
    path.write_text("import numpy as np\nimport subtrain as st\n" + textwrap.dedent(code))
    return path


PLAIN = """
    def train(indices, seed):
        return {"a": [len(indices) * 2]}
    task = st.tasks.function(train, 4, {"a": (1,)}, data=[np.arange(6)])
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("* 2]}", "*  2 ]}  # twice"),
        ("def train", "# A comment.\n    def train"),
        ("return", "\n        return"),
        ('"a": [', "'a': ["),
    ],
)
def test_layout_and_comments_do_not_count(tmp_path, old, new):
    assert old in PLAIN
    assert print_of(tmp_path, PLAIN) == print_of(tmp_path, PLAIN.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("* 2]", "* 3]"),
        ("np.arange(6)", "np.arange(7)"),
        ("np.arange(6)", "np.arange(6).reshape(2, 3)"),
        ("np.arange(6)", "np.arange(6.0)"),
        ("[np.arange(6)]", "[np.arange(6), 'v2']"),
        ('{"a": (1,)}', '{"a": st.Output((1,), "float32")}'),
        ("return {", "seed += 1; return {"),
    ],
)
def test_data_code_and_schema_count(tmp_path, old, new):
    assert old in PLAIN
    assert print_of(tmp_path, PLAIN) != print_of(tmp_path, PLAIN.replace(old, new))


CLOSURE = """
    def make(rate=0.1, data=(1, 2), helper=lambda x: x):
        x = np.array(data)
        table = {("k", 1): [rate, None, "s"]}
        def train(indices, seed):
            return {"a": helper(x[indices].sum() * rate + len(table))}
        return st.tasks.function(train, 4, {"a": ()})
    def other(x):
        return x + 1
"""


@pytest.mark.parametrize("arguments", ["rate=0.2", "data=(1, 3)", "helper=other"])
def test_what_a_closure_holds_counts(tmp_path, arguments):
    base = print_of(tmp_path, CLOSURE, "make")
    assert base == print_of(tmp_path, CLOSURE, "make")
    assert base != print_of(tmp_path, CLOSURE + f"\n    task = make({arguments})")


def test_what_a_partial_holds_counts():
    def train(indices, seed, rate, scale=1):
        return {"a": [rate]}

    prints = {
        function(functools.partial(train, **arguments), 4, {"a": (1,)}).fingerprint
        for arguments in ({"rate": 1}, {"rate": 2}, {"rate": 1, "scale": 2})
    }
    assert len(prints) == 3
    again = function(functools.partial(train, rate=1), 4, {"a": (1,)})
    assert again.fingerprint in prints


def test_things_without_a_value_do_not_count(tmp_path):
    def make(where):
        def train(indices, seed):
            return {"a": [train is None, str(where)]}

        return source_of(train)

    assert make(tmp_path) == make(tmp_path / "elsewhere")
    with open(tmp_path / "a", "w") as one, open(tmp_path / "b", "w") as other:
        assert make(one) == make(other)


def test_two_lambdas_on_other_lines_differ():
    one = [
        lambda indices, seed: {"a": [1]},
        lambda indices, seed: {"a": [2]},
    ]
    assert source_of(one[0]) != source_of(one[1])


def test_objects_in_arrays_count_by_value_not_by_address():
    def made() -> np.ndarray:
        return np.array([["".join(["a", "b"]), 1.5, None]], object)

    other = made()
    other[0, 0] = "ac"
    assert fingerprint(made()) == fingerprint(made()) != fingerprint(other)
    assert fingerprint([made()]) != fingerprint([other])


def test_parts_cannot_run_into_each_other():
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint(np.zeros(2), np.zeros(3)) != fingerprint(np.zeros(3), np.zeros(2))
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})


ESTIMATORS = """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    def twice(x):
        return 2 * x

    x = np.arange(12.0).reshape(6, 2)
    model = make_pipeline(FunctionTransformer(twice), LogisticRegression(C=3))
    task = st.tasks.sklearn(model, x, [0, 1] * 3, x, [0, 1] * 3)
"""


def test_another_process_finds_the_same(tmp_path):
    for code, name in ((CLOSURE, "make"), (ESTIMATORS, "task")):
        here = print_of(tmp_path, code, name)
        where = f"{written(tmp_path, code)}:{name}"
        script = f"from subtrain.tasks import load_task; print(load_task({where!r})[0].fingerprint)"
        there = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert there.stdout.strip() == here


@pytest.mark.parametrize(
    ("old", "new"),
    [("C=3", "C=4"), ("2 * x", "3 * x"), ("12.0)", "12.0)[::-1]"), ("Transformer(t", "Transformer(func=t")],
)
def test_estimators_count_by_their_settings(tmp_path, old, new):
    assert old in ESTIMATORS
    same = "func=" in new
    assert (print_of(tmp_path, ESTIMATORS) == print_of(tmp_path, ESTIMATORS.replace(old, new))) == same


def test_long_settings_are_not_cut(tmp_path):
    from sklearn.preprocessing import OrdinalEncoder

    one = [[f"level {i}" for i in range(500)]]
    other = [[*one[0][:250], "another", *one[0][251:]]]
    assert repr(OrdinalEncoder(categories=one)) == repr(OrdinalEncoder(categories=other)), "what repr shows is cut"
    assert fingerprint(settings_of(OrdinalEncoder(categories=one))) != fingerprint(
        settings_of(OrdinalEncoder(categories=other))
    )
