"""Every file in examples/ runs as its docstring says."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, tmp_path):
    if "torch" in path.read_text().split('"""')[2]:
        pytest.importorskip("torch")
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert not any(tmp_path.iterdir())


def test_groups_example_finds_the_own_class():
    path = next(p for p in EXAMPLES if p.stem == "groups_as_units")
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=300, check=True)
    assert float(done.stdout.splitlines()[-1].split()[-3]) > 0.9
