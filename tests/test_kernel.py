"""Compiled code is kept where that is possible; where it is not, or what is kept is damaged, it is compiled anew."""

import os
import subprocess
import sys

import pytest

CODE = """
from subtrain.kernel import kernel

@kernel
def twice(x):
    return 2 * x

@kernel
def more(x):
    return twice(x) + 1

assert more(3) == 7
print(sum(more.stats.cache_hits.values()) if hasattr(more, 'stats') else 0)
"""


@pytest.fixture
def compiled(tmp_path):
    """compiled(**environment): the output of a process that runs kernels of a module of its own."""
    (tmp_path / "module.py").write_text(CODE)

    def run(**environment):
        env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), **environment}
        return subprocess.run(
            [sys.executable, "module.py"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )

    return run


@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:-50] + bytes(50)])
def test_a_damaged_cache_is_compiled_anew(compiled, tmp_path, ending, damage):
    assert compiled().stdout == "0\n"
    assert compiled().stdout == "1\n", "kept"
    files = [file for file in (tmp_path / "cache").rglob("*") if file.suffix == ending]
    assert files
    for file in files:
        file.write_bytes(damage(file.read_bytes()))
    done = compiled()
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
    assert compiled().stdout == "1\n", "and kept again"


def test_no_room_for_a_cache_is_said_once(compiled, tiny_disk):
    (tiny_disk / "full").write_bytes(bytes(199 << 10))
    done = compiled(NUMBA_CACHE_DIR=str(tiny_disk))
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
    assert done.stderr.count("compiled code cannot be kept") == 1


def test_no_place_for_a_cache_is_said_once(compiled):
    done = compiled(NUMBA_CACHE_LOCATOR_CLASSES="ZipCacheLocator")
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
    assert done.stderr.count("compiled code cannot be kept") == 1
