"""Which segment a runner takes next, so that several on one study seldom do the same work."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

from subtrain.collection.status import STALE, is_dead, is_fresh
from subtrain.collection.tally import RUNNERS, Tally
from subtrain.designs.model_rows import Span
from subtrain.errors import CorruptError, InputError
from subtrain.store.protocol import Entry, Store, read_json
from subtrain.studies.stored_study import StoredStudy, segment_name

# Seconds that a runner waits at least, when all that is left is under way elsewhere, before it trains that, too.
PATIENCE = 60.0
# Seconds for which what others said last is believed, where asking has its price.
FAR = 5.0


class Company:
    """The other runners of a study, and the segments they are at work on, as their files below runners/ say.

    A runner counts as long as its file changes: clocks need not agree.
    """

    def __init__(self, store: Store, mine: str) -> None:
        self.store, self.mine = store, mine
        self.patience = 0.0 if store.path() is not None else FAR
        self.looked = -FAR
        # What each file held when it was last read, and when that was.
        self.known: dict[str, tuple[Entry, dict[str, Any], float]] = {}

    def busy(self, anew: bool = False) -> set[Span]:
        """Segments that others are at work on."""
        now = time.monotonic()
        if anew or now - self.looked >= self.patience:
            self._look(now)
            self.looked = now
        found: set[Span] = set()
        for _, data, at in self.known.values():
            if now - at < STALE and data.get("state") == "running" and not is_dead(data):
                found.update((int(a), int(b)) for a, b in data.get("segments", ()))
        return found

    def _look(self, now: float) -> None:
        there = {entry.name: entry for entry in self.store.entries(RUNNERS) if entry.name != self.mine}
        self.known = {name: one for name, one in self.known.items() if name in there}
        for name, entry in there.items():
            before = self.known.get(name)
            if before is None or before[0] != entry:
                data = self._read(name)
                # Of one that was not seen before, only its own clock tells whether it is still at work.
                self.known[name] = (entry, data, now if before or (data and is_fresh(data)) else now - STALE)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            data = read_json(self.store, name)
            [(int(a), int(b)) for a, b in data.get("segments", ())]
            is_fresh(data), is_dead(data)
            return dict(data)
        except (CorruptError, InputError, FileNotFoundError, AttributeError, KeyError, TypeError, ValueError):
            return {}


class Agenda:
    """The segments that a runner still has to do.

    It begins at a random place, or if not `anywhere` at the first segment, and goes on from there. Whenever it meets
    another runner, by a segment that is committed or under way elsewhere, it goes on from another random place. Before
    it hands out a segment it says so in the runner's file, and looks whether another one says the same; so two do the
    same only where a file system is slow to show what was written, or when all that is left has been under way
    elsewhere for longer than a segment takes here.
    """

    def __init__(self, study: StoredStudy, segments: Sequence[Span], tally: Tally, anywhere: bool = True) -> None:
        self.study, self.tally = study, tally
        self.left = list(segments)
        self.random = random.SystemRandom()
        self.at = 0
        if anywhere:
            self.jump()
        # Segments of a single task of another engine are not shared with anybody.
        self.company = Company(study.store, tally.name) if tally.name else None
        self.begun: dict[Span, float] = {}
        self.longest = 0.0
        self.waiting: float | None = None

    def __bool__(self) -> bool:
        return bool(self.left)

    def append(self, span: Span) -> None:
        """To be done again, after the others."""
        self.left.append(span)

    def appendleft(self, span: Span) -> None:
        """To be done next."""
        self.left.insert(self.at, span)

    def clear(self) -> None:
        self.left.clear()

    def jump(self) -> None:
        """Go on from a random place."""
        self.at = self.random.randrange(len(self.left)) if self.left else 0

    def take(self) -> Span | None:
        """The next segment that is not committed; None if there is none, or none to take at this moment."""
        busy = self.company.busy() if self.company else set()
        while (span := self._pick(busy)) is not None:
            if not self.study.store.exists(segment_name(span)):
                return span if self._say(span, busy) else None
            self._met(span)
        return None

    def over(self, span: Span, won: bool = True) -> None:
        """Nobody here is at work on this segment any more; won: unless another runner's commit was there first."""
        if span in self.begun:
            self.longest = max(self.longest, time.monotonic() - self.begun.pop(span))
            self.tally.segments.remove(span)
        if not won:
            self.jump()

    def _pick(self, busy: set[Span]) -> Span | None:
        """The first from here on that nobody else is at work on; from another place on if this one is busy."""
        if self.left and self.left[self.at % len(self.left)] in busy:
            self.jump()
        for step in range(len(self.left)):
            at = (self.at + step) % len(self.left)
            if self.left[at] not in busy:
                self.at, self.waiting = at, None
                return self.left.pop(at)
        return self._impatient() if self.left else None

    def _impatient(self) -> Span | None:
        """All that is left is under way elsewhere: one of it all the same, once that takes too long."""
        now = time.monotonic()
        self.waiting = now if self.waiting is None else self.waiting
        if now - self.waiting < max(PATIENCE, 2 * self.longest):
            return None
        self.waiting = None
        self.jump()
        return self.left.pop(self.at)

    def _say(self, span: Span, busy: set[Span]) -> bool:
        """Say that this segment is under way here; False, and not now, if another runner says the same."""
        self.tally.segments.append(span)
        if self.company:
            self.tally.write()
            if span not in busy and span in self.company.busy(anew=bool(busy)):
                self.tally.segments.remove(span)
                self.tally.write()
                self.left.append(span)
                self.jump()
                return False
        self.begun[span] = time.monotonic()
        return True

    def _met(self, span: Span) -> None:
        """This one is committed by another runner, who may have committed more: they count as done."""
        there = self.study.rows.whole()
        self.tally.done += sum(stop - start for start, stop in {span, *(one for one in self.left if one in there)})
        self.left = [one for one in self.left if one not in there]
        self.jump()
