"""One command, run to its end: its whole process group ends with it, or with the process that asked for it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from subtrain.errors import CollectError

TAIL = 2000
# Bytes of what a command prints that may take space, and seconds between looks at them.
_MOST, _EVERY = 8 << 20, 1.0
# How a command ends that somebody kills, and a shell whose last command was killed.
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
# Waits for the end of its input, which comes when the process at the other end dies, however it dies.
_GUARD = 'trap "" TERM; read -r _; kill -TERM 0; rm -rf -- "$1"; kill -KILL 0'


class KilledError(CollectError, MemoryError):
    """A command was killed by the system, which is nearly always short of memory then."""


def run(
    words: Sequence[str],
    folder: Path,
    env: Mapping[str, str],
    timeout: float | None = None,
    *,
    scratch: Path,
    name: str = "",
) -> None:
    """Run a command in `folder` with empty input; what it prints goes to files in `scratch`.

    Raises CollectError, with its name and the end of what it printed, unless it exits with 0 within `timeout` seconds.
    When this returns no process of the command's group is left; if this process is killed meanwhile they are killed
    too, and `scratch` is removed.
    """
    name = name or f"the command {words[0]}"
    with _guard(scratch) as group, open(scratch / "stdout", "ab") as out, open(scratch / "stderr", "ab") as err:
        try:
            command = subprocess.Popen(
                words, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, process_group=group
            )
        except OSError as error:
            raise CollectError(f"{name} could not be started: {error.strerror}") from error
        try:
            code = _wait(command, timeout, (scratch / "stdout", scratch / "stderr"))
        except subprocess.TimeoutExpired:
            raise _error(name, f"took longer than its timeout of {timeout:g} s and was stopped", scratch) from None
        finally:
            _kill(group)
            command.wait()
    if code:
        how = f"failed with exit code {code}" if code > 0 else f"was ended by {signal.Signals(-code).name}"
        raise _error(name, how, scratch, KilledError if code in _KILLED else CollectError)


def _wait(command: subprocess.Popen[bytes], timeout: float | None, printed: Sequence[Path]) -> int:
    """The command's exit code; of what it prints meanwhile only the end is kept. TimeoutExpired after `timeout` s."""
    ends = None if timeout is None else time.monotonic() + timeout
    while True:
        left = _EVERY if ends is None else max(0.0, min(_EVERY, ends - time.monotonic()))
        try:
            return command.wait(left)
        except subprocess.TimeoutExpired:
            if ends is not None and time.monotonic() >= ends:
                raise
        for path in printed:
            if path.stat().st_size > _MOST:
                end = _tail(path).encode()
                with open(path, "r+b") as file:
                    file.truncate(0)
                    file.write(end)


@contextmanager
def _guard(scratch: Path) -> Iterator[int]:
    """A process group that ends when this block does, or this process."""
    with subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "sh", str(scratch)], stdin=subprocess.PIPE, process_group=0, cwd="/"
    ) as guard:
        try:
            yield guard.pid
        finally:
            _kill(guard.pid)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _error(name: str, how: str, scratch: Path, kind: type[CollectError] = CollectError) -> CollectError:
    printed = _tail(scratch / "stderr") or _tail(scratch / "stdout")
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    last = f"; it said: {' | '.join(lines[-3:])[-300:]}" if lines else ""
    error = kind(f"{name} {how}{last}")
    if printed:
        error.add_note(f"The end of what it printed:\n{printed}")
    return error


def _tail(path: Path) -> str:
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        return file.read().decode(errors="replace")
