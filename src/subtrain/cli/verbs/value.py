"""`subtrain value`: what units are worth, from the table of subsets and outputs alone."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.question import Asked, question
from subtrain.errors import InputError
from subtrain.uses.kit.result import Result

GAMES = ("banzhaf", "shapley", "ame")
PAIRS = ("influence", "memorization")


@question(fit=False, verify=False)
def value(
    asked: Asked,
    method: Annotated[str, typer.Option(help=f"{', '.join(PAIRS + GAMES)}.")] = "banzhaf",
    output: Annotated[str | None, typer.Option(help="Name of an output. (default: the first that suits)")] = None,
    utility: Annotated[
        str | None,
        typer.Option(help="For banzhaf, shapley, ame: accuracy over the targets, or mean of the output."),
    ] = None,
) -> Result:
    """Estimate the value of each unit from differences of means, with standard errors. This needs no fit."""
    from subtrain.uses import memorization, valuation

    study, targets = asked.study, asked.targets
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
