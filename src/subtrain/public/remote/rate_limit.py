"""A limit to the bytes a second that several threads take together."""

from __future__ import annotations

import threading
import time


class Pace:
    """`wait(count)` after every so many bytes; at most `rate` bytes a second go by in the long run, None for any."""

    def __init__(self, rate: float | None) -> None:
        self.rate = rate
        self._free_at = 0.0
        self._lock = threading.Lock()

    def wait(self, count: int) -> None:
        if self.rate is None:
            return
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + count / self.rate
            pause = self._free_at - now
        time.sleep(pause)
