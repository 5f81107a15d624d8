"""What `check` found out about a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from subtrain.formatting import duration, size

# Names in a line; all are in to_json.
SHOWN = 12


@dataclass(frozen=True)
class Repeatability:
    """How two trainings of one model agree: identical bits, or the largest difference, in which output.

    spread: standard deviation of the difference that another subset makes to that output.
    """

    identical: bool
    output: str = ""
    difference: float = 0.0
    spread: float = 0.0

    def __str__(self) -> str:
        if self.identical:
            return "identical, bit for bit"
        return f"{self.output} differs by up to {self.difference:.3g}; another subset moves it by {self.spread:.3g}"


@dataclass(frozen=True)
class CheckReport:
    """A task on this machine. Seconds and bytes are of this machine; the study's are estimates.

    failure: why no study can be made of it, "" if one can; details: the traceback or what was printed. again, fresh and
    beside: the same model trained twice in one process, in another process, and with `batch` - 1 neighbors in one
    call; None where it was not tried. watched: parts of its code and data whose changes a study notices; packages:
    versions of what it uses unwatched. tried and failed: further subsets that were tried, and those of them that
    failed. start: seconds until a worker has the task, imports: those of them for imports, by package; first and each:
    seconds of the first model, and of each one after it.
    """

    name: str
    n: int
    batch: int
    outputs: Mapping[str, str]
    models: int
    alpha: float
    failure: str = ""
    details: str = ""
    again: Repeatability | None = None
    fresh: Repeatability | None = None
    beside: Repeatability | None = None
    watched: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    tried: int = 0
    failed: int = 0
    start: float = float("nan")
    imports: Mapping[str, float] = field(default_factory=dict)
    first: float = float("nan")
    each: float = float("nan")
    worker_bytes: int = 0
    slots: str = ""
    study_seconds: float = float("nan")
    study_bytes: int = 0

    @property
    def usable(self) -> bool:
        """Whether a study can be made of it."""
        return not self.failure

    @property
    def deterministic(self) -> bool:
        """Whether mask and seed alone decide what a model returns, as far as was tried."""
        tried = [part for part in (self.again, self.fresh, self.beside) if part is not None]
        return bool(tried) and all(part.identical for part in tried)

    def to_json(self) -> dict[str, Any]:
        found = {k: None if isinstance(v, float) and v != v else v for k, v in asdict(self).items()}
        return {**found, "usable": self.usable, "deterministic": self.deterministic}

    def __str__(self) -> str:
        call = f"up to {self.batch} models a call" if self.batch > 1 else "one model a call"
        lines = [f"{self.name}: {self.n:,} training examples, {call}"]
        lines += [f"  {name} {text}" for name, text in self.outputs.items()]
        titles = {
            "trained again": self.again,
            "in a fresh process": self.fresh,
            f"beside {self.batch - 1} neighbors": self.beside,
        }
        lines += [f"  {title}: {found}" for title, found in titles.items() if found is not None]
        if self.tried:
            lines.append(f"  {self.tried - self.failed} of {self.tried} further subsets trained")
        if self.study_seconds == self.study_seconds:
            lines += self._cost()
        lines += self._watching()
        lines += [f"Note: {note}" for note in self.notes]
        verdict = (
            "Usable: its models can be repeated"
            if self.deterministic
            else "Usable, but its models vary from run to run"
        )
        return "\n".join([*lines, f"Not usable: {self.failure}" if self.failure else verdict])

    def _watching(self) -> list[str]:
        """What a study of it notices when it changes, and what not."""
        names = sorted(dict.fromkeys(name.partition("#")[0] for name in self.watched))
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        parts = f"{', '.join(names[:SHOWN])}{more}" if names else "its settings and data"
        used = [f"{name} {version}".rstrip() for name, version in self.packages.items()]
        versions = f" ({', '.join(used[:SHOWN])}{', …' if len(used) > SHOWN else ''})" if used else ""
        return [
            f"  watched for changes: {parts}",
            f"  not watched: installed packages{versions}, the environment, files that data= does not name",
        ]

    def _cost(self) -> list[str]:
        return [
            f"  a worker starts in {duration(self.start)}, trains its first model in {duration(self.first)} and each "
            f"one after it in {duration(self.each)}, and takes {size(self.worker_bytes)} of memory",
            f"  {self.models:,} models at alpha {self.alpha:g} on this machine, {self.slots}: "
            f"about {duration(self.study_seconds)} and {size(self.study_bytes)} on disk",
        ]
