"""`subtrain counterfactual`: what would be predicted without some of the training data, and is that so?"""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.options import numbers
from subtrain.cli.shared.question import Asked, question
from subtrain.uses.kit.result import Result


@question()
def counterfactual(
    asked: Asked,
    sizes: Annotated[
        str | None, typer.Option(metavar="LIST", help="Numbers of units to remove. (default: 10,20,40,… to a tenth)")
    ] = None,
    units: Annotated[
        str | None, typer.Option(metavar="LIST", help="Remove these units instead of each target's largest weights.")
    ] = None,
    base: Annotated[
        str, typer.Option(help="Remove the units from the whole training set (full), or from subsets (alpha).")
    ] = "full",
) -> Result:
    """Predict each target's output without its most helpful, its most harmful, and as many random units.

    Without --targets, the verb takes 50 targets that are spread over all. --verify retrains every removal once for all
    targets. You can kill it at any time: the same command continues.
    """
    from subtrain.uses.counterfactual import counterfactuals
    from subtrain.uses.kit.removals import Removal

    dm, what, chosen = asked.dm, asked.targets, numbers(units, "units")
    jobs = [Removal(target, chosen) for target in (range(dm.targets) if what is None else what)] if chosen else what
    return counterfactuals(dm, asked.study, jobs, numbers(sizes, "sizes"), base)
