"""Check a task before a study is made of it: does it work, can it be repeated, what will it cost here?"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from subtrain.collection import mistakes
from subtrain.collection.checked import Agreement, Checked
from subtrain.collection.mistakes import Arrays
from subtrain.collection.probe import Probed, Trial, probe
from subtrain.collection.slots import Slots, pick_slots
from subtrain.design import Design
from subtrain.errors import InputError
from subtrain.machine import available_memory, cores, visible_gpus
from subtrain.store.study import task_and_source
from subtrain.tasks.base import Source, Task
from subtrain.wording import duration, size

SEGMENT = 64
# Seconds that starting a worker may take before it is worth a word.
SLOW_START = 10.0
FIRST, AGAIN, SEED, MASK, BESIDE = range(5)


def check(
    task: Task | str,
    params: Mapping[str, Any] | None = None,
    *,
    alpha: float = 0.5,
    models: int = 1000,
    timeout: float | None = None,
) -> Checked:
    """Train a few models of a task (or of its name, with `params`) in processes like collect's, and compare them.

    The same model is trained twice, in a fresh process, and beside neighbours if the task takes several a call; another
    seed and another mask show whether they are used. alpha and models: of the study to come, whose time and disk on
    this machine are estimated. timeout: seconds one of the processes may take. Raises InputError when the task cannot
    be made; a task that fails in training is what the result tells.
    """
    design = Design(alpha=alpha, models=models)
    if models < 2:
        raise InputError(f"a check compares models: models must be 2 or more, got {models}")
    found, source = task_and_source(task, params)
    design = design.for_units(found.n)
    slots = _slots(found, design.rows, None)
    trials = _trials(found, design)
    one = _probed(found, source, trials, slots, timeout)
    result = Checked(
        name=task if isinstance(task, str) else (source.name if source else type(found).__name__),
        n=found.n,
        batch=_batch(found),
        outputs={name: f"{list(spec.shape)} {spec.dtype}" for name, spec in found.outputs.items()},
        models=design.rows,
        alpha=alpha,
    )
    if one.failure:
        return replace(result, failure=one.failure, details=one.details)
    other = _probed(found, source, trials[:1], slots, timeout)
    if other.failure:
        return replace(result, failure=f"in a second process, {other.failure}", details=other.details)
    return _priced(_compared(result, found, one, other), found, one, design)


def _batch(task: Task) -> int:
    return max(1, int(getattr(task, "batch", 1)))


def _slots(task: Task, models: int, worker_bytes: int | None) -> Slots:
    wants = getattr(task, "device", None)
    gpus = visible_gpus() if wants == "cuda" else ()
    segments = -(-models // SEGMENT)
    free = available_memory()
    needs = getattr(task, "needs", None)
    return pick_slots(
        cores(), segments, wants=wants, needs=needs, gpus=gpus, worker_bytes=worker_bytes, free_bytes=free
    )


def _trials(task: Task, design: Design) -> list[Trial]:
    """What one process trains: a model twice, another seed, another mask; the model last among its neighbours."""
    rows = list(range(min(max(2, _batch(task)), design.rows)))
    masks, seeds = design.masks(rows).unpack(), design.seeds(rows)
    picks = {FIRST: ([0], [0]), AGAIN: ([0], [0]), SEED: ([0], [1]), MASK: ([1], [0])}
    if _batch(task) > 1:
        picks[BESIDE] = ([*rows[1:], 0],) * 2
    return [Trial(masks[picks[k][0]], seeds[picks[k][1]]) for k in sorted(picks)]


def _probed(task: Task, source: Source | None, trials: list[Trial], slots: Slots, timeout: float | None) -> Probed:
    with TemporaryDirectory(prefix="subtrain-check-", ignore_cleanup_errors=True) as folder:
        return probe(task, source, trials, Path(folder), slots.devices[0] if slots.told else None, timeout)


def _compared(result: Checked, task: Task, one: Probed, other: Probed) -> Checked:
    model, seed, mask = (_model(one.outputs[k]) for k in (FIRST, SEED, MASK))

    def agreement(arrays: Arrays) -> Agreement:
        return _agreement(model, arrays, mask)

    again, fresh = agreement(_model(one.outputs[AGAIN])), agreement(_model(other.outputs[FIRST]))
    beside = agreement(_model(one.outputs[BESIDE], -1)) if len(one.outputs) > BESIDE else None
    notes = [_repeated(again, fresh, beside), mistakes.seed_ignored(model, seed)]
    notes += mistakes.oddities(task.outputs, model, mask)
    failure = mistakes.mask_ignored(model, mask)
    found = tuple(note for note in notes if note)
    return replace(result, failure=failure, again=again, fresh=fresh, beside=beside, notes=found)


def _model(outputs: Arrays, k: int = 0) -> Arrays:
    return {name: array[k] for name, array in outputs.items()}


def _agreement(model: Arrays, other: Arrays, another_mask: Arrays) -> Agreement:
    if mistakes.same(model, other):
        return Agreement(True)
    apart = {name: _difference(model[name], other[name]) for name in model}
    spreads = {name: float(_difference(model[name], another_mask[name]).std()) for name in model}
    worst = max(apart, key=lambda name: apart[name].max() / (spreads[name] or 1.0))
    return Agreement(False, worst, float(apart[worst].max()), spreads[worst])


def _difference(a: Any, b: Any) -> Any:
    return np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64))


def _repeated(again: Agreement, fresh: Agreement, beside: Agreement | None) -> str:
    if not again.identical and fresh.identical:
        return (
            "the second training in a process differs from the first, with the same mask and seed: something is "
            "left over, such as a global random generator, or a model that is trained on instead of anew"
        )
    if not again.identical:
        return (
            "the same mask and seed give other outputs each time: something random is not seeded with the seed (fine "
            "if that is meant; held-out replicates then measure it too)"
        )
    if not fresh.identical:
        return "another process gives other outputs: something depends on the process, such as the order of a set"
    if beside is not None and not beside.identical:
        return "a model differs when it is trained beside others: seed each by itself, and keep what they compute apart"
    return ""


def _priced(result: Checked, task: Task, one: Probed, design: Design) -> Checked:
    together = len(one.outputs) > BESIDE
    each = one.seconds[BESIDE] / len(next(iter(one.outputs[BESIDE].values()))) if together else one.seconds[AGAIN]
    slots = _slots(task, design.rows, one.memory)
    seconds = one.start + one.seconds[FIRST] + design.rows * each / len(slots)
    disk = design.rows * sum(spec.bytes for spec in task.outputs.values())
    notes = list(result.notes)
    if one.start > SLOW_START:
        notes.append(
            f"every worker takes {duration(one.start)} to start: load data in a fast form (.npy, memory-mapped), and "
            "import only what is needed"
        )
    free = shutil.disk_usage(Path.cwd()).free
    if disk > free:
        notes.append(f"the study needs {size(disk)} on disk, but this one has {size(free)} left")
    return replace(
        result,
        notes=tuple(notes),
        start=one.start,
        first=one.seconds[FIRST],
        each=each,
        worker_bytes=one.memory,
        slots=str(slots),
        study_seconds=seconds,
        study_bytes=disk,
    )
