"""`subtrain value`: what units are worth, from the table of subsets and outputs alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from subtrain.cli.shared.app import AsJson, StudyPath, app
from subtrain.cli.shared.results import PANEL, OutFile, Targets, numbers, show
from subtrain.errors import InputError

if TYPE_CHECKING:
    from subtrain.study import Study
    from subtrain.uses.kit.result import Result

GAMES = ("banzhaf", "shapley", "ame")
PAIRS = ("influence", "memorization")


@app.command(rich_help_panel=PANEL)
def value(
    study: StudyPath,
    method: Annotated[str, typer.Option(help=f"{', '.join(PAIRS + GAMES)}.")] = "banzhaf",
    output: Annotated[
        str | None, typer.Option(help="Which output; by default the first that suits.", show_default=False)
    ] = None,
    utility: Annotated[
        str | None,
        typer.Option(help="banzhaf, shapley, ame: accuracy over targets, or mean of the output.", show_default=False),
    ] = None,
    targets: Targets = None,
    to: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """What units are worth, by differences of means with standard errors; needs no fit."""
    from subtrain.study import Study

    show(_valued(Study.open(study), method, output, utility, numbers(targets)), to, as_json)


def _valued(study: Study, method: str, output: str | None, utility: str | None, targets: list[int] | None) -> Result:
    from subtrain.uses import memorization, valuation

    if method in GAMES:
        found: Result = getattr(valuation, method)(study, output, utility, targets)
        return found
    if method not in PAIRS:
        raise InputError(f"unknown method {method!r}; choose from {', '.join(PAIRS + GAMES)}")
    if utility or targets:
        raise InputError(f"{method} is of every target by itself: it takes neither --utility nor --targets")
    if method == "influence":
        return memorization.empirical_influence(study, output)
    return memorization.memorization(study, output)
