"""Every file in examples/ runs, prints what the guide says it prints, and leaves nothing behind."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commands import ok

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "how-to" / "your-own-training-code.md").read_text()
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
# Those that train with PyTorch take 20 seconds each.
SLOW = ("pytorch_module", "dataset_of_dicts")
PACED = [pytest.param(p, id=p.stem, marks=[pytest.mark.slow] if p.stem in SLOW else []) for p in EXAMPLES]
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")
COST = re.compile(r"(?:\d[\d,.]*(?: (?:µs|ms|s|min|h|d|B|kB|MB|GB))? ?)+")


def shown(command):
    """What the guide prints below `$ command`."""
    found = re.findall(rf"```console\n\$ {re.escape(command)}\n(.+?)```", GUIDE, re.S)
    assert len(found) == 1, f"the guide must show the output of {command} once"
    return found[0].splitlines()


def alike(line, expected):
    """The same words; whole numbers the same, others about the same: they vary a little by machine."""
    assert NUMBER.sub("#", line) == NUMBER.sub("#", expected)
    for got, want in zip(NUMBER.findall(line), NUMBER.findall(expected), strict=True):
        if "." in want:
            assert float(got) == pytest.approx(float(want), abs=0.05, rel=0.05), f"{line} instead of {expected}"
        else:
            assert got == want, f"{line} instead of {expected}"


def without_costs(line):
    """A line of `check` without what depends on the machine: times, sizes, how many workers and cores, versions."""
    if line.startswith("  not watched: "):
        return re.sub(r"(Python|numpy) \d[^,)]*", r"\1 #", line)
    line = re.sub(r", as [^:]+: about", ": about", line)
    return re.sub(r"\b(worker|core)s\b", r"\1", COST.sub("# ", line))


def needs(path):
    text = path.read_text()
    if "import torch" in text:
        pytest.importorskip("torch")
    if '"perl"' in text and shutil.which("perl") is None:
        pytest.skip("there is no perl here")


@pytest.mark.parametrize("path", PACED)
def test_an_example_prints_what_the_guide_says(path, tmp_path):
    needs(path)
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    expected = shown(f"python examples/{path.name}")
    assert len(done.stdout.splitlines()) == len(expected)
    for line, words in zip(done.stdout.splitlines(), expected, strict=True):
        alike(line, words)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["plain_function", "external_command"])
def test_a_check_says_what_the_guide_says(name):
    needs(ROOT / "examples" / f"{name}.py")
    command = f"check examples/{name}.py:task"
    said = [
        line for line in ok(*command.split(), cwd=ROOT).splitlines() if not line.startswith("Note: every worker takes")
    ]
    expected = shown(f"subtrain {command}")
    assert [without_costs(line) for line in said] == [without_costs(line) for line in expected]


def test_every_example_tells_how_it_is_checked():
    for path in EXAMPLES:
        assert f"examples/{path.name})" in GUIDE
    checked = set(re.findall(r"subtrain check examples/(\w+)\.py:task", GUIDE))
    assert checked >= {"plain_function", "scikit_learn", "pytorch_module", "external_command", "many_at_once"}
