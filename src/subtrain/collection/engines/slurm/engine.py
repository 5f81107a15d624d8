"""The engine of Slurm: arrays of `subtrain worker`, watched through their commits and squeue, resubmitted if lost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence

from subtrain.collection.engines.slurm import sbatch
from subtrain.collection.engines.slurm.sbatch import MOST_JOBS, Request, SlurmJob
from subtrain.collection.engines.slurm.submitted_jobs import Batch, Silence, new_batch, open_batches, write_batch
from subtrain.collection.retries import Ledger
from subtrain.collection.tally import SegmentFailure, Tally, runner_file
from subtrain.collection.workers import checkpoint
from subtrain.collection.workers.task_message import worker_words
from subtrain.collection.workers.train_segment import recorded_failures
from subtrain.designs.model_rows import Span
from subtrain.errors import CollectError, CorruptError, InputError, MismatchError, StorageError, SubtrainError
from subtrain.store import atomic_files
from subtrain.studies.stored_study import StoredStudy

# Seconds between looks, growing while nothing happens.
SOON, LATE = 1.0, 15.0
# Seconds that files may take to be seen by another machine.
GRACE = 5.0
# Bytes at the end of a job's log in which its last words are looked for.
_LOG = 1 << 20
_FATAL: dict[int, type[SubtrainError]] = {
    c.exit_code: c for c in (InputError, MismatchError, CorruptError, StorageError)
}
Element = tuple[Batch, int]


def slurm(
    study: StoredStudy,
    segments: list[Span],
    tally: Tally,
    *,
    partition: str = "",
    gres: str = "",
    time: str = "",
    mem: str = "",
    account: str = "",
    cpus: int = 1,
    max_jobs: int | None = None,
    per_job: int | None = None,
    sbatch_lines: Sequence[str] = (),
    detach: bool = False,
    workers: int | None = None,
    timeout: float | None = None,
) -> SlurmExecutor:
    """The engine that submits to Slurm, from a folder that the nodes share, for a task that has an import path.

    Args:
        partition: Partition to submit to.
        gres: Resources of each job besides cores: gpu:1, or a fraction of a GPU, shard:1.
        time: Longest time of a job, for example 4:00:00.
        mem: Memory of a job, for example 4G.
        account: Account to charge.
        cpus: Cores of a job.
        max_jobs: Jobs that are submitted at a time, running or waiting.
        per_job: Segments that a job trains one after the other.
        sbatch_lines: Another option ("--constraint=a100") or command ("module load cuda"); repeatable.
        detach: Submit and return; collect again to watch.
        workers: Worker processes of each job; by default one a core, or one a GPU.
        timeout: Seconds that one call of the task's `train` may take.
    """
    if study.store.path() is None:
        raise InputError(
            f"Slurm's jobs work in a folder that the nodes share, but {study.location} lies in a bucket: there, "
            "collect "
            "with --engine local or ray, or run subtrain worker in jobs of your own"
        )
    for name, value in (("max_jobs", max_jobs), ("per_job", per_job)):
        if value is not None and value < 1:
            raise InputError(f"{name} must be 1 or more, got {value}")
    if study.source is None and study.given is None:
        raise InputError(
            f"{study.location} does not know how to make its task again, and study files are data, never code: for "
            "Slurm, "
            "create it with a task that has a name (module:name or file.py:name)"
        )
    worker = worker_words(study)
    worker += ["--workers", str(workers)] if workers else []
    worker += ["--timeout", f"{timeout:g}"] if timeout else []
    lines = tuple(sbatch_lines)
    request = Request(partition, gres, time, mem, account, cpus, lines, tuple(worker), study.making)
    tally.slots = str(request)
    return SlurmExecutor(study, segments, tally, request, max_jobs, per_job, detach)


class SlurmExecutor:
    """Submits what nobody is at work on; counts an attempt when a job ends without the commits it owes.

    Jobs outlive this process: another one picks them up from the study's folder and squeue. So do attempts, until a
    collection comes to its end.
    """

    def __init__(
        self,
        study: StoredStudy,
        segments: list[Span],
        tally: Tally,
        request: Request,
        max_jobs: int | None = None,
        per_job: int | None = None,
        detach: bool = False,
    ) -> None:
        self.study, self.tally, self.request = study, tally, request
        self.max_jobs, self.per_job, self.detach = max_jobs, per_job, detach
        self.ledger = Ledger(study, segments, tally)
        self.numbers = {span: number for number, span in enumerate(study.segments)}
        self.batches: list[Batch] = []
        self.running: dict[Element, SlurmJob] = {}
        self.settled: set[Element] = set()
        self.gone: dict[Element, float] = {}
        self.fruitful: set[Element] = set()
        self.silence = Silence(study.location, tally.notes)

    def plan(self) -> tuple[Batch, str]:
        """The array of what nobody is at work on, and its script; nothing is written or submitted."""
        jobs = self._jobs(self.ledger.idle(self._of(self.running)))
        batch = new_batch(self.study, jobs)
        text = sbatch.script(self.study.path.resolve(), batch.folder, batch.name, len(jobs), self.request)
        return batch, text

    def _of(self, elements: Iterable[Element]) -> set[Span]:
        """The segments of these jobs."""
        return {self.study.segments[k] for batch, index in elements for k in batch.jobs[index]}

    def run(self, tick: Callable[[], None]) -> list[SegmentFailure]:
        """Submit and watch until all is committed or given up."""
        if not sbatch.available():
            raise InputError("there is no sbatch here: run this on a machine that submits to Slurm, or --dry-run")
        self._pick_up()
        wait = SOON
        while self.ledger.waiting:
            self._submit()
            if self.detach:
                return self.ledger.given_up
            self._pause(wait, tick)
            wait = SOON if self._look() else min(LATE, wait * 1.5)
            if self.ledger.hopeless:
                self._cancel(self.batches)
                break
        self._tidy()
        return self.ledger.over()

    def _pick_up(self) -> None:
        """Find the jobs that somebody submitted before, and learn which of them are left."""
        self.batches = [batch for batch in open_batches(self.study) if not batch.cancelled]
        known = sbatch.ask([batch.name for batch in self.batches])
        if known is None:
            raise CollectError("squeue does not answer, so the jobs that are running already are unknown: try later")
        self._update(known)
        self._credit(self.study.rows.whole())
        for element in [(b, k) for b in self.batches for k in range(len(b.jobs))]:
            if element not in self.running:
                self._missed(element)
        if self.running:
            self.tally.notes.append(f"{len(self.running)} Slurm jobs submitted earlier are still at work")

    def _missed(self, element: Element) -> None:
        """A job that ended when nobody watched: an attempt, if it brought nothing."""
        batch, index = element
        self.settled.add(element)
        if batch.number and not self._progress(element):
            why = f"Slurm job {batch.number}_{index} ended without them; see {batch.log(index)}"
            for k in batch.jobs[index]:
                self.ledger.failed(self.study.segments[k], why)

    def _update(self, known: dict[str, list[SlurmJob]]) -> None:
        self.running = {
            (batch, job.index): job
            for batch in self.batches
            for job in known[batch.name]
            if not job.over and job.index < len(batch.jobs)
        }
        self.tally.workers = sum(job.state == "RUNNING" for job in self.running.values())

    def _jobs(self, todo: list[Span]) -> list[list[int]]:
        """Segment numbers a job; one a job where a segment has failed before, so that only the culprit fails again."""
        fresh = [self.numbers[span] for span in todo if not self.ledger.attempts[span]]
        again = [self.numbers[span] for span in todo if self.ledger.attempts[span]]
        most = min(MOST_JOBS, self._free()) if self.max_jobs else MOST_JOBS
        each = self.per_job or max(-(-len(fresh) // max(1, most)), self.request.cpus)
        alone = self.per_job or 1
        jobs = [fresh[i : i + each] for i in range(0, len(fresh), each)]
        jobs += [again[i : i + alone] for i in range(0, len(again), alone)]
        return jobs[:most]

    def _free(self) -> int:
        """Jobs that may be submitted now."""
        return MOST_JOBS if self.max_jobs is None else max(0, self.max_jobs - len(self.running) - len(self.gone))

    def _submit(self) -> None:
        if not self.ledger.idle(self._of([*self.running, *self.gone])) or not self._free():
            return
        batch, text = self.plan()
        path = write_batch(batch, text)
        try:
            number = sbatch.submit(path)
        except SubtrainError:
            batch.mark("over")
            raise
        batch.mark("job", number)
        self.batches.append(batch)
        self.running |= {(batch, index): SlurmJob(index, "PENDING", "", "") for index in range(len(batch.jobs))}
        self.tally.notes.append(f"submitted Slurm array {number} of {len(batch.jobs)} jobs")

    def _pause(self, seconds: float, tick: Callable[[], None]) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            tick()
            time.sleep(0.2)

    def _look(self) -> bool:
        """See what has changed. Slurm is asked first: what a job committed before it ended is then there to be seen."""
        before = set(self.running)
        known = sbatch.ask([batch.name for batch in self.batches])
        landed = set(self.ledger.look())
        if landed:
            self._credit(landed)
        self.silence.heard(answered=known is not None, landed=bool(landed))
        if known is None:
            return bool(landed)
        self._update(known)
        states = {(b, job.index): job.state for b in self.batches for job in known[b.name]}
        for batch in self.batches:
            if batch.cancelled:
                raise CollectError(
                    f"the Slurm jobs of {self.study.location} were cancelled; what finished is kept, collect again to "
                    "go on"
                )
            for element in [(batch, k) for k in range(len(batch.jobs))]:
                if element not in self.running and element not in self.settled:
                    self._ended(element, states.get(element, "its job is gone"))
        return bool(landed) or before != set(self.running)

    def _progress(self, element: Element) -> bool:
        """Whether a job brought anything: segments, or models of one, which another job need not train again."""
        batch, index = element
        segments = (self.study.segments[k] for k in batch.jobs[index])
        return element in self.fruitful or any(checkpoint.saved_since(self.study, s, batch.written) for s in segments)

    def _credit(self, landed: set[Span]) -> None:
        for batch in self.batches:
            for index, job in enumerate(batch.jobs):
                if any(self.study.segments[k] in landed for k in job):
                    self.fruitful.add((batch, index))

    def _ended(self, element: Element, state: str) -> None:
        """A job is over: what it owes is given up if the worker tried often enough, or counted and tried again."""
        batch, index = element
        code = batch.exit_code(index)
        owed = [self.study.segments[k] for k in batch.jobs[index] if self.study.segments[k] in self.ledger.waiting]
        first = self.gone.setdefault(element, time.monotonic())
        if owed and time.monotonic() - first < GRACE and code in (None, 0):
            return
        del self.gone[element]
        self.settled.add(element)
        if owed and code in _FATAL:
            self._cancel(self.batches)
            raise _FATAL[code](_last_error(batch, index))
        more = ": one model may take longer than its --time" if state == "TIMEOUT" else ""
        why = f"Slurm job {batch.number}_{index} ended without them ({state}{more}); see {batch.log(index)}"
        tried = bool(owed) and not self._progress(element)
        for span in owed:
            final = code == CollectError.exit_code and bool(recorded_failures(self.study, range(*span)))
            if final or tried:
                self.ledger.failed(span, why, final)
        if owed and code != CollectError.exit_code:
            self.tally.notes.append(f"Slurm job {batch.number}_{index} ended early ({state})")

    def _cancel(self, batches: list[Batch]) -> None:
        sbatch.cancel([batch.name for batch in batches])

    def _tidy(self) -> None:
        """All is done: jobs that were requeued and have not begun again have nothing left to do."""
        left = sorted({batch.name for batch, _ in self.running})
        sbatch.cancel(left, "--state=PENDING")
        for batch in self.batches:
            if batch.name not in left:
                batch.mark("over")


def _last_error(batch: Batch, index: int) -> str:
    """What the job's worker said last, without the word Error."""
    try:
        with atomic_files.open_regular(batch.log(index)) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG))
            lines = file.read(_LOG).decode(errors="replace").splitlines()
    except (OSError, SubtrainError):
        lines = []
    said = next((line.removeprefix("Error: ") for line in reversed(lines) if line.startswith("Error: ")), "it failed")
    return f"{said} (Slurm job {batch.number}_{index}, {batch.log(index)})"


def preview(study: StoredStudy, segments: list[Span], **options: object) -> str:
    """The script that would be submitted for these segments."""
    return slurm(study, segments, Tally(study.store, runner_file(), 0, 0), **options).plan()[1]  # type: ignore[arg-type]


def cancel(study: StoredStudy) -> int:
    """Cancel all Slurm jobs of the study; how many arrays there were. What they committed is kept."""
    found = open_batches(study)
    for batch in found:
        batch.mark("cancelled")
    if found:
        sbatch.cancel([batch.name for batch in found])
    for batch in found:
        batch.mark("over")
    return len(found)
