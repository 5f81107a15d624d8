"""Progress of a computation by stages: a bar with an ETA for each on a terminal, nothing in a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from subtrain.cli.shared.app import err
from subtrain.system.compiling import told_of_compiling

COMPILING = "Compiling code for this machine, which happens once and takes up to half a minute"
STAGES = {
    "counts": "Counting models",
    "path": "Solving paths, target by target",
    "join counts": "Adding the models that chose λ",
    "refit": "Fitting the chosen λ",
    "weights": "Turning weights target by target",
    "outputs": "Reading outputs",
    "page": "Gathering answers",
}


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """A callback (stage, done, total) that draws one bar a stage."""
    bars: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal) as shown, told_of_compiling(_say_compiling):

        def update(stage: str, done: int, total: int) -> None:
            if stage not in bars or done < shown.tasks[bars[stage]].completed:
                bars[stage] = shown.add_task(STAGES.get(stage, stage), total=total)
            shown.update(bars[stage], completed=done, total=total)

        yield update


def _say_compiling() -> None:
    if err.is_terminal:
        err.print(COMPILING)
