"""`subtrain` as a person runs it: a process of its own."""

import subprocess
import sys


def run(*args, cwd=None, **kwargs):
    """`subtrain ARGS` in a process of its own."""
    command = [sys.executable, "-m", "subtrain", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd, **kwargs)


def ok(*args, **kwargs):
    done = run(*args, **kwargs)
    assert done.returncode == 0, done.stderr
    return done.stdout
