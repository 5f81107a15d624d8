"""Work on threads: everything is done once, and the first error ends it."""

from __future__ import annotations

import time

import pytest

from subtrain.errors import InputError
from subtrain.regression.counting.threads import each, thread_count


@pytest.mark.parametrize("threads", [1, 3])
def test_every_piece_is_done_once_and_reported(threads: int) -> None:
    worked: list[int] = []
    reported: list[int] = []
    each(worked.append, range(40), threads, reported.append)
    assert sorted(worked) == sorted(reported) == list(range(40))


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_is_raised_and_what_waits_is_dropped(threads: int) -> None:
    worked: list[int] = []

    def work(piece: int) -> None:
        if piece == 2:
            raise KeyError(piece)
        time.sleep(0.001)
        worked.append(piece)

    with pytest.raises(KeyError):
        each(work, range(3000), threads)
    assert len(worked) < 2000


def test_threads_are_at_least_one() -> None:
    assert thread_count(None) >= 1
    assert thread_count(5) == 5
    with pytest.raises(InputError, match="at least 1"):
        thread_count(0)
