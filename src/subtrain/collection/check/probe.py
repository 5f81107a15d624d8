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
from subtrain.arrays import as_array
from subtrain.collection.check.import_time import timed_imports
from subtrain.collection.engines.local.worker_process import worker_command, worker_environment
from subtrain.collection.workers import task_message
from subtrain.collection.workers.worker import peak_memory
from subtrain.errors import CollectError, InputError, SubtrainError
from subtrain.outputs import Output
from subtrain.studies.trust import Making
from subtrain.tasks.base import Source, Task
from subtrain.tasks.kit.run_command import run
from subtrain.tasks.watching.watched import changes, parts_of

ORDER, EVENTS, SWEEP = "order.json", "events.jsonl", "sweep.npz"
# Seconds that trying further subsets may take, or twice the time of the first model if that is more.
SWEEP_SECONDS = 5.0
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Trial:
    """One call of the task's `train`: masks bool [k, n], seeds [k]."""

    masks: NDArray[np.bool_]
    seeds: NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class Probed:
    """What a probe found: outputs [k, *shape] and seconds of each trial, seconds until the task was there, memory.

    raw: the outputs before they were cast to their declared dtypes, float64. imports: seconds by package until the task
    was there. swept: why each further subset that was tried failed, "" where it did not. failure: why it ended early,
    "" if it did not; details: the traceback or what was printed.
    """

    outputs: tuple[Arrays, ...]
    raw: tuple[Arrays, ...]
    seconds: tuple[float, ...]
    start: float
    memory: int
    failure: str
    details: str
    imports: Mapping[str, float]
    swept: Mapping[int, str]


def probe(
    task: Task,
    source: Source | None,
    trials: Sequence[Trial],
    folder: Path,
    device: str | None = None,
    timeout: float | None = None,
    sweep: tuple[Sequence[int], Trial] | None = None,
) -> Probed:
    """Run the trials one after another in a process of their own; `folder` is empty and stays the caller's.

    sweep: numbers of further models, with their masks and seeds, to try as long as time allows, hard ones first.
    """
    order = task_message.pack(task, Making(source, own=True) if source else None)
    order |= {"began": time.time(), "trials": len(trials), "fingerprint": task.fingerprint if source else None}
    order["parts"] = dict(parts_of(task)) if source else {}
    if sweep is not None:
        np.savez(folder / SWEEP, rows=np.asarray(sweep[0]), masks=sweep[1].masks, seeds=sweep[1].seeds)
    (folder / ORDER).write_text(json.dumps(order), encoding="utf-8")
    for k, trial in enumerate(trials):
        np.savez(folder / f"trial-{k}.npz", masks=trial.masks, seeds=trial.seeds)
    death, details = "", ""
    words = worker_command("from subtrain.collection.check.probe import main", str(folder))
    try:
        run(words, Path.cwd(), worker_environment(device), timeout, scratch=folder, name="the process that trains")
    except CollectError as error:
        death, details = str(error), "\n".join(getattr(error, "__notes__", []))
    events = [json.loads(line) for line in (folder / EVENTS).read_text(encoding="utf-8").splitlines()]
    trained = [event for event in events if event["event"] == "trained"]
    failed = next((event for event in events if event["event"] == "failed"), {"error": death, "details": details})
    ready: dict[str, Any] = next((event for event in events if event["event"] == "ready"), {})
    return Probed(
        raw=tuple(_load(folder / f"raw-{k}.npz", task.outputs) for k in range(len(trained))),
        imports=ready.get("imports", {}),
        swept={event["row"]: event["error"] for event in events if event["event"] == "swept"},
        outputs=tuple(_load(folder / f"outputs-{k}.npz", task.outputs) for k in range(len(trained))),
        seconds=tuple(event["seconds"] for event in trained),
        start=ready.get("seconds", float("nan")),
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
    with timed_imports() as imports:
        task = task_message.unpack(order)
    assert task is not None
    say(event="ready", seconds=time.time() - order["began"], imports=dict(imports))
    if order["fingerprint"] not in (None, task.fingerprint):
        which = changes(order["parts"], task)
        raise InputError(
            f"made again in another process the task has another fingerprint{f' ({which})' if which else ''}, so that "
            "collect would refuse it as changed: its data or code differ at each import; draw data with a seed, as "
            "np.random.default_rng(0) does"
        )
    try:
        first = _trials(place, task, order["trials"], say)
    except outputs.SchemaError:
        raise
    except Exception:
        _sweep(place, task, SWEEP_SECONDS, say)
        raise
    _sweep(place, task, max(SWEEP_SECONDS, 2 * first), say)


def _trials(place: Path, task: Task, count: int, say: Any) -> float:
    """Train and keep what each trial asks for; the seconds of the first."""
    first = 0.0
    for k in range(count):
        with np.load(place / f"trial-{k}.npz", allow_pickle=False) as trial:
            masks, seeds = trial["masks"], trial["seeds"]
        began = time.perf_counter()
        returned = task.train(masks, seeds)
        seconds = time.perf_counter() - began
        first = first or seconds
        checked: dict[str, Any] = outputs.check(task.outputs, returned, range(len(seeds)))
        np.savez(place / f"outputs-{k}.npz", **checked)
        raw: dict[str, Any] = {name: np.asarray(as_array(returned[name]), np.float64) for name in checked}
        np.savez(place / f"raw-{k}.npz", **raw)
        say(event="trained", seconds=seconds, memory=peak_memory())
    return first


def _sweep(place: Path, task: Task, budget: float, say: Any) -> None:
    """Train further models one at a time, if any are asked for, and say of each why it failed."""
    if not (place / SWEEP).exists():
        return
    with np.load(place / SWEEP, allow_pickle=False) as sweep:
        rows, masks, seeds = sweep["rows"], sweep["masks"], sweep["seeds"]
    began = time.perf_counter()
    for k, row in enumerate(rows.tolist()):
        if time.perf_counter() - began > budget:
            return
        why = ""
        try:
            outputs.check(task.outputs, task.train(masks[k : k + 1], seeds[k : k + 1]), [row])
        except SubtrainError as error:
            why = str(error)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        say(event="swept", row=row, error=(why.splitlines() or [""])[0][:500])
