"""`subtrain select`: which units to train on."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.question import Asked, question
from subtrain.errors import InputError
from subtrain.uses.kit.result import Result


@question()
def select(
    asked: Asked,
    keep: Annotated[int | None, typer.Option(help="Number of units to keep.", show_default=False)] = None,
    drop: Annotated[int | None, typer.Option(help="Number of units to leave out.", show_default=False)] = None,
    judge: Annotated[float, typer.Option(help="Share of the targets that only evaluate the choice.")] = 0.5,
    worst_label: Annotated[
        bool, typer.Option("--worst-label", help="With --drop: choose for the label on which the models do worst.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed that draws the evaluating targets and the random sets.")] = 0,
    better: Annotated[
        str | None, typer.Option(help="Which way the output is better: higher or lower. (default: as declared)")
    ] = None,
    randoms: Annotated[int, typer.Option(help="With --verify: number of random sets to compare with.")] = 5,
) -> Result:
    """Choose the units to train on for the sake of some targets.

    --verify trains on the chosen units, on as many random ones, and on all.
    """
    from subtrain.uses.group_debias import debias_group
    from subtrain.uses.kit.unit_names import target_labels
    from subtrain.uses.select import select as choose

    asked.verify_with = {"randoms": randoms, "seed": seed}
    dm, study = asked.dm, asked.study
    if not worst_label:
        return choose(dm, study, keep, drop, asked.targets, judge, seed, better)
    if drop is None or keep is not None or asked.targets is not None:
        raise InputError("--worst-label goes with --drop, not with --keep or --targets")
    labels = target_labels(study, str(dm.meta.get("output")))
    if labels is None:
        raise InputError(f"{study.location} stores no labels of its targets")
    return debias_group(dm, study, labels.tolist(), drop, others=judge, seed=seed, better=better)
