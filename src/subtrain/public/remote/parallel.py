"""Requests at the same time, of which the first that fails ends the rest, and a limit to the bytes that they take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")


def at_once(work: Callable[[T], object], items: Iterable[T], threads: int, end: Callable[[], object] = int) -> None:
    """work(item) for each, in so many threads; `end` is called before those under way are waited for.

    The first error is raised, and nothing is begun after it.
    """
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            end()
            pool.shutdown(wait=True, cancel_futures=True)


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
