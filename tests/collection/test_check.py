"""What `check` says of tasks that are right, and of every mistake we know."""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import worlds
from commands import run
from subtrain import Design, check
from subtrain.collection.check.hard_subsets import hard_subsets
from subtrain.collection.check.import_time import timed_imports
from subtrain.collection.check.report import CheckReport, Repeatability
from subtrain.errors import InputError
from subtrain.tasks import batch, command, function

N, TARGETS = 20, 6
WEIGHT = np.random.default_rng(1).normal(size=(N, TARGETS))


def one(formula):
    """A task whose outputs of a model are formula(indices, seed)."""
    return function(lambda indices, seed: {"test_margins": formula(indices, seed)}, N, {"test_margins": (TARGETS,)})


def right(indices, seed):
    return WEIGHT[indices].sum(axis=0) + np.random.default_rng(seed).normal(size=TARGETS)


def notes(found):
    return " / ".join(found.notes)


def test_a_task_that_is_right():
    found = check(one(right), models=500)
    assert (found.usable, found.deterministic, found.notes) == (True, True, ())
    assert (found.again, found.fresh, found.beside) == (Repeatability(True), Repeatability(True), None)
    assert found.n == N
    assert found.outputs == {"test_margins": "[6] float16"}
    assert found.models == 550
    assert found.study_bytes == 550 * TARGETS * 2
    assert 0 < found.each < found.study_seconds
    assert 30e6 < found.worker_bytes < 5e9
    text = str(found)
    assert "trained again: identical, bit for bit" in text
    assert "550 models at alpha 0.5 on this machine" in text
    assert text.endswith("Usable: its models can be repeated")
    assert json.loads(json.dumps(found.to_json()))["deterministic"]


def test_what_is_watched_and_what_is_not_is_said(tmp_path):
    (tmp_path / "run.sh").write_text(". ./lib.sh\n")
    (tmp_path / "lib.sh").write_text("exit 3\n")
    (tmp_path / "rates").write_text("1")
    found = check(command(["bash", "run.sh", "{job}"], N, {"a": [2]}, data=["rates"], folder=tmp_path))
    assert set(found.watched) == {"run.sh", "lib.sh", "the command", "the settings", "data[rates]"}
    unwatched = "installed packages (bash), the environment, files that data= does not name"
    assert f"  not watched: {unwatched}\n" in str(found)
    assert "  watched for changes: data[rates], lib.sh, run.sh, the command, the settings\n" in str(found)


def test_of_many_parts_and_packages_a_few_are_shown_and_all_are_told():
    many = tuple(f"part{k:02d}" for k in range(20))
    checked = CheckReport("x", 2, 1, {}, 2, 0.5, watched=many, packages={f"p{k}": "1.0" for k in range(20)})
    assert "part11 and 8 more\n" in str(checked)
    assert "p11 1.0, …)" in str(checked)
    assert checked.to_json()["watched"] == many
    assert len(checked.to_json()["packages"]) == 20


def test_a_task_of_settings_and_data_alone_says_so():
    found = check("digits", {"n": 60, "targets": 5})
    assert "  watched for changes: outputs, settings, x, x_test, y, y_test\n" in str(found)
    assert found.packages["scikit-learn"]


def test_a_task_by_name_and_with_neighbours():
    found = check(f"{worlds.__file__}:linear", {"noise": 0.5})
    assert found.name == f"{worlds.__file__}:linear"
    assert found.beside == Repeatability(True)
    assert "beside 3 neighbors: identical" in str(found)
    assert "train_margins holds only 0 and 1" in notes(found), "here they are the masks"


def test_mask_ignored():
    found = check(one(lambda indices, seed: np.random.default_rng(seed).normal(size=TARGETS)))
    assert not found.usable
    assert "does not use its mask" in found.failure
    assert "Not usable: two different subsets give identical outputs" in str(found)


def test_seed_ignored():
    found = check(one(lambda indices, seed: WEIGHT[indices].sum(axis=0)))
    assert found.usable
    assert "two different seeds give identical outputs" in notes(found)


def test_randomness_without_a_seed():
    found = check(one(lambda indices, seed: right(indices, seed) + np.random.default_rng().normal(size=TARGETS)))
    assert found.usable
    assert not found.deterministic
    assert "other outputs each time" in notes(found)
    assert found.again.difference > 0.01
    assert found.again.spread > 0.1
    assert "test_margins differs by up to" in str(found)
    assert str(found).endswith("Usable, but its models vary from run to run")


def test_what_a_process_keeps_from_one_training_to_the_next():
    calls = itertools.count()
    found = check(one(lambda indices, seed: right(indices, seed) + next(calls)))
    assert "something is left over" in notes(found)
    assert found.fresh == Repeatability(True)
    assert found.again.difference == pytest.approx(1, abs=0.01)


def test_what_depends_on_the_process(tmp_path):
    found = check(one(lambda indices, seed: right(indices, seed) + hash("text") % 100))
    assert "another process gives other outputs" in notes(found)


def test_neighbours_that_matter():
    def train(masks, seeds):
        random = np.random.default_rng(int(seeds[0]))
        return {"a": masks @ WEIGHT + random.normal(size=(len(masks), TARGETS))}

    found = check(batch(train, N, {"a": (TARGETS,)}, 4))
    assert found.beside is not None
    assert not found.beside.identical
    assert "a model differs when it is trained beside others" in notes(found)


def probabilities(indices, seed):
    return 1 / (1 + np.exp(-right(indices, seed)))


@pytest.mark.parametrize(
    ("formula", "note"),
    [
        (probabilities, "test_margins lies within 0 and 1, as probabilities do"),
        (lambda i, s: right(i, s) > 0, "test_margins holds only 0 and 1, as correctness does"),
        (lambda i, s: np.full(TARGETS, i.sum() + s % 7), "test_margins has the same value"),
        (
            lambda i, s: np.where(np.arange(TARGETS) < 2, right(i, s), 4),
            "67% of the targets of test_margins are the same",
        ),
        (lambda i, s: right(i, s) * 5000, "float16 ends at 65,504 and keeps three digits"),
    ],
)
def test_strange_values_are_told(formula, note):
    found = check(one(formula))
    assert found.usable
    assert note in notes(found)


def test_values_that_their_dtype_makes_alike_are_blamed_on_the_dtype():
    """float16 keeps steps of 2 at 3,000."""
    found = check(one(lambda i, s: 3000 + 1e-3 * right(i, s)))
    assert not found.usable
    assert "two different subsets give identical outputs once they are stored" in found.failure
    assert "where float16 keeps steps of 2, and another subset moves it by 0.00" in found.failure
    assert 'st.Output([6], "float32")' in found.failure
    found = check(one(lambda i, s: 3000 + right(i, s)))
    assert found.usable
    assert "test_margins reaches 3,0" in notes(found)
    assert "where float16 keeps steps of 2" in notes(found)
    assert "steps of" not in notes(check(one(lambda i, s: 100 + right(i, s))))


MASKS = Design(models=1000, n=N).masks(range(512)).unpack()
KEPT = np.flatnonzero(MASKS[0] & MASKS[1])[:2]  # the first two models, which are compared, do not fail


def rare(indices, seed):
    if not np.isin(KEPT, indices).any():
        raise ValueError("one class only")
    return right(indices, seed)


def test_subsets_that_will_fail_are_found_before():
    fail = np.flatnonzero(~MASKS[:30, KEPT].any(axis=1))
    assert fail.size > 2
    found = check(one(rare))
    assert (found.usable, found.tried, found.failed) == (False, 30, fail.size)
    assert found.failure == (
        f"{fail.size} of 30 subsets that were tried fail, such as that of model {fail[0]}: ValueError: one class only"
    )
    assert f"{30 - fail.size} of 30 further subsets trained" in str(found)
    assert check(one(explode)).failure.endswith("; 30 of 30 further subsets fail too")


def labelled(labels, minibatch=None, **options):
    return replace(one(right), labels=np.asarray(labels), minibatch=minibatch, **options)


def test_subsets_that_lack_a_class_are_counted():
    found = check(labelled([1, 1] + [0] * 18))
    assert found.usable
    alone = (~MASKS[:, :2].any(axis=1)).sum()
    assert f"{alone} of the first 512 subsets hold one class only" in notes(found)
    found = check(labelled([2, 2, 1] + [0, 1] * 8 + [0]))
    assert f"{alone} of the first 512 subsets lack a class, most often class 2, which has 2 training" in notes(found)
    assert "of the first" not in notes(check(labelled([0, 1] * 10)))


def test_a_stratified_design_lacks_no_class():
    assert "create --stratified" in notes(check(labelled([1, 1] + [0] * 18)))
    assert "of the first" not in notes(check(labelled([1, 1] + [0] * 18), kind="stratified"))


def test_a_hard_subset_is_tried_first_and_named():
    hard = hard_subsets(labelled([1, 1] + [0] * 18), Design(models=1000, n=N))
    first = hard.order(1000)[0]
    assert not MASKS[first, :2].any()
    assert hard.rows[first] == "its subset holds one class only"
    sizes = Design(models=1000, n=N, kind="bernoulli")
    left = hard_subsets(replace(one(right), minibatch=4), sizes)
    rows = [row for row, why in left.rows.items() if why == "its last minibatch is one example"]
    assert set(rows) == set(np.flatnonzero(sizes.masks(range(512)).unpack().sum(axis=1) % 4 == 1))
    assert left.order(1000)[0] == rows[0]


def test_a_device_that_is_not_there(monkeypatch):
    module = sys.modules["subtrain.collection.check.task_check"]
    monkeypatch.setattr(module, "visible_gpus", lambda: ())
    needy = SimpleNamespace(**{name: getattr(one(right), name) for name in ("n", "outputs", "fingerprint", "train")})
    needy.needs = needy.device = "cuda"
    found = check(needy)
    assert "the task asks for device='cuda', and torch sees no such device here" in found.failure


def test_data_that_are_drawn_anew_in_each_process(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy as np, subtrain as st\n"
        "data = np.random.rand(20, 2)\n"
        "def train(indices, seed):\n    return {'a': data[indices].sum(axis=0)}\n"
        "task = st.tasks.function(train, 20, {'a': [2]}, data=[data])\n"
    )
    found = check(f"{tmp_path}/mine.py:task")
    assert "has another fingerprint (changed: data), so that collect would refuse it as changed" in found.failure
    assert "draw data with a seed" in found.failure


def test_a_slow_import_is_told_from_slow_data(tmp_path, monkeypatch):
    module = sys.modules["subtrain.collection.check.task_check"]
    monkeypatch.setattr(module, "SLOW_START", 1.0)
    slow = {"start": 12.0, "imports": {"torch": 9.0, "numpy": 0.5}}
    said = module._slow_start(SimpleNamespace(**slow))
    assert said == (
        "every worker takes 12 s to start, 9.5 s of it to import packages, most for torch (9 s): "
        "import only what is needed"
    )
    assert "load data in a fast form" in module._slow_start(SimpleNamespace(start=12.0, imports={"torch": 2.0}))
    with timed_imports() as spent:
        import colorsys  # noqa: F401
    assert set(spent) == {"colorsys"}


def explode(indices, seed):
    raise ValueError(f"no such thing as {len(indices)}")


def only_once(indices, seed, calls=itertools.count()):
    if next(calls):
        raise RuntimeError("a second model")
    return right(indices, seed)


@pytest.mark.parametrize(
    ("formula", "sentence", "details"),
    [
        (explode, "ValueError: no such thing as 10", "in explode"),
        (only_once, "RuntimeError: a second model", "Traceback"),
        (lambda i, s: np.full(TARGETS, np.nan), "output test_margins of model 0 is nan at target 0", ""),
        (lambda i, s: np.full(TARGETS, 1e5), "is 100000 at target 0, which float16 cannot hold", ""),
        (lambda i, s: np.ones(3), r"has shape \[3\], declared \[6\]", ""),
        (lambda i, s: np.full(TARGETS, "x"), "has dtype <U1, declared float16", ""),
        (lambda i, s: os._exit(3), "the process that trains failed with exit code 3", ""),
        (lambda i, s: os.kill(os.getpid(), 11), "the process that trains was ended by SIGSEGV", ""),
        (lambda i, s: os.write(2, b"last words\n") and os._exit(4), "exit code 4; it said: last words", "last words"),
    ],
)
def test_models_that_fail_are_told_with_what_is_known(formula, sentence, details):
    found = check(one(formula))
    assert not found.usable
    assert re.search(sentence, found.failure), found.failure
    assert details in found.details
    assert "nan" not in json.dumps(found.to_json()).replace(sentence, "").replace("is nan at", "")


def test_a_check_that_hangs_is_stopped():
    found = check(one(lambda i, s: __import__("time").sleep(1000)), timeout=4)
    assert "took longer than its timeout of 4 s" in found.failure


def test_slow_starts_and_full_disks_are_told(monkeypatch):
    from subtrain.collection.check import task_check as _  # noqa: F401  the module, which the function hides

    module = sys.modules["subtrain.collection.check.task_check"]
    monkeypatch.setattr(module, "SLOW_START", 0.0)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: type("Disk", (), {"free": 10}))
    found = check(one(right))
    assert "of it to import packages: load data in a fast form" in notes(found)
    assert "needs 13.2 kB on disk, but this one has 10 B left" in notes(found)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"models": 1}, "models must be 2 or more"),
        ({"alpha": 1.5}, "alpha"),
        ({"params": {"a": 1}}, "was made already"),
    ],
)
def test_bad_input(options, sentence):
    with pytest.raises(InputError, match=sentence):
        check(one(right), **options)


def subtrain(*args, cwd):
    return run("check", *args, cwd=cwd)


def test_from_the_command_line(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy as np, subtrain as st\n"
        "def make(fail=False, n=20):\n"
        "    def train(indices, seed):\n"
        "        print('printed')\n"
        "        if fail:\n            raise ValueError('bad [bold]luck')\n"
        "        return {'a': [indices.sum(), seed % 9]}\n"
        "    return st.tasks.function(train, n, {'a': [2]})\n"
    )
    good = subtrain("mine.py:make", "--models", "50", "--alpha", "0.25", cwd=tmp_path)
    assert good.returncode == 0, good.stderr
    assert "at alpha 0.25" in good.stdout
    assert "Usable: its models can be repeated" in good.stdout
    bad = subtrain("mine.py:make", "-p", "fail=true", cwd=tmp_path)
    assert bad.returncode == 5
    assert "Not usable: ValueError: bad [bold]luck" in bad.stdout
    assert "in train" in bad.stderr
    data = subtrain("mine.py:make", "--json", cwd=tmp_path)
    assert set(json.loads(data.stdout)) >= set(CheckReport.__dataclass_fields__) | {"usable", "deterministic"}
    missing = subtrain("mine.py:nothing", cwd=tmp_path)
    assert missing.returncode == 2
    assert "has nothing named 'nothing'" in " ".join(missing.stderr.split())
