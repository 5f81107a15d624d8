"""What a collection did, and how far it is."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from subtrain.errors import CorruptError
from subtrain.store.protocol import Store, put_json, read_json
from subtrain.system.machine import host

RUNNERS = "runners"
WINDOW = 30.0


@dataclass(frozen=True)
class SegmentFailure:
    """A segment given up: which models failed, why, and where to read more."""

    start: int
    stop: int
    why: str
    models: tuple[int, ...] = ()


@dataclass(frozen=True)
class Collected:
    """The end of a collection: models done of all, models trained now, seconds it took.

    slots: the workers it began with; notes: what else happened that a person should know.
    """

    done: int
    total: int
    trained: int
    seconds: float
    slots: str = ""
    notes: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        """Models a second."""
        return self.trained / self.seconds if self.seconds > 0 else 0.0


@dataclass
class Tally:
    """Running figures of one runner, written to `runners/` for `status` and other runners to read.

    segments: what it is at work on now (see `agenda`).
    """

    store: Store
    name: str
    total: int
    done: int
    workers: int = 0
    slots: str = ""
    engine: str = "local"
    worker_bytes: int = 0
    notes: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.time)
    trained: int = 0
    under_way: int = 0
    failed: int = 0
    retries: int = 0
    state: str = "running"
    segments: list[tuple[int, int]] = field(default_factory=list)
    _recent: deque[tuple[float, int]] = field(default_factory=deque)
    _writing: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, models: int, memory: int = 0) -> None:
        """Models were trained, by a worker that took up to `memory` bytes so far."""
        self.trained += models
        self.worker_bytes = max(self.worker_bytes, memory)
        now = time.monotonic()
        self._recent.append((now, models))
        while now - self._recent[0][0] > WINDOW:
            self._recent.popleft()

    @property
    def rate(self) -> float:
        """Models a second over the last half minute, 0 until two batches have landed."""
        if len(self._recent) < 2:
            return 0.0
        span = time.monotonic() - self._recent[0][0]
        return sum(count for _, count in list(self._recent)[1:]) / span if span > 0 else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds to go at the recent rate; None when there is no rate yet."""
        left = self.total - self.done - self.trained
        return left / self.rate if self.rate > 0 else None

    def write(self) -> None:
        """Publish; a status that cannot be written never stops the work."""
        with self._writing:
            self._write()

    def _write(self) -> None:
        names = [f.name for f in fields(self) if f.name not in ("store", "name", "_recent", "_writing")]
        data: dict[str, Any] = {name: getattr(self, name) for name in names}
        data |= {
            "host": host(),
            "pid": os.getpid(),
            "rate": self.rate,
            "eta_seconds": self.eta,
            "updated": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        try:
            put_json(self.store, self.name, data, durable=False)
        except Exception:
            return


def runner_file() -> str:
    """Name of this process's file below runners/."""
    return f"{RUNNERS}/{host()}-{os.getpid()}.json"


def known_worker_bytes(store: Store) -> int | None:
    """Most memory a worker of this study took on this machine, as earlier runners wrote it down; None if none did."""
    most, mine = 0, f"{RUNNERS}/{host()}-"
    for name in store.names(RUNNERS):
        if name.startswith(mine):
            with suppress(CorruptError, FileNotFoundError, AttributeError, TypeError):
                most = max(most, read_json(store, name).get("worker_bytes", 0))
    return most or None
