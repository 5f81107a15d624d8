"""`subtrain` as a person runs it: a process of its own.

Importing the program takes longer than most commands. So each command is a fork of a process that has imported it; with
`env` or another keyword of `subprocess.run`, it is a process that starts from nothing.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

# What variables of the environment are called that are read when something is imported.
AT_IMPORT = ("PYTHON", "NUMBA", "OMP", "OPENBLAS", "MKL", "MPL", "COLUMNS")
TEMPLATE = """
import json, os, sys
import matplotlib.figure, numba, scipy.stats, sklearn.linear_model
from subtrain.cli.main import load, main

load()

for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if not child:
        code = 1
        try:
            os.environ.clear()
            os.environ.update(order["env"])
            os.chdir(order["cwd"])
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for number, path in ((1, order["out"]), (2, order["err"])):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            sys.path[0] = order["cwd"]
            sys.argv = ["subtrain", *order["args"]]
            main()
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def run(*args, cwd=None, **kwargs):
    """`subtrain ARGS`: its exit code, and what it prints."""
    if not kwargs:
        return _forked([str(arg) for arg in args], str(cwd or os.getcwd()))
    command = [sys.executable, "-m", "subtrain", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd, **kwargs)


def ok(*args, **kwargs):
    done = run(*args, **kwargs)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _forked(args: list[str], cwd: str) -> subprocess.CompletedProcess:
    # pytest says there which test it is at.
    around = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    template = _template(tuple(sorted(one for one in around.items() if one[0].startswith(AT_IMPORT))))
    with tempfile.TemporaryDirectory() as folder:
        out, err = (Path(folder) / name for name in ("out", "err"))
        order = {"args": args, "cwd": cwd, "env": around, "out": str(out), "err": str(err)}
        template.stdin.write(json.dumps(order) + "\n")
        template.stdin.flush()
        code = int(template.stdout.readline())
        return subprocess.CompletedProcess(args, code, out.read_text(), err.read_text())


@cache
def _template(variables: tuple[tuple[str, str], ...]) -> subprocess.Popen:
    """The process that has imported the program, in an environment with these variables."""
    begun = subprocess.Popen(
        [sys.executable, "-c", TEMPLATE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | dict(variables),
    )
    atexit.register(begun.kill)
    return begun
