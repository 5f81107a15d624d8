"""What the committed segments tell: who trained them, how fast they land, which were slow."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from subtrain.errors import CorruptError
from subtrain.studies.segments import segment_file
from subtrain.studies.stored_study import LOGS, SEGMENTS, StoredStudy

# Headers read at most, of the newest segments; the rest is known by name, time and size only. Fewer of a bucket.
HEADERS, FAR = 4096, 64
# Headers read before, by store, name and time: `status --watch` asks again and again.
_KNOWN: dict[tuple[str, str, float], tuple[str, int, float]] = {}
# The rate is of the last minutes, or of as long as it takes to see so many segments land.
MINUTES, LANDINGS, LONGEST = 300.0, 8, 86_400.0


@dataclass(frozen=True)
class Landed:
    """A committed segment: its models start..stop-1, when it landed (seconds since 1970), bytes."""

    name: str
    start: int
    stop: int
    at: float
    bytes: int

    @property
    def models(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Trained:
    """A segment as its header tells it: host and process, seconds a model, and the log of that process if any."""

    start: int
    stop: int
    host: str
    pid: int
    seconds_each: float
    log: str = ""


def landed(study: StoredStudy) -> list[Landed]:
    """The committed segments, oldest first."""
    found = []
    for entry in study.store.entries(SEGMENTS):
        span = segment_file.parse_file_name(PurePosixPath(entry.name).name)
        if span is not None:
            found.append(Landed(entry.name, *span, entry.modified, entry.size))
    return sorted(found, key=lambda one: one.at)


def trained(study: StoredStudy, segments: Sequence[Landed]) -> list[Trained]:
    """Who trained the newest of these segments."""
    found = []
    for one in segments[-(HEADERS if study.store.path() else FAR) :]:
        with suppress(CorruptError, FileNotFoundError, KeyError, TypeError, ValueError):
            host, pid, seconds = _about(study, one)
            log = study.local / LOGS / PurePosixPath(f"worker-{host}-{pid}.log").name
            said = str(log) if log.exists() else ""
            found.append(Trained(one.start, one.stop, host, pid, seconds / one.models, said))
    return found


def _about(study: StoredStudy, one: Landed) -> tuple[str, int, float]:
    key = (study.store.address, one.name, one.at)
    if key not in _KNOWN:
        if len(_KNOWN) >= 2 * HEADERS:
            _KNOWN.clear()
        about = segment_file.read_about(study.store, one.name)
        _KNOWN[key] = str(about["host"]), int(about["pid"]), float(about["seconds"])
    return _KNOWN[key]


def by_host(segments: Sequence[Trained]) -> dict[str, int]:
    """Models of these segments by the host that trained them."""
    count: Counter[str] = Counter()
    for one in segments:
        count[one.host] += one.stop - one.start
    return dict(sorted(count.items()))


def recent_rate(segments: Sequence[Landed], now: float | None = None) -> float:
    """Models a second that landed over the last minutes; 0 until two segments have.

    The window is MINUTES long, or longer until LANDINGS segments are in it; it ends now, so that a stop shows.
    """
    now = time.time() if now is None else now
    enough = segments[-LANDINGS].at if len(segments) >= LANDINGS else 0.0
    begin = max(min(now - MINUTES, enough), now - LONGEST)
    inside = [one for one in segments if one.at > begin]
    if len(inside) < len(segments):
        span, count = now - begin, sum(one.models for one in inside)
    else:
        # All of it is new: the first one was under way before, for nobody knows how long.
        span, count = now - (inside[0].at if inside else now), sum(one.models for one in inside[1:])
    return count / span if span > 0 else 0.0
