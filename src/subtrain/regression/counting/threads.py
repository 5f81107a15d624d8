"""Independent pieces of work on a few threads; the kernels release the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import count
from typing import Any, Protocol, TypeVar

from subtrain.errors import InputError
from subtrain.system.machine import cores

Piece = TypeVar("Piece")
Progress = Callable[[str, int, int], None]


class Mapper(Protocol):
    """Runs pieces of work that know nothing of each other.

    slots: pieces at a time. map: function(item, *shared) of every item, in the order of the items; what is shared
    travels once, and arrives with arrays that may not be written to.
    """

    slots: int

    def map(self, function: Callable[..., Any], items: Sequence[Any], shared: Sequence[Any] = ()) -> Iterator[Any]: ...


def thread_count(threads: int | None) -> int:
    """`threads`, or the cores this process may use."""
    if threads is None:
        return cores()
    if threads < 1:
        raise InputError(f"threads must be at least 1, got {threads}")
    return threads


def told(progress: Progress | None, stage: str, finished: int, total: int) -> Callable[[object], None]:
    """The `done` of `each` that tells how many of `total` pieces are done, of which `finished` were before."""
    steps = count(finished + 1)

    def done(_: object) -> None:
        step = next(steps)
        if progress:
            progress(stage, step, total)

    return done


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
