"""How a study stands: models done, missing and failed, runners at work, disk used and to come."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from subtrain.collection.committed_segments import Trained, by_host, landed, recent_rate, trained
from subtrain.collection.engines.slurm.submitted_jobs import jobs_left
from subtrain.collection.tally import RUNNERS
from subtrain.collection.workers.checkpoint import read_whole
from subtrain.collection.workers.train_segment import read_failure
from subtrain.designs.model_rows import ANCHOR, EVALUATION, FIT, VALIDATION
from subtrain.errors import CorruptError, InputError
from subtrain.store.atomic_files import alive
from subtrain.store.protocol import read_json
from subtrain.studies.segments import segment_file
from subtrain.studies.stored_study import FAILURES, SEGMENTS, StoredStudy
from subtrain.system.machine import host

STALE = 15.0
_FAILURE = re.compile(rf"{FAILURES}/(\d{{1,15}})\.txt")


@dataclass(frozen=True)
class FailedModel:
    """A model that failed: its number, one sentence, the file with its traceback, and the host it failed on."""

    model: int
    why: str
    file: str
    host: str = ""


@dataclass(frozen=True)
class Host:
    """Models on one host: committed (of the newest segments, see `Status.hosts_of`), under way now, failed."""

    host: str
    done: int
    running: int
    failed: int


@dataclass(frozen=True)
class Status:
    """Counts are models; bytes are of outputs on disk, and still to come.

    rate: models a second that landed over the last minutes, from all engines and hosts together; eta_seconds: at that
    rate, None where there is none. hosts: models by host, of the newest `hosts_of` committed models. slowest: the
    segments that took longest a model. jobs: what is left in a queue. runners: collections at work.
    """

    path: str
    models: int
    done: int
    fit_models: int
    fit_done: int
    evaluation_models: int
    evaluation_done: int
    validation_models: int
    validation_done: int
    anchor_models: int
    anchor_done: int
    units: int
    alpha: float | tuple[float, ...]
    outputs: Mapping[str, list[int]]
    failed: tuple[FailedModel, ...]
    runners: tuple[Mapping[str, Any], ...]
    bytes_done: int
    bytes_to_come: int
    fits: tuple[str, ...]
    rate: float
    hosts: tuple[Host, ...]
    hosts_of: int
    slowest: tuple[Trained, ...]
    jobs: tuple[Mapping[str, Any], ...]

    @property
    def missing(self) -> int:
        return self.models - self.done

    @property
    def running(self) -> int:
        """Models in segments that are being trained now."""
        return sum(host.running for host in self.hosts)

    @property
    def eta_seconds(self) -> float | None:
        return self.missing / self.rate if self.rate > 0 else None

    def to_json(self) -> dict[str, Any]:
        more = {"missing": self.missing, "running": self.running, "eta_seconds": self.eta_seconds}
        return {**asdict(self), **more}


def status(study: StoredStudy) -> Status:
    """The study's state as its folder shows it right now."""
    done, evaluation_done = study.done(FIT).size, study.done(EVALUATION).size
    each = sum(spec.bytes for spec in study.outputs.values())
    validation_done, anchor_done = study.done(VALIDATION).size, study.done(ANCHOR).size
    total = done + evaluation_done + validation_done + anchor_done
    committed = landed(study)
    known = trained(study, committed)
    failed, runners = failed_models(study), live_runners(study)
    rate = recent_rate(committed) if total < study.models else 0.0
    return Status(
        path=study.location,
        models=study.models,
        done=total,
        fit_models=study.design.role_rows(FIT).size,
        fit_done=done,
        evaluation_models=study.design.role_rows(EVALUATION).size,
        evaluation_done=evaluation_done,
        validation_models=study.design.role_rows(VALIDATION).size,
        validation_done=validation_done,
        anchor_models=study.design.role_rows(ANCHOR).size,
        anchor_done=anchor_done,
        units=study.n,
        alpha=study.design.alpha,
        outputs={name: list(spec.shape) for name, spec in study.outputs.items()},
        failed=failed,
        runners=runners,
        bytes_done=sum(one.bytes for one in committed),
        bytes_to_come=(study.models - total) * each,
        fits=study.fits,
        rate=rate or sum(float(runner.get("rate", 0)) for runner in runners if runner.get("engine") == "local"),
        hosts=_hosts(by_host(known), failed, runners),
        hosts_of=sum(one.stop - one.start for one in known),
        slowest=tuple(sorted(known, key=lambda one: -one.seconds_each)[:3]),
        jobs=tuple(jobs_left(study)),
    )


def _hosts(
    done: Mapping[str, int], failed: Sequence[FailedModel], runners: Sequence[Mapping[str, Any]]
) -> tuple[Host, ...]:
    broken = Counter(model.host for model in failed if model.host)
    busy: Counter[str] = Counter()
    for runner in runners:
        busy[runner["host"]] += int(runner.get("under_way", 0))
    names = sorted({*done, *broken, *(name for name, count in busy.items() if count)})
    return tuple(Host(name, done.get(name, 0), busy[name], broken[name]) for name in names)


def check(study: StoredStudy) -> list[str]:
    """One sentence for every committed segment that is damaged, in no plan, or trained on other masks than planned.

    Every byte of every segment is read. An empty list means that all is as it was written.
    """
    found = []
    planned = set() if study.imported else set(study.segments)
    for name in study.store.names(SEGMENTS):
        span = segment_file.parse_file_name(name.rpartition("/")[2])
        if span is None:
            continue
        if span not in planned:
            found.append(
                f"segment {study.store.location(name)} is not among the {len(planned)} segments of this study: "
                "put a lost "
                "extension or the right study.json back, or move the file away"
            )
            continue
        try:
            if not read_whole(study, name)[2]:
                location = study.store.location(name)
                found.append(f"segment {location} was trained on other masks than this version of the design gives")
        except (CorruptError, InputError) as error:
            found.append(str(error))
    return found


def failed_models(study: StoredStudy) -> tuple[FailedModel, ...]:
    """Models whose last attempt failed, and that nobody has trained since."""
    files = [(name, int(m[1])) for name in study.store.names(FAILURES) if (m := _FAILURE.fullmatch(name))]
    failed = np.array([number for _, number in files], np.int64)
    trained = set(failed[np.isin(failed, study.done())].tolist()) if files else ()
    found = []
    for name, number in files:
        if number in trained:
            continue
        with suppress(FileNotFoundError):
            try:
                location, why = read_failure(study, name)
            except (CorruptError, InputError):
                location, why = "", "nobody knows why, for its file is damaged"
            found.append(FailedModel(number, why, study.store.location(name), location))
    return tuple(found)


def live_runners(study: StoredStudy) -> tuple[Mapping[str, Any], ...]:
    """What the runners at work say of themselves; those silent for long or dead are left out."""
    found = []
    for name in study.store.names(RUNNERS):
        try:
            data = read_json(study.store, name)
            if data["state"] == "running" and is_fresh(data) and not is_dead(data):
                found.append(data)
        except (CorruptError, KeyError, TypeError, ValueError, FileNotFoundError):
            continue
    return tuple(found)


def is_fresh(runner: Mapping[str, Any]) -> bool:
    """Whether a runner's file was written a moment ago, by its own clock."""
    age = (datetime.now(UTC) - datetime.fromisoformat(runner["updated"])).total_seconds()
    return abs(age) < STALE


def is_dead(runner: Mapping[str, Any]) -> bool:
    """Whether a runner was a process of this machine that is gone."""
    return runner["host"] == host() and not alive(int(runner["pid"]))
