"""Check a task before a study is made of it: does it work, can it be repeated, what will it cost here?"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from subtrain.collection.check import task_warnings
from subtrain.collection.check.hard_subsets import Hard, hard_subsets
from subtrain.collection.check.probe import Probed, Trial, probe
from subtrain.collection.check.report import CheckReport, Repeatability
from subtrain.collection.check.task_warnings import Arrays
from subtrain.collection.engines.local.slots import Slots, pick_slots
from subtrain.designs.drawn import Design
from subtrain.errors import InputError
from subtrain.formatting import duration, size
from subtrain.studies.new_study import task_and_source
from subtrain.studies.task_design import bound
from subtrain.system.machine import available_memory, cores, visible_gpus
from subtrain.tasks.base import Source, Task
from subtrain.tasks.watching.watched import packages_of, parts_of, texts_of

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
    kind: str = "auto",
) -> CheckReport:
    """Train a few models of a task in processes like collect's, and compare them.

    The same model is trained twice, in a fresh process, and beside neighbors if the task takes several a call; another
    seed and another mask show whether they are used.

    Args:
        task: the task, or its name.
        params: parameters of a task that is given by name.
        alpha: of the study to come, whose time and disk on this machine are estimated; default 0.5.
        models: of that study; default 1000.
        timeout: seconds that one of the processes may take; by default as long as it likes.
        kind: of that study's design, as `Design` has them; default "auto".

    Returns:
        What was found; a task that fails in training is no error of the check.

    Raises:
        InputError: the task cannot be made.

    Example:
        >>> import subtrain as st
        >>> st.check("tabular", {"data": "iris"}, models=100).failure
        ''
    """
    design = Design(alpha=alpha, models=models, kind=kind, anchors=0)
    if models < 2:
        raise InputError(f"a check compares models: models must be 2 or more, got {models}")
    found, source = task_and_source(task, params)
    design = bound(design, found)
    trials = _trials(found, design)
    hard = hard_subsets(found, design)
    rows = hard.order(design.rows)
    sweep = rows, Trial(design.masks(rows).unpack(), design.seeds(rows))
    result = CheckReport(
        name=task if isinstance(task, str) else (source.name if source else type(found).__name__),
        n=found.n,
        batch=_batch(found),
        outputs={name: f"{list(spec.shape)} {spec.dtype}" for name, spec in found.outputs.items()},
        models=design.rows,
        alpha=alpha,
        watched=tuple(parts_of(found)),
        packages=packages_of(found),
        notes=(*hard.notes, *texts_of(found)),
    )
    try:
        slots = _slots(found, design.rows, None)
    except InputError as error:
        # A device that the task asks for and this machine lacks.
        return replace(result, failure=str(error))
    one = _probed(found, source, trials, slots, timeout, sweep)
    result = replace(result, tried=len(one.swept), failed=sum(map(bool, one.swept.values())))
    if one.failure:
        about = f" (model 0: {hard.rows[0]})" if 0 in hard.rows and not one.outputs else ""
        if result.failed:
            about += f"; {result.failed} of {result.tried} further subsets fail too"
        return replace(result, failure=one.failure + about, details=one.details)
    other = _probed(found, source, trials[:1], slots, timeout)
    if other.failure:
        return replace(result, failure=f"in a second process, {other.failure}", details=other.details)
    compared = _compared(result, found, one, other)
    if result.failed and not compared.failure:
        compared = replace(compared, failure=_of_those_that_fail(one.swept, hard))
    return _priced(compared, found, one, design)


def _of_those_that_fail(swept: Mapping[int, str], hard: Hard) -> str:
    first, why = next((row, why) for row, why in swept.items() if why)
    about = f", {hard.rows[first]}" if first in hard.rows else ""
    failed = sum(map(bool, swept.values()))
    fail = "fails" if failed == 1 else "fail"
    return f"{failed} of {len(swept)} subsets that were tried {fail}, such as that of model {first}{about}: {why}"


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
    """What one process trains: a model twice, another seed, another mask; the model last among its neighbors."""
    rows = list(range(min(max(2, _batch(task)), design.rows)))
    masks, seeds = design.masks(rows).unpack(), design.seeds(rows)
    picks = {FIRST: ([0], [0]), AGAIN: ([0], [0]), SEED: ([0], [1]), MASK: ([1], [0])}
    if _batch(task) > 1:
        picks[BESIDE] = ([*rows[1:], 0],) * 2
    return [Trial(masks[picks[k][0]], seeds[picks[k][1]]) for k in sorted(picks)]


def _probed(
    task: Task,
    source: Source | None,
    trials: list[Trial],
    slots: Slots,
    timeout: float | None,
    sweep: tuple[list[int], Trial] | None = None,
) -> Probed:
    with TemporaryDirectory(prefix="subtrain-check-", ignore_cleanup_errors=True) as folder:
        return probe(task, source, trials, Path(folder), slots.devices[0] if slots.told else None, timeout, sweep)


def _compared(result: CheckReport, task: Task, one: Probed, other: Probed) -> CheckReport:
    model, seed, mask = (_model(one.outputs[k]) for k in (FIRST, SEED, MASK))

    def agreement(arrays: Arrays) -> Repeatability:
        return _agreement(model, arrays, mask)

    again, fresh = agreement(_model(one.outputs[AGAIN])), agreement(_model(other.outputs[FIRST]))
    beside = agreement(_model(one.outputs[BESIDE], -1)) if len(one.outputs) > BESIDE else None
    notes = [_repeated(again, fresh, beside), task_warnings.seed_ignored(model, seed)]
    raw, raw_mask = (_model(one.raw[k]) for k in (FIRST, MASK))
    notes += task_warnings.oddities(task.outputs, model, mask)
    failure = task_warnings.too_coarse(task.outputs, model, mask, raw, raw_mask) or task_warnings.mask_ignored(
        model, mask
    )
    notes += [] if failure else task_warnings.coarse(task.outputs, raw, raw_mask)
    found = (*result.notes, *(note for note in notes if note))
    return replace(result, failure=failure, again=again, fresh=fresh, beside=beside, notes=found)


def _model(outputs: Arrays, k: int = 0) -> Arrays:
    return {name: array[k] for name, array in outputs.items()}


def _agreement(model: Arrays, other: Arrays, another_mask: Arrays) -> Repeatability:
    if task_warnings.same(model, other):
        return Repeatability(True)
    apart = {name: _difference(model[name], other[name]) for name in model}
    spreads = {name: float(_difference(model[name], another_mask[name]).std()) for name in model}
    worst = max(apart, key=lambda name: apart[name].max() / (spreads[name] or 1.0))
    return Repeatability(False, worst, float(apart[worst].max()), spreads[worst])


def _difference(a: Any, b: Any) -> Any:
    return np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64))


def _repeated(again: Repeatability, fresh: Repeatability, beside: Repeatability | None) -> str:
    what_for = "; a study of it can be collected and resumed, but verify and retrain give other numbers than it holds"
    if not again.identical and fresh.identical:
        return (
            "the second training in a process differs from the first, with the same mask and seed: something is "
            "left over, such as a global random generator, or a model that is trained on instead of anew"
        )
    if not again.identical:
        return (
            "the same mask and seed give other outputs each time: something random, such as a transform or an "
            "augmentation, is not seeded with the seed (fine if that is meant; held-out replicates then measure it too)"
            + what_for
        )
    if not fresh.identical:
        return (
            "another process gives other outputs: something depends on the process, such as the order of a set, or "
            "data that are drawn anew at each import" + what_for
        )
    if beside is not None and not beside.identical:
        return "a model differs when it is trained beside others: seed each by itself, and keep what they compute apart"
    return ""


def _slow_start(one: Probed) -> str:
    if one.start <= SLOW_START:
        return ""
    imports = sum(one.imports.values())
    said = f"every worker takes {duration(one.start)} to start, {duration(imports)} of it to import packages"
    if imports < one.start / 2:
        return f"{said}: load data in a fast form (.npy, memory-mapped)"
    most = max(one.imports, key=lambda name: one.imports[name])
    return f"{said}, most for {most} ({duration(one.imports[most])}): import only what is needed"


def _priced(result: CheckReport, task: Task, one: Probed, design: Design) -> CheckReport:
    together = len(one.outputs) > BESIDE
    each = one.seconds[BESIDE] / len(next(iter(one.outputs[BESIDE].values()))) if together else one.seconds[AGAIN]
    slots = _slots(task, design.rows, one.memory)
    seconds = one.start + one.seconds[FIRST] + design.rows * each / len(slots)
    disk = design.rows * sum(spec.bytes for spec in task.outputs.values())
    notes = list(result.notes)
    if _slow_start(one):
        notes.append(_slow_start(one))
    free = shutil.disk_usage(Path.cwd()).free
    if disk > free:
        notes.append(f"the study needs {size(disk)} on disk, but this one has {size(free)} left")
    return replace(
        result,
        notes=tuple(notes),
        start=one.start,
        imports=one.imports,
        first=one.seconds[FIRST],
        each=each,
        worker_bytes=one.memory,
        slots=str(slots),
        study_seconds=seconds,
        study_bytes=disk,
    )
