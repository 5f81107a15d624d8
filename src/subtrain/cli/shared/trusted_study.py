"""A study whose training code may have to run: a line says before whose code that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from subtrain.cli.shared.app import err

if TYPE_CHECKING:
    from subtrain.study import Study


def open_to_train(study: str, task: str | None, param: list[str] | None, trust: bool = False) -> Study:
    """The study with the task that was named, or else its own, which is named on standard error if it is trusted."""
    from subtrain.studies.trust import words
    from subtrain.study import Study
    from subtrain.tasks.loading.load import parse_params

    opened = Study.open(study, task, params=parse_params(param or []), trust=trust)
    if trust and opened.given_task is None and opened.source is not None:
        making = opened.making
        if not making.own:
            err.print(f"Trusted: what trains is {escape(words(making.source))}", soft_wrap=True, highlight=False)
    return opened
