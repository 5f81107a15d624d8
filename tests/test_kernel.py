"""Compiled code is kept where that is possible; where it is not, or what is kept is damaged, it is compiled anew."""

import os
import subprocess
import sys

import pytest

CODE = """
from subtrain.system.kernel import kernel

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


def test_a_kernel_is_compiled_anew_when_another_files_kernel_that_it_calls_has_changed(tmp_path):
    package = tmp_path / "toy"
    package.mkdir()
    head = "from subtrain.system.kernel import kernel\n"
    body = "@kernel\ndef scaled(x):\n    return FACTOR * x\n"
    (package / "constants.py").write_text("FACTOR = 2\n")
    (package / "called.py").write_text(f"{head}from toy.constants import FACTOR\n\n{body}")
    caller = "@kernel\ndef more(x):\n    return scaled(x) + 1\n"
    (package / "caller.py").write_text(f"{head}from toy.called import scaled\n\n{caller}")
    code = (
        "from pathlib import Path\nfrom subtrain.system import kernel\nkernel._PACKAGE = Path('toy').resolve()\n"
        "from toy.caller import more\nprint(more(3), sum(more.stats.cache_hits.values()))"
    )

    def run():
        env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert [run(), run()] == ["7 0\n", "7 1\n"]
    changed = body.replace("* x", "* x + 1")
    (package / "called.py").write_text(f"{head}from toy.constants import FACTOR\n\n{changed}")
    assert [run(), run()] == ["8 0\n", "8 1\n"], "the kernel that it calls"
    (package / "constants.py").write_text("FACTOR = 3\n")
    assert [run(), run()] == ["11 0\n", "11 1\n"], "a constant of that"


HEARD = """
from subtrain.system.compiling import told_of_compiling
from module import more, twice

with told_of_compiling(lambda: print("compiling")):
    twice(2.0), more(2.0), more(4)
"""


def test_whoever_listens_hears_once_that_code_is_compiled(compiled, tmp_path):
    compiled()
    (tmp_path / "listening.py").write_text(HEARD)
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    words = [sys.executable, "listening.py"]
    for expected in ("1\ncompiling\n", "1\n"):
        assert subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True).stdout == expected
