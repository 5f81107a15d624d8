"""Computations in the background, one at a time, each once, its result kept; and answers that wait for them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from typing_extensions import TypedDict

from subtrain.errors import SubtrainError

State = Literal["queued", "computing", "done", "failed"]
KEPT = 64
AGAIN = 60.0


@dataclass(eq=False)
class BackgroundJob:
    """state: queued, computing, done or failed; value: its result when it is done; why: a sentence when it failed."""

    state: State = "queued"
    value: Any = None
    why: str = ""
    ended: float = 0.0


@dataclass(eq=False)
class Jobs:
    """A worker thread, so that at most one long computation competes with answers, and results by key."""

    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "subtrain-explorer"), repr=False)
    _jobs: OrderedDict[Hashable, BackgroundJob] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def once(self, key: Hashable, compute: Callable[[], Any]) -> BackgroundJob:
        """The job of this key, started now if it is new, or failed a minute ago; the oldest results are forgotten."""
        with self._lock:
            job = self._jobs.get(key)
            if job is None or (job.state == "failed" and time.monotonic() - job.ended > AGAIN):
                job = self._jobs[key] = BackgroundJob()
                self._pool.submit(run, job, compute)
                finished = [old for old, one in self._jobs.items() if one.state in ("done", "failed")]
                for old in finished[: max(0, len(self._jobs) - KEPT)]:
                    del self._jobs[old]
            return job

    def stop(self) -> None:
        """Begin nothing more; what is under way ends with the process."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def run(job: BackgroundJob, compute: Callable[[], Any]) -> None:
    """Compute it now; a failure is kept as a sentence."""
    job.state = "computing"
    try:
        job.value = compute()
        job.state = "done"
    except Exception as error:  # the page must say that it failed, whatever it was
        expected = isinstance(error, SubtrainError)
        job.why = str(error) if expected else f"unexpected {type(error).__name__}: {error}"
        job.ended, job.state = time.monotonic(), "failed"


class Background(TypedDict):
    """What is computed in the background when it is first asked for: ask again until state is done or failed.

    state: queued, computing, done or failed, and then why in one sentence; the rest is empty until it is done.
    """

    state: State
    why: str


def answer(job: BackgroundJob, empty: Mapping[str, Any]) -> Any:
    """What a job has found, or how it stands beside an empty answer."""
    found = job.value if job.state == "done" else empty
    return {"state": job.state, "why": job.why, **found}


def computed(compute: Callable[[], Mapping[str, Any]], empty: Mapping[str, Any]) -> Any:
    """The same answer, computed now."""
    job = BackgroundJob()
    run(job, compute)
    return answer(job, empty)
