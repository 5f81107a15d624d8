"""How a study stands: models done, missing and failed, runners at work, disk used and to come."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from subtrain.collection.report import RUNNERS
from subtrain.design import EVALUATION, FIT
from subtrain.errors import CorruptError, InputError
from subtrain.machine import host
from subtrain.store import files, segment
from subtrain.store.study import FAILURES, FITS, SEGMENTS, Study

STALE = 15.0


@dataclass(frozen=True)
class FailedModel:
    """A model that failed: its number, one sentence, and the file with its traceback."""

    model: int
    why: str
    file: str


@dataclass(frozen=True)
class Status:
    """Counts are models; bytes are of outputs on disk, and still to come."""

    path: str
    models: int
    done: int
    fit_models: int
    fit_done: int
    evaluation_models: int
    evaluation_done: int
    units: int
    alpha: float | tuple[float, ...]
    outputs: Mapping[str, list[int]]
    failed: tuple[FailedModel, ...]
    runners: tuple[Mapping[str, Any], ...]
    bytes_done: int
    bytes_to_come: int
    fits: tuple[str, ...]

    @property
    def missing(self) -> int:
        return self.models - self.done

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "missing": self.missing}


def status(study: Study) -> Status:
    """The study's state as its folder shows it right now."""
    done, evaluation_done = study.done(FIT).size, study.done(EVALUATION).size
    each = sum(spec.bytes for spec in study.outputs.values())
    total = done + evaluation_done
    return Status(
        path=str(study.path),
        models=study.models,
        done=total,
        fit_models=study.design.role_rows(FIT).size,
        fit_done=done,
        evaluation_models=study.design.role_rows(EVALUATION).size,
        evaluation_done=evaluation_done,
        units=study.n,
        alpha=study.design.alpha,
        outputs={name: list(spec.shape) for name, spec in study.outputs.items()},
        failed=failed_models(study),
        runners=live_runners(study),
        bytes_done=_stored(study.path / SEGMENTS),
        bytes_to_come=(study.models - total) * each,
        fits=tuple(sorted(p.parent.name for p in (study.path / FITS).glob("*/datamodels.json"))),
    )


def _stored(folder: Path) -> int:
    """Bytes of the files in a folder, some of which may vanish while we look."""
    total = 0
    for entry in os.scandir(folder) if folder.is_dir() else ():
        with suppress(FileNotFoundError):
            total += entry.stat().st_size
    return total


def check(study: Study) -> list[str]:
    """One sentence for every committed segment that is damaged, or that was trained on other masks than the design's.

    Every byte of every segment is read. An empty list means that all is as it was written.
    """
    folder = study.path / SEGMENTS
    found = []
    for path in sorted(folder.glob("*")) if folder.is_dir() else []:
        if segment.parse_file_name(path.name) is None:
            continue
        try:
            _, header = segment.read_segment(path, study.outputs, list(study.outputs), study.identity)
            rows = [row for start, stop in header["rows"] for row in range(start, stop)]
            if header["masks_sha256"] != study.masks(rows).sha256():
                found.append(f"segment {path} was trained on other masks than this version of the design gives")
        except (CorruptError, InputError) as error:
            found.append(str(error))
    return found


def failed_models(study: Study) -> tuple[FailedModel, ...]:
    """Models whose last attempt failed, and that nobody has trained since."""
    done = set(study.done().tolist())
    found = []
    for path in sorted((study.path / FAILURES).glob("*.txt")):
        if not path.stem.isdigit() or int(path.stem) in done:
            continue
        with suppress(FileNotFoundError, IndexError):
            why = path.read_text(errors="replace").splitlines()[2]
            found.append(FailedModel(int(path.stem), why, str(path)))
    return tuple(found)


def live_runners(study: Study) -> tuple[Mapping[str, Any], ...]:
    """What the runners at work say of themselves; those silent for long or dead are left out."""
    found = []
    for path in sorted((study.path / RUNNERS).glob("*.json")):
        try:
            data = files.read_json(path)
            age = (datetime.now(UTC) - datetime.fromisoformat(data["updated"])).total_seconds()
            if data["state"] == "running" and age < STALE and not _dead(data):
                found.append(data)
        except (CorruptError, KeyError, TypeError, ValueError, FileNotFoundError):
            continue
    return tuple(found)


def _dead(runner: Mapping[str, Any]) -> bool:
    return runner["host"] == host() and not files.alive(int(runner["pid"]))
