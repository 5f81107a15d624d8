"""The parent's end of one worker process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from subtrain.collection.engines.local.device_memory import Growth
from subtrain.collection.workers.train_segment import DEVICE
from subtrain.collection.workers.worker import log_name
from subtrain.designs.model_rows import Span
from subtrain.studies.stored_study import LOGS, StoredStudy
from subtrain.system.plotting import without_notebook

ONE_THREAD = {
    f"{library}_NUM_THREADS": "1"
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB_MAXIMUM", "NUMEXPR", "BLIS")
}


def worker_command(imports: str, argument: str) -> list[str]:
    """The words that start a Python process whose `main`, imported by `imports`, gets the argument."""
    # Not the current folder: a random.py in it is not Python's. Where it counts, the greeting names it.
    return [sys.executable, "-P", "-c", f"{imports}; import sys; main(sys.argv[1])", argument]


def worker_environment(device: str | None) -> dict[str, str]:
    """One thread a library, logs that take any text, and the device if the worker is told one."""
    told = {"PYTHONIOENCODING": "utf-8:backslashreplace", **({DEVICE: device} if device else {})}
    return {**without_notebook(os.environ), **ONE_THREAD, **told}


class Worker:
    """One worker process, started at once."""

    def __init__(self, study: StoredStudy, greeting: dict[str, Any], device: str | None = None) -> None:
        self.process = subprocess.Popen(
            worker_command("from subtrain.collection.workers.worker import main", study.store.address),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=worker_environment(device),
            start_new_session=True,
        )
        self.deadline: float | None = None
        self.overdue = ""
        self.ended = False
        # Models whose training it has begun.
        self.begun = 0
        self.growth = Growth()
        self.log = study.local / LOGS / log_name(self.process.pid)
        self._send(greeting)

    def answers(self) -> Iterator[dict[str, Any]]:
        """Messages from the worker until it dies."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with suppress(json.JSONDecodeError):
                yield json.loads(line)

    def train(self, span: Span, careful: bool, last_try: bool, skip: list[int]) -> None:
        """Send one segment; `answers` tells what became of it."""
        worn = self.begun > 0
        order = {"start": span[0], "stop": span[1], "careful": careful, "last_try": last_try, "skip": skip}
        self._send(order | {"worn": worn})

    def stop_if_late(self, timeout: float) -> None:
        """End it if it is past its deadline, which was `timeout` seconds away."""
        deadline = self.deadline
        if deadline is not None and time.monotonic() > deadline and not self.overdue:
            self.overdue = f"it took longer than the timeout of {timeout:g} s and was stopped"
            self.end()

    def stop(self) -> None:
        """Say goodbye and wait; the log is removed if nothing was printed."""
        self._send(None)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.kill()

    @property
    def killed_by_others(self) -> bool:
        """Whether it died of a SIGKILL that was not sent from here, as a system short of memory does."""
        return self.process.wait() == -signal.SIGKILL and not self.ended

    def end(self) -> None:
        """Kill it, and the subprocesses of user code with it."""
        self.ended = self.ended or self.process.poll() is None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End it now, and tidy up."""
        self.end()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        with suppress(OSError):
            if self.log.stat().st_size == 0:
                self.log.unlink()

    def obituary(self) -> str:
        """How it died, and where its last words are."""
        code = self.process.wait()
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        said = f"; see {self.log}" if self.log.exists() and self.log.stat().st_size else ""
        if self.overdue:
            return self.overdue + said
        return f"its worker process died with {how}{hint}{said}"

    def _send(self, message: Any) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError, ValueError):
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
