"""`subtrain support`: how little training data a prediction hangs on."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.options import numbers
from subtrain.cli.shared.question import Asked, question
from subtrain.uses.kit.result import Result


@question()
def support(
    asked: Asked,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Start from the margin of models trained on everything; trains them.")
    ] = False,
    mislabel: Annotated[
        bool,
        typer.Option("--mislabel", help="Give examples the runner-up's label instead of removing them; retrains."),
    ] = False,
    sizes: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="With --mislabel: numbers of examples. (default: 1,2,4,…,64)"),
    ] = None,
) -> Result:
    """Find the smallest set of training units whose removal flips each prediction.

    --verify retrains without it, and without 1.2 times as many.
    """
    from subtrain.uses.brittleness import brittleness
    from subtrain.uses.support import support as find

    asked.verify |= calibrate or mislabel
    if mislabel:
        ladder = numbers(sizes, "sizes")
        more = {} if ladder is None else {"sizes": ladder}
        return brittleness(asked.dm, asked.study, asked.targets, **more)
    if calibrate:
        return find(asked.dm, asked.study, asked.targets, calibrate=asked.runs, **asked.training)
    return find(asked.dm, asked.study, asked.targets)
