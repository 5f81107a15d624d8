"""Processes that die at a given step, and watching processes from outside."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path


def running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Return as soon as the condition holds; AssertionError if it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def forked(act: Callable[[], object]) -> int:
    """Run `act` in a child process, which starts in no time; returns its number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 70
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    return child


def ended(child: int) -> int:
    """The exit code of a child process, when it has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def dying_at(step: int, *functions: str, after: bool = False) -> None:
    """From now on this process dies as if by SIGKILL at its `step`-th call of one of these functions of `os`.

    It dies before the call; with `after`, the moment behind each call is a step, too.
    """
    steps = 0

    def reach() -> None:
        nonlocal steps
        steps += 1
        if steps == step:
            os._exit(9)

    def watch(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            reach()
            done = real(*args, **kwargs)
            if after:
                reach()
            return done

        return call

    for name in functions:
        setattr(os, name, watch(getattr(os, name)))
