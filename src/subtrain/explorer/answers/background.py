"""Answers that take long to compute: the server computes them in the background, the single file waits for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from typing_extensions import TypedDict

from subtrain.explorer.jobs import BackgroundJob, State, run


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
