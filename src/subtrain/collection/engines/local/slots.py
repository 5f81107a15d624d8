"""How many workers, on which devices: picked from what the machine has, or as the user says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from subtrain.errors import InputError
from subtrain.formatting import size

CPU = "cpu"
# Of the memory that is free, what workers may take together.
SHARE = 0.9


@dataclass(frozen=True)
class Slots:
    """A place for one worker each: `devices` names the device of each ("cpu", "cuda:0"), on `cores` cores.

    told: workers learn their device (SUBTRAIN_DEVICE); why: what kept their number below that of the cores.
    """

    devices: tuple[str, ...]
    cores: int
    told: bool = False
    why: str = ""

    def __len__(self) -> int:
        return len(self.devices)

    def __str__(self) -> str:
        count = Counter(self.devices)
        workers = _plural(len(self), "worker")
        if set(count) == {CPU}:
            text = f"{workers} x 1 thread on {_plural(self.cores, 'core')}"
        elif len(set(count.values())) == 1:
            each = next(iter(count.values()))
            text = f"{workers} on {', '.join(count)}" + (f" ({each} each)" if len(count) > 1 and each > 1 else "")
        else:
            text = f"{workers} on {', '.join(f'{name} ({many})' for name, many in count.items())}"
        return f"{text}, {self.why}" if self.why else text


def pick_slots(
    cores: int,
    segments: int,
    *,
    workers: int | None = None,
    devices: Sequence[str] | None = None,
    per_device: int | None = None,
    wants: str | None = None,
    needs: str | None = None,
    gpus: Sequence[str] = (),
    worker_bytes: int | None = None,
    free_bytes: int | None = None,
) -> Slots:
    """Slots for this many missing `segments`; never more workers than segments.

    workers, devices, per_device: what the user says, which is done as said. wants: the task's `device`; "cuda" takes
    `gpus` where there are any, one worker each; needs: the device without which the task is not to be trained.
    worker_bytes: memory one worker took at most so far, if that is known;
    free_bytes: memory that is free. Raises InputError for numbers below 1, no devices, or a contradiction.
    """
    for name, value in (("workers", workers), ("per_device", per_device)):
        if value is not None and value < 1:
            raise InputError(f"{name} must be 1 or more, got {value}")
    if devices is not None and not (devices and all(devices)):
        raise InputError("devices must name at least one, for example cuda:0")
    if workers and per_device:
        raise InputError("give the number of workers or of workers per device, not both")
    if needs and devices is None:
        gpus = [name for name in gpus if needs in ("cuda", name)]
        if not gpus:
            raise InputError(
                f"the task asks for device={needs!r}, and torch sees no such device here: train on a machine that has "
                "one, or use --device cpu (devices=['cpu'])"
            )
    told = devices is not None or wants is not None
    on = list(dict.fromkeys(devices)) if devices else (list(gpus) if wants == "cuda" else []) or [CPU]
    many, why = workers or len(on) * (per_device or (cores if on == [CPU] else 1)), ""
    if workers is None and per_device is None and worker_bytes and free_bytes:
        fits = max(1, int(SHARE * free_bytes // worker_bytes))
        if fits < many:
            many = fits
            why = f"as one took up to {size(worker_bytes)} of the {size(free_bytes)} of memory that are free"
    if segments < many:
        many, why = segments, f"as only {_plural(segments, 'segment')} {'is' if segments == 1 else 'are'} missing"
    return Slots(tuple(on[i % len(on)] for i in range(many)), cores, told, why)


def _plural(count: int, thing: str) -> str:
    return f"{count} {thing}" + "s" * (count != 1)
