"""The local executor: supervised worker processes on this machine, one a core."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from enum import Enum
from typing import Any

from subtrain.collection.engines.local.device_memory import Remedy, Shortage
from subtrain.collection.engines.local.slots import CPU, SHARE, Slots
from subtrain.collection.engines.local.worker_process import Worker
from subtrain.collection.retries import ATTEMPTS, HOPELESS, Attempts
from subtrain.collection.segment_order import Agenda
from subtrain.collection.tally import SegmentFailure, Tally
from subtrain.collection.workers import bounded_logs, checkpoint, task_message
from subtrain.collection.workers.train_segment import record_failure
from subtrain.designs.model_rows import Span
from subtrain.errors import CollectError, CorruptError, StorageError, SubtrainError
from subtrain.studies.stored_study import StoredStudy, segment_name
from subtrain.system.machine import NoDeviceError, memory

LONE_DEATHS = 2
_EXITS: dict[int, type[SubtrainError]] = {c.exit_code: c for c in (StorageError, CorruptError)}


class Over(Enum):
    """What is left of a worker when a segment is over."""

    ALIVE, GONE, RETIRED = range(3)


class LocalExecutor:
    """Trains segments in one process a slot; restarts what dies; gives a segment up after three attempts.

    Each worker has a thread here that feeds it. A segment that crashed its process is tried again one model at a time,
    so that the culprit is found and left out. What finished of a segment given up is committed all the same.
    timeout: seconds one call of the task's `train` may take before its worker counts as crashed. greeting: what workers
    are told first, by default `travel.pack_of` the study. idle: workers of this greeting, taken from there, and
    left there instead of stopped.
    """

    def __init__(
        self,
        study: StoredStudy,
        segments: list[Span],
        slots: Slots,
        tally: Tally,
        timeout: float | None = None,
        greeting: dict[str, Any] | None = None,
        idle: list[Worker] | None = None,
    ) -> None:
        self.study, self.slots, self.tally, self.timeout = study, slots, tally, timeout
        self.shortage = Shortage(slots.devices)
        self.todo, self.waiting = Agenda(study, segments, tally), deque[Span]()
        self.idle = idle
        self.greeting = greeting or task_message.pack_of(study)
        self.lock = threading.Lock()
        self.ledger = Attempts(study, tally)
        self.crashed: set[Span] = set()
        self.lone_deaths: Counter[int] = Counter()
        self.culprits: defaultdict[Span, dict[int, str]] = defaultdict(dict)
        self.fatal: SubtrainError | None = None
        self.stopping = False
        self.alive: set[Worker] = set()

    def run(self, tick: Callable[[], None]) -> list[SegmentFailure]:
        """Work until done, calling `tick` several times a second; returns the segments given up."""
        threads = [threading.Thread(target=self._guarded, args=(device,), daemon=True) for device in self.slots.devices]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                tick()
                self._stop_late()
                for worker in list(self.alive):
                    bounded_logs.bound(worker.log)
                for thread in threads:
                    thread.join(0.1 / len(threads))
        except BaseException:
            self._halt()
            raise
        if self.fatal is not None:
            raise self.fatal
        return self.ledger.given_up

    def _halt(self) -> None:
        with self.lock:
            self.stopping = True
            for worker in self.alive:
                worker.end()

    def _stop_late(self) -> None:
        if self.timeout is not None:
            with self.lock:
                for worker in self.alive:
                    worker.stop_if_late(self.timeout)

    def _stop_all(self, error: SubtrainError) -> None:
        with self.lock:
            self.fatal = self.fatal or error
        self._halt()

    def _guarded(self, device: str) -> None:
        try:
            self._feed(device)
        except SubtrainError as error:
            self._stop_all(error)
        except Exception as error:
            self._stop_all(CollectError(f"the executor failed: {type(error).__name__}: {error}"))

    def _feed(self, device: str) -> None:
        worker: Worker | None = None
        while (span := self._next(device)) is not None:
            worker = worker or self._start(device)
            if worker is None:
                return
            with self.lock:
                last_try = self.shortage.alone(device)
                self.tally.under_way += span[1] - span[0]
            worker.train(span, span in self.crashed, last_try, list(self.culprits[span]))
            over = self._follow(worker, span, device)
            with self.lock:
                self.tally.under_way -= span[1] - span[0]
                self.todo.over(span)
            if over is not Over.ALIVE:
                self._bury(worker)
                worker = None
            if over is Over.RETIRED:
                return
        if worker is not None:
            if self.idle is None:
                worker.stop()
            else:
                self.idle.append(worker)
            with self.lock:
                self.alive.discard(worker)

    def _next(self, device: str) -> Span | None:
        while True:
            with self.lock:
                span = self.todo.take() if not self.stopping else None
                if span is not None:
                    return span
                if self.stopping or not self.todo:
                    return self._alone(device)
            # All that is left is under way elsewhere. Not in step with whoever waits as well.
            time.sleep(random.uniform(0.05, 0.25))

    def _alone(self, device: str) -> Span | None:
        """A segment that had too little memory beside others, if this is the only worker left."""
        while self.waiting and self.shortage.alone(device) and not self.stopping:
            span = self.waiting.popleft()
            if not self.study.store.exists(segment_name(span)):
                return span
            self.tally.done += span[1] - span[0]
        self.shortage.leave(device)
        return None

    def _start(self, device: str) -> Worker | None:
        with self.lock:
            if self.stopping:
                return None
            told = device if self.slots.told else None
            worker = self.idle.pop() if self.idle else Worker(self.study, self.greeting, told)
            self.alive.add(worker)
        return worker

    def _bury(self, worker: Worker) -> None:
        worker.kill()
        with self.lock:
            self.alive.discard(worker)

    def _follow(self, worker: Worker, span: Span, device: str) -> Over:
        """Listen until the segment is over."""
        reported, under_way = 0, list[int]()
        for answer in worker.answers():
            event = answer["event"]
            worker.deadline = None
            if event == "starting":
                under_way = answer["rows"]
                worker.begun += len(under_way)
                worker.deadline = time.monotonic() + self.timeout if self.timeout is not None else None
            elif event == "models":
                reported += answer["count"]
                with self.lock:
                    self.tally.add(answer["count"], answer["memory"])
                    self.ledger.fruitful |= answer["count"] > 0
            elif event == "failing":
                self._count(answer["row"], answer["why"])
            elif event == "committed":
                with self.lock:
                    self.todo.over(span, answer.get("won", True))
                return self._committed(worker, answer.get("held", 0))
            elif event == "failed":
                self._failed(span, reported, {int(row): why for row, why in answer["models"].items()})
                return Over.ALIVE
            elif event == "short of memory":
                return self._short_of_memory(span, reported, device)
            elif event == "fatal":
                lacking = answer.get("no_device", False)
                kind = NoDeviceError if lacking else _EXITS.get(answer.get("exit_code", 0), CollectError)
                self._stop_all(kind(answer["error"]))
                return Over.GONE
        if self.stopping:
            return Over.GONE
        if worker.killed_by_others and not self.shortage.last:
            return self._killed(span, reported, device)
        self._crash(worker, span, reported, under_way)
        return Over.GONE

    def _committed(self, worker: Worker, held: int) -> Over:
        """One that grows from segment to segment makes place for a fresh one before memory runs out."""
        worker.growth.held(held)
        with self.lock:
            self.shortage.committed += 1
            if not worker.growth.beyond(self._fair_share()):
                return Over.ALIVE
            note = "workers that grow from segment to segment are replaced: the task keeps memory that it should free"
            if note not in self.tally.notes:
                self.tally.notes.append(note)
        return Over.GONE

    def _fair_share(self) -> float | None:
        """Bytes that each of the workers may hold."""
        there = memory()
        return None if there is None else SHARE * there / max(1, self.shortage.slots.total())

    def _killed(self, span: Span, reported: int, device: str) -> Over:
        """By the system, which is short of memory while several workers run: one less, and no model is to blame."""
        with self.lock:
            remedy = self.shortage.killed(span, device)
            self._again(span, reported, self.waiting if remedy is Remedy.ALONE else self.todo)
            said = "the system killed a worker, probably for want of memory"
            return self._fewer(remedy, said, self.shortage.slots.total())

    def _short_of_memory(self, span: Span, reported: int, device: str) -> Over:
        """Fewer workers on the device from now on, unless it is the segment's own fault; no attempt is counted."""
        with self.lock:
            remedy = self.shortage.ran_out(span, device)
            queue = self.waiting if remedy is Remedy.ALONE else self.todo
            self._again(span, reported, queue, first=remedy is Remedy.AGAIN)
            said = f"memory ran out on {'this machine' if device == CPU else device}"
            return self._fewer(remedy, said, self.shortage.slots[device], " there")

    def _fewer(self, remedy: Remedy, said: str, left: int, there: str = "") -> Over:
        if remedy is not Remedy.RETIRE:
            return Over.GONE
        self.tally.workers -= 1
        self.tally.notes.append(f"{said}: going on with {left} worker{'s' * (left != 1)}{there}")
        return Over.RETIRED

    def _crash(self, worker: Worker, span: Span, reported: int, under_way: list[int]) -> None:
        """The worker died. A model that twice dies alone is the culprit; otherwise find it by going one by one.

        Once may have been somebody else's doing, such as a system short of memory.
        """
        why = worker.obituary()
        self.crashed.add(span)
        if worker.killed_by_others and worker.begun > max(1, len(under_way)):
            # Models before this one may have kept the memory: a fresh process begins with it.
            with self.lock:
                self._again(span, reported, self.todo, first=True)
            return
        if self._count((under_way or [span[0]])[0], why):
            self._record(span, (under_way or [span[0]])[0], why)
            return
        if len(under_way) != 1:
            self._failed(span, reported, dict.fromkeys(under_way or [span[0]], why))
            return
        row = under_way[0]
        self.lone_deaths[row] += 1
        if self.lone_deaths[row] < LONE_DEATHS:
            with self.lock:
                self._again(span, reported, self.todo)
            return
        self._record(span, row, why)
        self.culprits[span][row] = why
        if reported or len(self.culprits[span]) < ATTEMPTS:
            with self.lock:
                self._again(span, reported, self.todo)
        else:
            self.ledger.attempts[span] = ATTEMPTS
            self._failed(span, reported, self.culprits[span])

    def _record(self, span: Span, row: int, why: str) -> None:
        record_failure(self.study, span, row, int(self.study.design.seeds([row])[0]), why, "")

    def _failed(self, span: Span, reported: int, models: dict[int, str]) -> None:
        with self.lock:
            self.ledger.attempts[span] += 1
            known = models.keys() <= self.culprits[span].keys()
            if self.ledger.attempts[span] < ATTEMPTS and not known and not self._hopeless():
                self._again(span, reported, self.todo)
                return
        finished = checkpoint.commit_gaps(self.study, span)
        why = models | self.culprits[span]
        with self.lock:
            self.ledger.give_up(span, why)
            self.tally.trained += finished - reported
            if self._hopeless():
                self.todo.clear()

    def _count(self, row: int, why: str) -> bool:
        """A training has failed: end it all if each one does, and of the same cause; whether that is so."""
        with self.lock:
            self.ledger.alike.add(row, why)
            over = not self.stopping and self.ledger.all_alike
        if over:
            self.tally.failed += self.ledger.alike.count
            self._stop_all(CollectError(self.ledger.alike.sentence(self.study)))
        return over

    def _hopeless(self) -> bool:
        """Not one model has worked, and enough were tried: the task is broken, not a model of it."""
        failed = sum(count for span, count in self.ledger.attempts.items() if span not in self.crashed)
        return not self.ledger.fruitful and (failed >= ATTEMPTS * HOPELESS or len(self.ledger.given_up) >= HOPELESS)

    def _again(self, span: Span, reported: int, queue: deque[Span] | Agenda, first: bool = False) -> None:
        self.tally.trained -= reported
        self.tally.retries += 1
        if first:
            queue.appendleft(span)
        else:
            queue.append(span)
