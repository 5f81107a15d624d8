"""Requests at the same time, of which the first that fails ends the rest."""

from __future__ import annotations

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
