"""What becomes of segments that are trained elsewhere: committed, tried again, or given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from subtrain.collection.alike import Alike
from subtrain.collection.report import Failure, Tally
from subtrain.collection.workers import checkpoint
from subtrain.collection.workers.train_segment import describe, recorded_failures
from subtrain.designs.drawn import Span
from subtrain.errors import CollectError
from subtrain.studies.stored_study import StoredStudy

ATTEMPTS = 3
HOPELESS = 5


class Ledger:
    """The segments that an executor still waits for; reads commits from the study, whoever made them."""

    def __init__(self, study: StoredStudy, segments: Sequence[Span], tally: Tally) -> None:
        self.study, self.tally = study, tally
        # Models that are usable already, of segments that were given up once.
        self.waiting = dict(zip(segments, models_done(study, segments), strict=True))
        self.attempts: Counter[Span] = Counter()
        self.given_up: list[Failure] = []
        self._fruitful = tally.done > 0
        self._alike = Alike()

    def look(self) -> list[Span]:
        """Segments committed since the last look; they are waited for no longer."""
        there = self.study.rows.whole()
        landed = [span for span in self.waiting if span in there]
        if landed:
            self.tally.add(sum(stop - start - self.waiting.pop((start, stop)) for start, stop in landed))
            self._fruitful = True
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
        self._give_up(span, why)
        return False

    def _give_up(self, span: Span, why: str) -> None:
        del self.waiting[span]
        models = recorded_failures(self.study, range(*span))
        self.tally.add(checkpoint.commit_gaps(self.study, span))
        self.tally.failed += len(models)
        self._alike.add_all(models)
        sentence = describe(self.study, models) if models else f"models {span[0]} to {span[1] - 1}: {why}"
        self.given_up.append(Failure(*span, sentence, tuple(models)))

    @property
    def hopeless(self) -> bool:
        """Not one segment has landed, and enough were given up: the task is broken, not a model of it."""
        return not self._fruitful and (len(self.given_up) >= HOPELESS or self._all_alike)

    @property
    def _all_alike(self) -> bool:
        return not self._fruitful and self._alike.enough(self.study)

    def over(self) -> list[Failure]:
        """The segments given up; CollectError that names the cause if all that was tried failed of the same."""
        if self.waiting and self._all_alike:
            raise CollectError(self._alike.sentence(self.study))
        return self.given_up

    def idle(self, busy: Collection[Span]) -> list[Span]:
        """Segments waited for that nobody is at work on, in order."""
        return [span for span in self.waiting if span not in busy]


def models_done(study: StoredStudy, segments: Sequence[Span]) -> list[int]:
    """How many models of each of these segments are committed."""
    done = study.done()
    return [int(b - a) for a, b in np.searchsorted(done, np.array(segments, np.int64).reshape(-1, 2))]
