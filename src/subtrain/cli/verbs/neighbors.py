"""`subtrain neighbors`: the training data that helps and harms a target most."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.question import Asked, question
from subtrain.errors import InputError
from subtrain.uses.kit.result import Result


@question()
def neighbors(
    asked: Asked,
    k: Annotated[int, typer.Option("-k", help="Number of units on each side.")] = 10,
    per_class: Annotated[bool, typer.Option("--per-class", help="Make one list for each class of targets.")] = False,
    together: Annotated[bool, typer.Option("--together", help="Make one list for all of these targets.")] = False,
    significance: Annotated[
        bool, typer.Option("--significance", help="Add the false discovery rate of each weight.")
    ] = False,
) -> Result:
    """List the most helpful and most harmful training units of each target, each class, or all targets together."""
    from subtrain.uses.kit.unit_names import target_labels
    from subtrain.uses.neighbors import neighbors as find
    from subtrain.uses.significance import significance as test

    dm, study, chosen = asked.dm, asked.study, asked.targets
    groups = None
    if per_class:
        labels = target_labels(study, str(dm.meta.get("output")))
        if labels is None:
            raise InputError(f"the task of {study.location} does not tell the classes of its targets")
        groups = [labels[target] for target in (range(dm.targets) if chosen is None else chosen)]
    if significance and (per_class or together):
        raise InputError("--significance is of the weights of single targets: leave out --per-class and --together")
    q = test(dm, study, chosen).q if significance else None
    return find(dm, study, chosen, k, groups, q, together)
