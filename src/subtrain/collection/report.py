"""What a collection did, and how far it is."""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from subtrain.store.base import Store, put_json

RUNNERS = "runners"
WINDOW = 30.0


@dataclass(frozen=True)
class Failure:
    """A segment given up: which models failed, why, and where to read more."""

    start: int
    stop: int
    why: str
    models: tuple[int, ...] = ()


@dataclass(frozen=True)
class Collected:
    """The end of a collection: models done of all, models trained now, seconds it took."""

    done: int
    total: int
    trained: int
    seconds: float

    @property
    def rate(self) -> float:
        """Models a second."""
        return self.trained / self.seconds if self.seconds > 0 else 0.0


@dataclass
class Tally:
    """Running figures of one runner, written to `runners/` for `status` to read."""

    store: Store
    name: str
    total: int
    done: int
    workers: int
    started: float = field(default_factory=time.time)
    trained: int = 0
    failed: int = 0
    retries: int = 0
    state: str = "running"
    _recent: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, models: int) -> None:
        """Models were trained."""
        self.trained += models
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
        data: dict[str, Any] = {
            f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("store", "name", "_recent")
        }
        data |= {
            "host": socket.gethostname(),
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
    return f"{RUNNERS}/{socket.gethostname()}-{os.getpid()}.json"
