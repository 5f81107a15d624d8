"""The engine of this machine: which workers suit it, and the executor that feeds them."""

from __future__ import annotations

from collections.abc import Sequence

from subtrain.collection.engines.engine_protocol import device_of
from subtrain.collection.engines.local.executor import LocalExecutor
from subtrain.collection.engines.local.slots import pick_slots
from subtrain.collection.tally import Tally, known_worker_bytes
from subtrain.designs.model_rows import Span
from subtrain.studies.stored_study import StoredStudy
from subtrain.system.machine import available_memory, cores, promised_gpus, visible_gpus


def local(
    study: StoredStudy,
    segments: list[Span],
    tally: Tally,
    *,
    workers: int | None = None,
    devices: Sequence[str] | None = None,
    per_device: int | None = None,
    timeout: float | None = None,
) -> LocalExecutor:
    """The engine of this machine.

    A device that runs out of memory gets fewer workers, and no model fails for it as long as one worker is enough.

    Args:
        workers: Worker processes, each with one BLAS thread; by default one a core, or one a GPU for a task that uses
            them, fewer if memory would not do.
        devices: Devices to train on, for example cuda:0 and cuda:1, or cpu.
        per_device: Workers on each device.
        timeout: Seconds that one call of the task's `train` may take.
    """
    wants = device_of(study, segments, timeout)
    gpus = visible_gpus() if wants == "cuda" and devices is None else ()
    slots = pick_slots(
        cores(),
        len(segments),
        workers=workers,
        devices=devices,
        per_device=per_device,
        wants=wants,
        needs=getattr(study.task, "needs", None) if segments else None,
        gpus=gpus,
        worker_bytes=known_worker_bytes(study.store),
        free_bytes=available_memory(),
    )
    tally.workers, tally.slots = len(slots), str(slots)
    if wants == "cuda" and devices is None and not gpus:
        tally.notes += promised_gpus()
    return LocalExecutor(study, segments, slots, tally, timeout)
