"""The arrays of jobs submitted for a study, remembered in its folder `slurm/` so that nobody submits them twice.

One folder an array: `script.sh`; `segments.txt`, a line of segment numbers for each job; `job`, Slurm's number;
`K.exit`, the exit code of job K; `cancelled`; and `over`, once none of its jobs is left.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from subtrain.collection.engines.slurm import sbatch
from subtrain.errors import CollectError, CorruptError, InputError, StorageError
from subtrain.store import atomic_files
from subtrain.store.folder import inside
from subtrain.studies.manifest import MANIFEST, MAX_SEGMENTS
from subtrain.studies.stored_study import LOGS, StoredStudy

SLURM = "slurm"
_NAME = re.compile(r"[0-9]{6,}-[0-9a-f]{6}")
_NUMBER = re.compile(r"[0-9]{1,15}")
# Most bytes of the lists of an array.
_LISTS = 32 << 20


@dataclass(frozen=True)
class Batch:
    """One array. jobs: the numbers of the segments that each of its jobs trains."""

    folder: Path
    jobs: tuple[tuple[int, ...], ...]

    @property
    def name(self) -> str:
        """Its jobs' name in Slurm; no other array anywhere has it."""
        return f"subtrain-{self.folder.name}"

    @property
    def number(self) -> str:
        """Slurm's number of the array, "" if it was not written down before the submitting process died."""
        return self._read("job")

    @property
    def cancelled(self) -> bool:
        return (self.folder / "cancelled").exists()

    def exit_code(self, index: int) -> int | None:
        """What job `index` ended with; None if it was killed, or has not ended."""
        code = self._read(f"{index}.exit")
        return int(code) if code.isdigit() else None

    def log(self, index: int) -> Path:
        return self.folder.parent.parent / LOGS / f"slurm-{self.number}_{index}.log"

    @property
    def written(self) -> float:
        """When it was written, by the clock of the study's file system."""
        return (self.folder / "segments.txt").stat().st_mtime

    def mark(self, what: str, content: str = "") -> None:
        """Write one of the small files that say what became of it."""
        atomic_files.replace(self.folder / what, lambda file: file.write(content.encode()), durable=False)

    def _read(self, name: str) -> str:
        with suppress(FileNotFoundError), atomic_files.open_regular(self.folder / name) as file:
            return file.read(100).decode(errors="replace").strip()
        return ""


def new_batch(study: StoredStudy, jobs: Sequence[Sequence[int]]) -> Batch:
    """A folder for a new array, numbered in order; not submitted yet, and not written."""
    root = _root(study)
    assert root is not None, "Slurm's jobs need a folder"
    return Batch(root / f"{len(_folders(root)) + 1:06d}-{uuid4().hex[:6]}", tuple(map(tuple, jobs)))


def write_batch(batch: Batch, script: str) -> Path:
    """Write its folder, and make the one of its logs, without which Slurm fails each job; the path of the script."""
    root = batch.folder.parent.parent
    if not (root / MANIFEST).is_file():
        raise StorageError(f"{root} is gone, or its {MANIFEST}: it was moved, deleted or unmounted")
    with atomic_files.storage_errors(batch.folder):
        inside(root, LOGS).mkdir(exist_ok=True)
        batch.folder.mkdir(parents=True)
        (batch.folder / "segments.txt").write_text("".join(f"{_listed(job)}\n" for job in batch.jobs), encoding="utf-8")
        (batch.folder / "script.sh").write_text(script, encoding="utf-8", errors="surrogateescape")
    return batch.folder / "script.sh"


def open_batches(study: StoredStudy) -> list[Batch]:
    """Arrays some of whose jobs may be left, oldest first; CorruptError for one that names no segments of the study."""
    found: list[Batch] = []
    root = _root(study)
    for folder in _folders(root) if root else ():
        if not (folder / "over").exists():
            with suppress(FileNotFoundError):
                found.append(Batch(folder, _jobs(folder / "segments.txt", len(study.segments))))
    return found


def _jobs(path: Path, count: int) -> tuple[tuple[int, ...], ...]:
    with atomic_files.open_regular(path) as file:
        data = file.read(_LISTS + 1)
    try:
        jobs = tuple(parse_segments(line, count) for line in data.decode().splitlines())
    except (InputError, UnicodeDecodeError) as error:
        raise CorruptError(f"{path} is damaged: {error}") from error
    if len(data) > _LISTS or any(job[-1:] >= (count,) for job in jobs):
        raise CorruptError(f"{path} is damaged: it names segments that the study does not have, it has {count}")
    return jobs


def _root(study: StoredStudy) -> Path | None:
    """The folder of all arrays; None for a study in a bucket. InputError if it leads out of the study."""
    root = study.store.path()
    return None if root is None else inside(root.resolve(), SLURM)


def _folders(root: Path) -> list[Path]:
    """Those of arrays, oldest first; what is named otherwise is not ours, and its name never reaches squeue."""
    return sorted(one for one in root.iterdir() if _NAME.fullmatch(one.name)) if root.is_dir() else []


def jobs_left(study: StoredStudy) -> list[dict[str, Any]]:
    """What is left in the queue of the study's arrays: number, jobs in each state; states unknown without squeue."""
    batches = open_batches(study)
    known = sbatch.ask([batch.name for batch in batches]) if sbatch.available() else None
    found = []
    for batch in batches:
        jobs = [job for job in (known or {}).get(batch.name, []) if not job.over]
        if jobs or known is None:
            states = Counter(job.state.lower() for job in jobs)
            found.append({"engine": "slurm", "array": batch.number, "jobs": len(batch.jobs), "states": dict(states)})
    return found


def parse_segments(text: str, count: int | None = None) -> tuple[int, ...]:
    """(0, 1, 2, 7) of "0:3,7": A:B are the numbers A to B - 1, as in Python.

    count: of the study's segments; of what lies beyond, one number stands for all, so that no list is too long.
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, colon, end = part.strip().partition(":")
        if not _NUMBER.fullmatch(first) or (colon and not (_NUMBER.fullmatch(end) and int(end) > int(first))):
            shown = text if len(text) < 80 else f"{text[:77]}…"
            raise InputError(f"segments are written A:B (numbers A to B - 1) or A, with commas between, got {shown!r}")
        start, stop = int(first), int(end) if colon else int(first) + 1
        if stop - start > MAX_SEGMENTS and count is None:
            raise InputError(f"{part.strip()} are more segments than any study has")
        inside = range(start, stop if count is None else min(stop, max(count, start) + 1))
        numbers += inside
    return tuple(numbers)


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))


# Times in a row that squeue may fail before the user hears of it.
SAID_AFTER = 3


# Seconds without an answer, nor a commit that shows that jobs go on, before it is an error.
MOST = 1800.0


@dataclass
class Silence:
    """How long squeue has been silent about the jobs of the study at `location`; what to say of it joins `notes`."""

    location: str
    notes: list[str]
    unanswered: int = 0
    last: float = field(default_factory=time.monotonic)

    def heard(self, answered: bool, landed: bool) -> None:
        """squeue was asked and answered or not, segments have landed or not; CollectError once it is too long."""
        if answered and self.unanswered >= SAID_AFTER:
            self.notes.append("squeue answers again")
        self.unanswered = 0 if answered else self.unanswered + 1
        if self.unanswered == SAID_AFTER:
            self.notes.append("squeue does not answer: waiting for it, and counting what is committed meanwhile")
        if answered or landed:
            self.last = time.monotonic()
        elif self.unanswered > SAID_AFTER and time.monotonic() - self.last > MOST:
            raise CollectError(
                f"squeue has not answered for {MOST / 60:.0f} minutes, and nothing was committed: the jobs of "
                f"{self.location} may go on; collect again to pick them up"
            )
