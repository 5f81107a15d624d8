"""`subtrain poison`: a planted set of training examples, if there is one."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.options import Known, numbers
from subtrain.cli.shared.question import Asked, question
from subtrain.uses.kit.result import Result


@question(targets=False)
def poison(
    asked: Asked,
    size: Annotated[int | None, typer.Option(help="Number of units in the set. (default: estimated)")] = None,
    without: Annotated[
        str | None, typer.Option(metavar="LIST", help="Units to leave out of the search.", show_default=False)
    ] = None,
    known: Known = None,
    triggered: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="With --verify: test targets that carry the trigger.", show_default=False),
    ] = None,
) -> Result:
    """Find the set of units that depend on one another most (a backdoor). The fit must be of a train-set output.

    --verify retrains without the set, and without as many random units.
    """
    from subtrain.uses.poison import poison as search
    from subtrain.uses.training_sets import split_targets

    if asked.verify:
        groups = split_targets(asked.study, "test_margins", triggered=numbers(triggered, "triggered"))
        asked.verify_with = {"output": "test_margins", "groups": groups}
    left_out = numbers(without, "without") or []
    return search(asked.dm, asked.study, size, left_out, numbers(known, "known"))
