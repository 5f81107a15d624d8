"""Independent pieces of work on a few threads; the kernels release the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from subtrain.errors import InputError
from subtrain.system.machine import cores

Piece = TypeVar("Piece")
Progress = Callable[[str, int, int], None]


def thread_count(threads: int | None) -> int:
    """`threads`, or the cores this process may use."""
    if threads is None:
        return cores()
    if threads < 1:
        raise InputError(f"threads must be at least 1, got {threads}")
    return threads


def each(
    work: Callable[[Piece], object], pieces: Iterable[Piece], threads: int, done: Callable[[Piece], None] | None = None
) -> None:
    """Call work(piece) for every piece; the first error stops the rest and is raised. `done` runs in this thread."""
    waiting = list(pieces)
    if threads == 1 or len(waiting) == 1:
        for piece in waiting:
            work(piece)
            if done:
                done(piece)
        return
    with ThreadPoolExecutor(threads) as pool:
        futures = {pool.submit(work, piece): piece for piece in waiting}
        try:
            for future in as_completed(futures):
                future.result()
                if done:
                    done(futures[future])
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
