"""The local executor: supervised worker processes on this machine, one a core."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable

from subtrain.collect.process import Worker, hello
from subtrain.collect.report import Failure, Tally
from subtrain.collect.segment import failure_file
from subtrain.errors import CollectError, CorruptError, StorageError, SubtrainError
from subtrain.store.rows import Range
from subtrain.store.study import Study

ATTEMPTS = 3
HOPELESS = 5
_EXITS: dict[int, type[SubtrainError]] = {c.exit_code: c for c in (StorageError, CorruptError)}


class LocalExecutor:
    """Trains segments in `workers` processes; restarts what dies; gives a segment up after three attempts.

    Each worker has a thread here that feeds it. `run` returns when nothing is left to do.
    """

    def __init__(self, study: Study, segments: list[Range], workers: int, tally: Tally) -> None:
        self.study, self.workers, self.tally = study, workers, tally
        self.todo = deque(segments)
        self.greeting = hello(study)
        self.lock = threading.Lock()
        self.attempts: Counter[Range] = Counter()
        self.given_up: list[Failure] = []
        self.commits = 0
        self.fatal: SubtrainError | None = None
        self.stopping = False
        self.alive: set[Worker] = set()

    def run(self, tick: Callable[[], None]) -> list[Failure]:
        """Work until done, calling `tick` several times a second; returns the segments given up."""
        threads = [threading.Thread(target=self._guarded, daemon=True) for _ in range(self.workers)]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                tick()
                for thread in threads:
                    thread.join(0.1 / len(threads))
        except BaseException:
            self._halt()
            raise
        if self.fatal is not None:
            raise self.fatal
        return self.given_up

    def _halt(self) -> None:
        with self.lock:
            self.stopping = True
            for worker in self.alive:
                worker.process.kill()

    def _guarded(self) -> None:
        try:
            self._feed()
        except Exception as error:
            self._stop_all(CollectError(f"the executor failed: {type(error).__name__}: {error}"))

    def _stop_all(self, error: SubtrainError) -> None:
        with self.lock:
            self.fatal = self.fatal or error
        self._halt()

    def _feed(self) -> None:
        worker: Worker | None = None
        while (where := self._next()) is not None:
            worker = worker or self._start()
            if worker is None:
                return
            worker.train(where)
            if not self._follow(worker, where):
                self._bury(worker)
                worker = None
        if worker is not None:
            worker.stop()
            self.alive.discard(worker)

    def _next(self) -> Range | None:
        with self.lock:
            while self.todo and not self.stopping:
                where = self.todo.popleft()
                if not self._committed(where):
                    return where
                self.tally.done += where[1] - where[0]
        return None

    def _committed(self, where: Range) -> bool:
        from subtrain.store import segment
        from subtrain.store.study import SEGMENTS

        return (self.study.path / SEGMENTS / segment.file_name(*where)).exists()

    def _start(self) -> Worker | None:
        with self.lock:
            if self.stopping:
                return None
            worker = Worker(self.study, self.greeting)
            self.alive.add(worker)
        return worker

    def _bury(self, worker: Worker) -> None:
        worker.kill()
        with self.lock:
            self.alive.discard(worker)

    def _follow(self, worker: Worker, where: Range) -> bool:
        """Listen until the segment is over; False if the worker is gone."""
        reported = 0
        for answer in worker.answers():
            event = answer["event"]
            if event == "models":
                reported += answer["count"]
                with self.lock:
                    self.tally.add(answer["count"])
            elif event == "committed":
                with self.lock:
                    self.commits += 1
                return True
            elif event == "failed":
                models = {int(row): why for row, why in answer["models"].items()}
                self._retry(where, reported, _describe(self.study, models), tuple(models))
                return True
            elif event == "fatal":
                kind = _EXITS.get(answer.get("exit_code", 0), CollectError)
                self._stop_all(kind(answer["error"]))
                return False
        if not self.stopping:
            self._retry(where, reported, worker.obituary())
        return False

    def _retry(self, where: Range, reported: int, why: str, models: tuple[int, ...] = ()) -> None:
        with self.lock:
            self.tally.trained -= reported
            self.attempts[where] += 1
            if self.attempts[where] < ATTEMPTS:
                self.tally.retries += 1
                self.todo.append(where)
                return
            self.given_up.append(Failure(*where, why, models))
            self.tally.failed += max(1, len(models))
            hopeless = len(self.given_up) >= HOPELESS and self.commits == 0
            if hopeless:
                self.todo.clear()


def _describe(study: Study, models: dict[int, str]) -> str:
    first, why = next(iter(models.items()))
    others = f" (and {len(models) - 1} more models)" if len(models) > 1 else ""
    return f"model {first} failed{others}: {why}; traceback in {failure_file(study, first)}"
