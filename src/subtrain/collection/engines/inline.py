"""The inline executor: models train in this process, one call of the task after another, for a debugger to see."""

from __future__ import annotations

import time
from collections.abc import Callable

from subtrain.collection.segment_order import Agenda
from subtrain.collection.tally import SegmentFailure, Tally
from subtrain.collection.workers.train_segment import train_segment
from subtrain.designs.model_rows import Span
from subtrain.studies.stored_study import StoredStudy

# Seconds between looks at segments that others are at work on.
PAUSE = 0.2


class InlineExecutor:
    """Trains in this process; an exception of the training code ends the collection and passes through as it is.

    A breakpoint in the task's `train` stops there. A note at the exception names the model and its seed. The models
    that were finished before it are kept, and the next collection does not train them again; `models_done()` counts
    them when their segment is committed. Nothing is tried again, and nothing protects this process from a crash.
    """

    in_process = True

    def __init__(self, study: StoredStudy, segments: list[Span], tally: Tally) -> None:
        self.study, self.tally = study, tally
        self.todo = Agenda(study, sorted(segments), tally, anywhere=False)
        tally.workers, tally.slots = 1, "1 model at a time in this process"

    def run(self, tick: Callable[[], None]) -> list[SegmentFailure]:
        """Train every segment in turn; none is given up, for the first exception ends it all."""
        from threadpoolctl import threadpool_limits

        tick()
        with threadpool_limits(1):  # as in a worker, so that numbers are the same to the last bit
            while self.todo:
                span = self.todo.take()
                if span is not None:
                    self._train(span, tick)
                elif self.todo:
                    time.sleep(PAUSE)
                tick()
        return []

    def _train(self, span: Span, tick: Callable[[], None]) -> None:
        def report(models: int) -> None:
            self.tally.add(models)
            tick()

        won, models = True, span[1] - span[0]
        self.tally.under_way += models
        try:
            won = train_segment(self.study, span, report, raising=True)
        finally:
            self.tally.under_way -= models
            self.todo.over(span, won)
