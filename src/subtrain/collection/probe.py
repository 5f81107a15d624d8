"""A process that trains a few models for `check`, as a worker would, and writes down how that went."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain import outputs
from subtrain.collection import travel
from subtrain.collection.process import worker_command, worker_environment
from subtrain.collection.worker import peak_memory
from subtrain.errors import CollectError, SubtrainError
from subtrain.outputs import Output
from subtrain.store.trust import Making
from subtrain.tasks.base import Source, Task
from subtrain.tasks.run import run

ORDER, EVENTS = "order.json", "events.jsonl"
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Trial:
    """One call of the task's `train`: masks bool [k, n], seeds [k]."""

    masks: NDArray[np.bool_]
    seeds: NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class Probed:
    """What a probe found: outputs [k, *shape] and seconds of each trial, seconds until the task was there, memory.

    failure: why it ended early, "" if it did not; details: the traceback or what was printed.
    """

    outputs: tuple[Arrays, ...]
    seconds: tuple[float, ...]
    start: float
    memory: int
    failure: str
    details: str


def probe(
    task: Task,
    source: Source | None,
    trials: Sequence[Trial],
    folder: Path,
    device: str | None = None,
    timeout: float | None = None,
) -> Probed:
    """Run the trials one after another in a process of their own; `folder` is empty and stays the caller's."""
    order = travel.pack(task, Making(source, own=True) if source else None)
    order |= {"began": time.time(), "trials": len(trials)}
    (folder / ORDER).write_text(json.dumps(order), encoding="utf-8")
    for k, trial in enumerate(trials):
        np.savez(folder / f"trial-{k}.npz", masks=trial.masks, seeds=trial.seeds)
    death, details = "", ""
    words = worker_command("from subtrain.collection.probe import main", str(folder))
    try:
        run(words, Path.cwd(), worker_environment(device), timeout, scratch=folder, name="the process that trains")
    except CollectError as error:
        death, details = str(error), "\n".join(getattr(error, "__notes__", []))
    events = [json.loads(line) for line in (folder / EVENTS).read_text(encoding="utf-8").splitlines()]
    trained = [event for event in events if event["event"] == "trained"]
    failed = next((event for event in events if event["event"] == "failed"), {"error": death, "details": details})
    return Probed(
        outputs=tuple(_load(folder / f"outputs-{k}.npz", task.outputs) for k in range(len(trained))),
        seconds=tuple(event["seconds"] for event in trained),
        start=next((event["seconds"] for event in events if event["event"] == "ready"), float("nan")),
        memory=max((event["memory"] for event in trained), default=0),
        failure=failed["error"],
        details=failed["details"],
    )


def _load(path: Path, names: Mapping[str, Output]) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in names}


def main(folder: str) -> None:
    """The other end."""
    place = Path(folder)
    with open(place / EVENTS, "a", buffering=1, encoding="utf-8") as events:

        def say(**event: Any) -> None:
            events.write(json.dumps(event) + "\n")

        try:
            _serve(place, json.loads((place / ORDER).read_text(encoding="utf-8")), say)
        except BaseException as error:  # sys.exit in training code too
            ours = isinstance(error, SubtrainError)
            why = str(error) if ours else f"{type(error).__name__}: {error}"
            say(event="failed", error=why, details="" if ours else "".join(traceback.format_exception(error)))


def _serve(place: Path, order: dict[str, Any], say: Any) -> None:
    task = travel.unpack(order)
    assert task is not None
    say(event="ready", seconds=time.time() - order["began"])
    for k in range(order["trials"]):
        with np.load(place / f"trial-{k}.npz", allow_pickle=False) as trial:
            masks, seeds = trial["masks"], trial["seeds"]
        began = time.perf_counter()
        returned = task.train(masks, seeds)
        seconds = time.perf_counter() - began
        checked: dict[str, Any] = outputs.check(task.outputs, returned, range(len(seeds)))
        np.savez(place / f"outputs-{k}.npz", **checked)
        say(event="trained", seconds=seconds, memory=peak_memory())
