"""Progress a person reads: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from types import TracebackType

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from subtrain.collection.tally import Tally
from subtrain.formatting import clock, printable
from subtrain.system.terminal import Terminal

LOG_EVERY = 15.0


class Display:
    """`with Display(tally) as show: show()` brings the display up to date.

    bar: without one, the terminal is left to a debugger, and a line comes now and then.
    """

    def __init__(self, tally: Tally, bar: bool = True) -> None:
        self.tally = tally
        self.console = Terminal(stderr=True)
        self.bar_wanted = bar and self.console.is_terminal
        self.logged = time.monotonic()
        self.noted = 0
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[say]}"),
            console=self.console,
            disable=not self.bar_wanted,
        )
        self.task = self.bar.add_task("Training", total=tally.total, say="")

    def __enter__(self) -> Display:
        self._say(f"Training with {self.tally.slots}")
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def __call__(self) -> None:
        tally = self.tally
        done = tally.done + tally.trained
        self.bar.update(self.task, completed=done, say=_sentence(tally))
        for note in tally.notes[self.noted :]:
            self._say(f"Note: {note}")
            self.noted += 1
        if not self.bar_wanted and time.monotonic() - self.logged > LOG_EVERY:
            self.logged = time.monotonic()
            self._say(f"Training {_sentence(tally)}")

    def _say(self, text: str) -> None:
        text = printable(text, self.console.encoding)
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


def _sentence(tally: Tally) -> str:
    parts = [f"{tally.done + tally.trained:,}/{tally.total:,} models"]
    if tally.rate:
        parts.append(f"{tally.rate:,.3g}/s" if tally.rate < 100 else f"{tally.rate:,.0f}/s")
    if tally.eta is not None:
        parts.append(f"{clock(tally.eta)} left")
    if tally.retries:
        parts.append(f"{tally.retries} retried")
    return ", ".join(parts)
