"""HTTP connections that cannot be used up: a request must arrive whole within seconds, and waiting ones are few."""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 15.0
MOST_WAITING = 256
# The rest of the open files are the study's: mapped arrays, segments that are read, pipes of workers.
SHARE_OF_FILES = 0.5


class TimedHTTP(H11Protocol):
    """uvicorn's HTTP/1.1, which closes a connection whose request is not whole after some seconds.

    While more than `most_waiting()` connections wait for (the rest of) a request, the one that has waited longest is
    closed for each new one, so that half-sent requests never keep others from being answered.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()
        waiting = [one for one in self.connections if isinstance(one, TimedHTTP) and one._timer is not None]
        if len(waiting) > most_waiting():
            min(waiting, key=_since).give_up()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            self._stop_waiting()
        else:
            self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._stop_waiting()  # from here on uvicorn's own timeout for idle connections counts

    def give_up(self) -> None:
        """Close the connection without an answer, since nothing that could be answered has arrived."""
        self._stop_waiting()
        self.transport.close()

    def _wait(self) -> None:
        if self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(SECONDS, self.give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def most_waiting() -> int:
    """How many connections may wait for their request at once: fewer where the process may open few files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = MOST_WAITING if files == resource.RLIM_INFINITY else int(files * SHARE_OF_FILES)
    return max(1, min(MOST_WAITING, allowed))


def _since(connection: TimedHTTP) -> float:
    return connection._timer.when() if connection._timer is not None else float("inf")
