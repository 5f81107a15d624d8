"""What becomes of segments: committed, tried again, or given up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from subtrain.collection.tally import SegmentFailure, Tally
from subtrain.collection.workers import checkpoint
from subtrain.collection.workers.train_segment import ALIKE, describe, failure_file, recorded_failures
from subtrain.designs.model_rows import Span
from subtrain.errors import CollectError
from subtrain.studies.stored_study import StoredStudy

ATTEMPTS = 3
HOPELESS = 5


class Attempts:
    """How often each segment was tried, which were given up, and whether it is worth going on; not thread-safe."""

    def __init__(self, study: StoredStudy, tally: Tally) -> None:
        self.study, self.tally = study, tally
        self.attempts: Counter[Span] = Counter()
        self.given_up: list[SegmentFailure] = []
        self.fruitful = tally.done > 0
        self.alike = Alike()

    def give_up(self, span: Span, models: Mapping[int, str], why: str = "") -> None:
        """No more attempts for this segment, whose `models` failed; `why`: what to say where none of them is known."""
        sentence = describe(self.study, models) if models else f"models {span[0]} to {span[1] - 1}: {why}"
        self.given_up.append(SegmentFailure(*span, sentence, tuple(models)))
        self.tally.failed += len(models)

    @property
    def all_alike(self) -> bool:
        """Not one model has worked, and all that were tried failed of the same."""
        return not self.fruitful and self.alike.enough(self.study)


class Ledger(Attempts):
    """The segments that an executor still waits for; reads commits from the study, whoever made them."""

    def __init__(self, study: StoredStudy, segments: Sequence[Span], tally: Tally) -> None:
        super().__init__(study, tally)
        # Models that are usable already, of segments that were given up once.
        self.waiting = dict(zip(segments, models_done(study, segments), strict=True))

    def look(self) -> list[Span]:
        """Segments committed since the last look; they are waited for no longer."""
        there = self.study.rows.whole()
        landed = [span for span in self.waiting if span in there]
        if landed:
            self.tally.add(sum(stop - start - self.waiting.pop((start, stop)) for start, stop in landed))
            self.fruitful = True
        return landed

    def failed(self, span: Span, why: str, final: bool = False) -> bool:
        """An attempt ended without a commit, because of `why`; whether it is to be tried again.

        final: whoever tried has tried often enough. When a segment is given up, what finished of it is committed.
        """
        if span not in self.waiting:
            return False
        self.attempts[span] += 1
        if self.attempts[span] < ATTEMPTS and not final and not self.hopeless:
            self.tally.retries += 1
            return True
        del self.waiting[span]
        models = recorded_failures(self.study, range(*span))
        self.tally.add(checkpoint.commit_gaps(self.study, span))
        self.alike.add_all(models)
        self.give_up(span, models, why)
        return False

    @property
    def hopeless(self) -> bool:
        """Not one segment has landed, and enough were given up: the task is broken, not a model of it."""
        return not self.fruitful and (len(self.given_up) >= HOPELESS or self.all_alike)

    def over(self) -> list[SegmentFailure]:
        """The segments given up; CollectError that names the cause if all that was tried failed of the same."""
        if self.waiting and self.all_alike:
            raise CollectError(self.alike.sentence(self.study))
        return self.given_up

    def idle(self, busy: Collection[Span]) -> list[Span]:
        """Segments waited for that nobody is at work on, in order."""
        return [span for span in self.waiting if span not in busy]


def models_done(study: StoredStudy, segments: Sequence[Span]) -> list[int]:
    """How many models of each of these segments are committed."""
    done = study.done()
    return [int(b - a) for a, b in np.searchsorted(done, np.array(segments, np.int64).reshape(-1, 2))]


# What differs between two failures of the same cause: numbers, addresses, names of temporary files.
_PASSING = re.compile(r"0x[0-9a-f]+|tmp\w{6,}|\d+")


class Alike:
    """The failures of a collection in which nothing has succeeded."""

    def __init__(self) -> None:
        self.count = 0
        self.model = -1
        self.why = ""
        self._kinds: set[str] = set()

    def add(self, model: int, why: str) -> None:
        """Another training has failed."""
        if not self.count:
            self.model, self.why = model, why
        self.count += 1
        if len(self._kinds) < 2:
            self._kinds.add(_PASSING.sub("#", why))

    def add_all(self, models: Mapping[int, str]) -> None:
        """Several models have failed."""
        for model, why in models.items():
            self.add(model, why)

    def enough(self, study: StoredStudy) -> bool:
        """Whether that many of one kind say it of all; never if the study has a model, whoever trained it."""
        return self.count >= ALIKE and len(self._kinds) == 1 and not study.done().size

    def sentence(self, study: StoredStudy) -> str:
        """The cause, and where to read more."""
        name = failure_file(self.model)
        see = f"; see {study.store.location(name)}" if study.store.exists(name) else ""
        return (
            f"{study.models} of {study.models} models are missing: all {self.count} trainings so far failed alike, so "
            f"no more are tried: {self.why}{see}"
        )
