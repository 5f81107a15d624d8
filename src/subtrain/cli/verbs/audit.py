"""`subtrain audit`: what a linear datamodel can reach, before one is fitted."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.options import OutputName
from subtrain.cli.shared.question import Asked, question
from subtrain.uses.kit.result import Result


@question(fit=False, targets=False, verify=False, trains=True)
def audit(
    asked: Asked,
    output: OutputName = None,
    linearity: Annotated[
        bool, typer.Option("--linearity", help="Train models on correlated masks to see how much is linear.")
    ] = False,
    pairs: Annotated[
        int, typer.Option(help="With --linearity: number of held-out subsets that get 3 partners each.")
    ] = 100,
) -> Result:
    """Measure how much of the output is seed noise, and the ceiling (an upper bound) that this noise sets.

    --linearity also measures how much of the rest is linear in the mask.
    """
    from subtrain.uses.audit import RUNS
    from subtrain.uses.audit import audit as find

    found = find(asked.study, output, pairs=pairs if linearity else 0, **asked.training)
    asked.rows = 5
    reached = ", ".join(f"{runs}: {found.ceiling_of(runs):.3f}" for runs in RUNS)
    asked.notes.append(f"Ceiling (upper bound) by the number of runs of each held-out subset: {reached}")
    return found
