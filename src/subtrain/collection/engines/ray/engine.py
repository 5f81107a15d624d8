"""Training on Ray: one task a segment, a bounded number of them at a time; what is committed is the truth."""

from __future__ import annotations

import hashlib
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from subtrain.collection.engines.engine_protocol import device_of
from subtrain.collection.engines.local.executor import LocalExecutor
from subtrain.collection.engines.local.slots import CPU, Slots
from subtrain.collection.engines.local.worker_process import Worker
from subtrain.collection.engines.ray.cluster import AHEAD, LostError, RayCluster, RayOptions, connected
from subtrain.collection.retries import Ledger
from subtrain.collection.tally import SegmentFailure, Tally
from subtrain.collection.workers import task_message
from subtrain.designs.model_rows import Span
from subtrain.errors import StorageError
from subtrain.store.addresses import open_store
from subtrain.store.protocol import Store
from subtrain.studies.manifest import MANIFEST
from subtrain.studies.stored_study import LOGS, StoredStudy

# Seconds between looks at what is committed and what the cluster has, and for which a shared folder may lag behind.
EVERY, LAG = 1.0, 120.0


@dataclass(frozen=True)
class TrainOrder:
    """What a task must know besides its segment. manifest: sha256 of study.json; greeting: `travel.pack_of`."""

    path: str
    manifest: str
    greeting: dict[str, Any]
    slots: Slots
    timeout: float | None


@dataclass(frozen=True)
class Ended:
    """How a task ended. why: what its models failed of, "" if the segment is committed; trained: models kept then;
    memory: bytes its worker took; logs: of the workers that its process keeps."""

    why: str
    trained: int
    memory: int
    logs: tuple[str, ...]


def train_on_node(span: Span, order: TrainOrder) -> Ended:
    """The task: train a segment in a supervised worker process of this node, as the local engine does."""
    study = _reachable(order)
    tally = Tally(study.store, "", span[1] - span[0], 0)
    idle = _idle.setdefault(order.manifest + order.path, [])
    executor = LocalExecutor(study, [span], order.slots, tally, order.timeout, order.greeting, idle)
    failures = executor.run(lambda: None)
    logs = tuple(worker.log.name for worker in idle)
    return Ended(failures[0].why if failures else "", tally.trained, tally.worker_bytes, logs)


# Workers that wait for the next task here, by study: they start once, not once a segment, and die with this process.
_idle: dict[str, list[Worker]] = {}


def _reachable(order: TrainOrder) -> StoredStudy:
    """The study, if this node sees the very folder that the driver does."""
    try:
        same = _digest(open_store(order.path)) == order.manifest
    except OSError:
        same = False
    if not same:
        raise StorageError(
            f"node {socket.gethostname()} of the Ray cluster does not see the study at {order.path}: its folder must "
            "be on storage that all nodes share, under the same path"
        )
    return StoredStudy.open(order.path)


def _digest(store: Store) -> str:
    return hashlib.sha256(store.read(MANIFEST)).hexdigest()


class RayExecutor:
    """Trains segments as tasks of a Ray cluster.

    Each task supervises its training as the local engine does, and so finds out which model crashes; Ray itself tries
    a task again that was lost with its node. What is finished is read from the study alone.
    """

    def __init__(
        self,
        study: StoredStudy,
        segments: list[Span],
        tally: Tally,
        options: RayOptions,
        timeout: float | None = None,
        told: bool = False,
    ) -> None:
        self.study, self.tally, self.options = study, tally, options
        self.ledger = Ledger(study, segments, tally)
        self.todo = deque(segments)
        self.under_way: dict[Any, Span] = {}
        self.committed: dict[Span, float] = {}
        device = "cuda:0" if options.num_gpus else CPU
        self.slots = Slots((device,), 1, told or device != CPU)
        self.timeout = timeout
        self.looked = 0.0
        self.logs: set[str] = set()

    def run(self, tick: Callable[[], None]) -> list[SegmentFailure]:
        """Work until every segment is committed or given up."""
        with connected(self.options) as cluster:
            order = cluster.share(self._order())
            self._look(cluster)
            self.tally.notes.append(self._found(cluster))
            try:
                while self.ledger.waiting and (self.todo or self.under_way or self.committed):
                    self._submit(cluster, order)
                    self._hear(cluster)
                    if time.monotonic() - self.looked > EVERY or not self.under_way:
                        self._look(cluster)
                    tick()
            finally:
                cluster.cancel(list(self.under_way))
        self._tidy()
        return self.ledger.over()

    def _tidy(self) -> None:
        """Logs of workers that ended with the cluster's processes, and never printed anything."""
        for name in self.logs:
            log = self.study.local / LOGS / name
            with suppress(OSError):
                if log.stat().st_size == 0:
                    log.unlink()

    def _order(self) -> TrainOrder:
        study = self.study
        greeting = task_message.pack_of(study, here=False)
        return TrainOrder(study.store.address, _digest(study.store), greeting, self.slots, self.timeout)

    def _found(self, cluster: RayCluster) -> str:
        nodes = len(cluster.nodes)
        there = f"{nodes} node{'s' * (nodes != 1)}"
        if not self.tally.workers:
            return f"no node of the Ray cluster ({there}) has room for such a task yet: waiting for one that has"
        return f"the Ray cluster has {there} and room for {self.tally.workers} tasks at a time"

    def _submit(self, cluster: RayCluster, order: Any) -> None:
        while self.todo and len(self.under_way) < max(1, AHEAD * self.tally.workers) and not self.ledger.hopeless:
            span = self.todo.popleft()
            if span in self.ledger.waiting:
                self.under_way[cluster.submit(train_on_node, span, order)] = span
        if self.ledger.hopeless:
            self.todo.clear()

    def _hear(self, cluster: RayCluster) -> None:
        if not self.under_way:
            time.sleep(0.1)
            return
        for reference in cluster.finished(list(self.under_way), 0.1):
            span = self.under_way.pop(reference)
            try:
                ended: Ended = cluster.get(reference)
            except LostError as error:
                if self.ledger.failed(span, str(error)):
                    self.todo.append(span)
                continue
            self.logs.update(ended.logs)
            self.tally.worker_bytes = max(self.tally.worker_bytes, ended.memory)
            if ended.why:
                self.tally.add(ended.trained)
                self.ledger.failed(span, ended.why, final=True)
            else:
                self.committed[span] = time.monotonic()

    def _look(self, cluster: RayCluster) -> None:
        """What is committed by now; a folder shared over a network may show it later than the task said so."""
        self.looked = time.monotonic()
        self.tally.workers = cluster.slots
        for span in self.ledger.look():
            self.committed.pop(span, None)
        for span, when in list(self.committed.items()):
            if span not in self.ledger.waiting:
                del self.committed[span]
            elif time.monotonic() - when > LAG:
                del self.committed[span]
                if self.ledger.failed(span, f"its task committed it, but {self.study.location} does not show it here"):
                    self.todo.append(span)


def ray(
    study: StoredStudy,
    segments: list[Span],
    tally: Tally,
    *,
    workers: int | None = None,
    address: str | None = None,
    num_cpus: float = 1.0,
    num_gpus: float | None = None,
    max_retries: int = 3,
    timeout: float | None = None,
) -> RayExecutor:
    """The engine of Ray: a task a segment, on an existing cluster or one started on this machine.

    Args:
        workers: Tasks at a time; by default as many as the cluster has room for.
        address: HOST:PORT of the cluster's head; else RAY_ADDRESS.
        num_cpus: CPUs a task takes; fractions let tasks share one.
        num_gpus: GPUs a task takes, for example 0.25; by default 1 for a task that uses them.
        max_retries: Tries after the loss of a node, which do not count as failures of a model.
        timeout: Seconds that one call of the task's `train` may take.
    """
    wants = device_of(study, segments, timeout)
    gpus = float(wants == "cuda") if num_gpus is None else num_gpus
    options = RayOptions(address, workers, num_cpus, gpus, max_retries)
    tally.slots = str(options)
    return RayExecutor(study, segments, tally, options, timeout, wants is not None)
