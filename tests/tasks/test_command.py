"""External commands as tasks: what they get, what they leave, and how everything that can go wrong ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from commands import ok
from processes import running, wait_until
from subtrain import Design, Output, Study
from subtrain.errors import CollectError, InputError
from subtrain.outputs import SchemaError
from subtrain.tasks import command, load_task

MASKS = np.array([[1, 0, 1, 1], [0, 1, 0, 0]], bool)
SEEDS = np.array([7, 2**32 - 1], np.uint32)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, and a temporary folder beside it that must be empty at the end."""
    scratch, work = tmp_path / "scratch", tmp_path / "work"
    scratch.mkdir()
    work.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(work)
    yield work
    assert list(scratch.iterdir()) == [], "job folders are removed"


def python(code, n=4, outputs=None, **options):
    """A task whose command is Python code that finds `job`, a Path."""
    Path("job_code.py").write_text(
        f"import json, os, sys, time\nfrom pathlib import Path\njob = Path(sys.argv[1])\n{code}\n"
    )
    return command([sys.executable, "job_code.py", "{job}"], n, outputs or {"a": [2]}, **options)


SUM = """
import numpy as np
about = json.loads((job / "job.json").read_text())
indices = np.load(job / "indices.npy")
assert indices.dtype == np.int64
[model] = about["models"]
assert model["examples"] == len(indices)
assert about["outputs"]["a"]["shape"] == [2]
np.save(job / "a.npy", [indices.sum(), model["seed"]])
"""


def test_one_model_a_command(here):
    task = python(SUM, outputs={"a": Output((2,), "float64")})
    assert task.batch == 1
    assert task.train(MASKS, SEEDS)["a"].tolist() == [[5, 7], [1, 2**32 - 1]]


def test_many_models_a_command(here):
    code = """
import numpy as np
masks, seeds = np.load(job / "masks.npy"), np.load(job / "seeds.npy")
assert masks.dtype == bool and seeds.dtype == np.uint32
np.save(job / "a.npy", np.stack([masks.sum(axis=1), seeds], axis=1))
"""
    task = python(code, per="segment", size=32)
    assert task.batch == 32
    assert task.train(MASKS, SEEDS)["a"].tolist() == [[3, 7], [1, 2**32 - 1]]


SCRIPT = f"""#!/bin/sh
# Any language will do; here the arrays are written by Python for brevity.
[ -z "$(cat)" ] || exit 9
{sys.executable} -c "import numpy as np; np.save('$1/a.npy', [len(np.load('$1/indices.npy')), $2 % 1000, $SCALE])"
"""


@pytest.fixture
def script(here):
    path = here / "train.sh"
    path.write_text(SCRIPT)
    path.chmod(0o755)
    return path


def test_a_shell_script_from_the_command_line_alone(script, tmp_path, monkeypatch):
    words = ["create", "../s", "--task", "command", "-p", 'command=["./train.sh","{job}","{seed}"]', "-p", "n=10"]
    more = ["-p", 'outputs={"a":{"shape":[3],"dtype":"float32"}}', "-p", 'env={"SCALE":"2"}', "--models", "4"]
    for args in ([*words, *more, "--heldout", "0"], ["collect", "../s"]):
        ok(*args)
        monkeypatch.chdir(tmp_path / "scratch")
    study = Study.open(tmp_path / "s")
    assert study.read("a").tolist() == [[5, seed % 1000, 2] for seed in study.design.seeds()]


def test_fingerprint_follows_command_script_and_data(script):
    def make(**changes):
        options = {"command": ["./train.sh", "{job}"], "n": 10, "outputs": {"a": [3]}, "data": ["table"]} | changes
        return command(**options).fingerprint

    Path("table").mkdir()
    Path("table/x.csv").write_text("1,2")
    first = make()
    assert make() == first
    assert make(command="./train.sh {job}") == first, "in one string, as a shell has it"
    assert make(timeout=9) == first
    assert make(command=["./train.sh", "{job}", "--fast"]) != first
    assert make(env={"A": "1"}) != first
    assert make(n=11) != first
    Path("table/x.csv").write_text("1,3")
    assert make() != first
    Path("table/x.csv").write_text("1,2")
    assert make() == first
    script.write_text(SCRIPT + "\n# changed")
    assert make() != first


def test_it_is_made_again_from_its_source_anywhere(script, monkeypatch, tmp_path):
    task, source = load_task("command", {"command": "./train.sh {job}", "n": 9, "outputs": {"a": [3]}, "timeout": 5})
    json.dumps(source.to_json())
    monkeypatch.chdir(tmp_path / "scratch")
    again = load_task(source.name, source.params)[0]
    assert (again.fingerprint, again.outputs) == (task.fingerprint, task.outputs)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"command": ["true"]}, r"must hold the word \{job\}"),
        ({"command": []}, r"must hold the word \{job\}"),
        ({"command": "no-such-program {job}"}, "no program 'no-such-program' on the PATH"),
        ({"command": "./none.sh {job}"}, "there is no program .*none.sh"),
        ({"command": "./plain.sh {job}"}, "plain.sh is not executable"),
        ({"command": "true {job} {seed}", "per": "segment"}, "seeds.npy"),
        ({"per": "epoch"}, "per must be one of model, segment"),
        ({"timeout": 0}, "timeout must be above 0"),
        ({"size": 0}, "size must be 1"),
        ({"data": ["nothing"]}, "there is no .*nothing, which data names"),
        ({"outputs": {}}, "at least one output"),
        ({"n": 1}, "at least 2 training examples"),
    ],
)
def test_commands_that_cannot_be(here, changes, sentence):
    Path("plain.sh").touch()
    with pytest.raises(InputError, match=sentence):
        command(**({"command": "true {job}", "n": 4, "outputs": {"a": [2]}} | changes))


SAVE = "import numpy as np\nnp.save(job / 'a.npy', "
ENDS = {
    "sys.exit('no good\\nat all')": "python.* failed with exit code 1; it said: no good | at all",
    "os.kill(os.getpid(), 11)": "was ended by SIGSEGV",
    "print('x' * 5_000_000); sys.stderr.write('y' * 5_000_000 + '\\nlast words\\n'); sys.exit(3)": "y | last words$",
    "print('on the wrong stream'); sys.exit(2)": "exit code 2; it said: on the wrong stream",
}

LEFT = {
    "pass": r"finished, but left no a.npy in its job folder; declared are numbers \[2\]",
    "(job / 'a.npy').write_bytes(b'text')": "left a a.npy that cannot be read",
    f"{SAVE}[1, 2]); data = (job / 'a.npy').read_bytes(); (job / 'a.npy').write_bytes(data[:-4])": "cannot be read",
    f"{SAVE}np.array([{{}}, 1], object), allow_pickle=True)": r"cannot be read .Object arrays cannot be loaded",
    f"{SAVE}[1, 2, 3])": r"left a a.npy of int64 \[3\]; declared are numbers \[2\]",
    f"{SAVE}['x', 'y'])": r"left a a.npy of <U1 \[2\]; declared are numbers \[2\]",
    "(job / 'a.npy').mkdir()": "cannot be read",
}


@pytest.mark.parametrize("code", LEFT)
def test_what_no_other_model_will_leave_better_ends_the_collection(here, code):
    with pytest.raises(SchemaError, match=LEFT[code]) as caught:
        python(code).train(MASKS[:1], SEEDS[:1])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("code", ENDS)
def test_what_goes_wrong_is_said_in_one_sentence(here, code):
    with pytest.raises(CollectError) as caught:
        python(code).train(MASKS[:1], SEEDS[:1])
    assert re.search(ENDS[code].replace(" | ", r" \| "), str(caught.value)), caught.value
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


def test_megabytes_of_output_do_not_block(here):
    code = "for _ in range(100): print('x' * 100_000); sys.stderr.write('y' * 100_000)\n"
    assert python(code + SUM).train(MASKS[:1], SEEDS[:1])["a"].tolist() == [[5, 7]]


FAMILY = """
import subprocess
for _ in range(2):
    child = subprocess.Popen(["sleep", "1000"])
    (Path(os.environ["MARKS"]) / str(child.pid)).touch()
(Path(os.environ["MARKS"]) / str(os.getpid())).touch()
"""


@pytest.fixture
def marks(tmp_path):
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


def members(marks):
    return [int(path.name) for path in marks.iterdir()]


def test_a_hanging_command_is_stopped_with_all_its_children(here, marks):
    family = 'for i in 1 2; do sleep 1000 & touch "$MARKS/$!"; done; touch "$MARKS/$$"; wait'
    task = command(["sh", "-c", family, "sh", "{job}"], 4, {"a": [2]}, timeout=3, env={"MARKS": marks})
    with pytest.raises(CollectError, match="took longer than its timeout of 3 s and was stopped"):
        task.train(MASKS[:1], SEEDS[:1])
    assert len(members(marks)) == 3
    wait_until(lambda: not any(running(pid) for pid in members(marks)))


def test_children_a_command_leaves_behind_end_with_it(here, marks):
    task = python(FAMILY + SUM, env={"MARKS": marks})
    assert task.train(MASKS[:1], SEEDS[:1])["a"].tolist() == [[5, 7]]
    wait_until(lambda: not any(running(pid) for pid in members(marks)))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_the_process_that_asked_is_ended(here, marks, tmp_path, how):
    python(FAMILY + "time.sleep(1000)")
    asking = (
        "import sys, tempfile, numpy as np\nfrom subtrain.tasks import command\n"
        f"tempfile.tempdir = {str(tmp_path / 'scratch')!r}\n"
        "task = command([sys.executable, 'job_code.py', '{job}'], 4, {'a': [2]})\n"
        "task.train(np.ones((1, 4), bool), np.zeros(1, np.uint32))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", asking], env={**os.environ, "MARKS": str(marks)}, stderr=subprocess.DEVNULL
    ) as asker:
        wait_until(lambda: len(members(marks)) == 3)
        asker.send_signal(how)
        asker.wait(20)
    wait_until(lambda: not any(running(pid) for pid in members(marks)))
    wait_until(lambda: not any((tmp_path / "scratch").iterdir()))


def test_a_model_that_fails_is_left_out_and_the_rest_is_kept(here, tmp_path):
    code = "import numpy as np\nseed = json.loads((job / 'job.json').read_text())['models'][0]['seed']\n"
    design = Design(models=6, heldout=0, seed=1, kind="fixed")
    bad = int(design.seeds([2])[0])
    code += f"if seed == {bad}: sys.exit('this seed is bad')\nnp.save(job / 'a.npy', [seed % 7, 1])"
    study = Study.create(tmp_path / "s", python(code), design, segment=3)
    with pytest.raises(
        CollectError, match=r"model 2: the command .* failed with exit code 1; it said: this seed is bad"
    ):
        study.collect(workers=1, progress=False)
    assert study.done().tolist() == [0, 1, 3, 4, 5]
    assert "The end of what it printed" in (study.path / "failures/000002.txt").read_text()
