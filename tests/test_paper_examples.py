"""examples/paper: every row of Table 1, at any scale."""

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

PAPER = Path(__file__).parents[1] / "examples" / "paper"
ROWS = [
    (name, pct) for name, row in tomllib.loads((PAPER / "table1.toml").read_text()).items() for pct in row["models"]
]


def run(*args, cwd):
    command = [sys.executable, str(PAPER / "run.py"), *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)


def test_there_is_every_row_of_the_table():
    assert [("cifar", p) for p in ("10", "20", "50", "75")] + [("fmow", p) for p in ("20", "50", "75")] == ROWS


def test_it_says_what_the_whole_takes_and_starts_nothing(tmp_path):
    said = run("cifar", 50, "--data", "nowhere", cwd=tmp_path).stdout
    assert "300,000 fit models and 10,000 evaluation models, each resnet9 of width 64 on 25,000 of 50,000" in said
    assert "1,464 hours of one A100, $2,927.78 at $2 an hour" in said
    assert "Nothing was started" in said
    assert not any(tmp_path.iterdir())


def test_a_row_that_is_not_in_the_table(tmp_path):
    done = run("fmow", 10, "--data", "x", cwd=tmp_path)
    assert done.returncode == 1
    assert "fmow was not run at 10 %: choose from 20, 50, 75" in done.stderr


@pytest.mark.slow
def test_the_whole_loop_shrunk(tmp_path):
    pytest.importorskip("torch")
    random = np.random.default_rng(0)
    labels = {split: random.integers(0, 10, count) for split, count in (("train", 120), ("test", 30))}
    images = {s: (random.integers(0, 40, (len(y), 32, 32, 3)) + 20 * y[:, None, None, None]) for s, y in labels.items()}
    arrays = {f"x_{s}": x.astype(np.uint8) for s, x in images.items()} | {f"y_{s}": y for s, y in labels.items()}
    np.savez(tmp_path / "data.npz", **arrays)
    given = ("cifar", 50, "--data", tmp_path / "data.npz", "--scale", 1e-6, "--epochs", 2, "--yes", "-o", "workers=2")
    done = run(*given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Evaluation(test_margins" in done.stdout
    again = run(*given, cwd=tmp_path)
    assert "Evaluation(test_margins" in again.stdout
