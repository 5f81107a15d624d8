"""`subtrain neighbors`: the training data that helps and harms a target most."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.app import AsJson, FitName, StudyPath, app
from subtrain.cli.shared.results import PANEL, OutFile, Targets, numbers, show
from subtrain.errors import InputError


@app.command(rich_help_panel=PANEL)
def neighbors(
    study: StudyPath,
    fit: FitName = "default",
    targets: Targets = None,
    k: Annotated[int, typer.Option("-k", help="Units on each side.")] = 10,
    per_class: Annotated[bool, typer.Option("--per-class", help="One list for each class of targets.")] = False,
    together: Annotated[bool, typer.Option("--together", help="One list for all of these targets.")] = False,
    significance: Annotated[
        bool, typer.Option("--significance", help="Add how sure each weight is, as a false discovery rate.")
    ] = False,
    to: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """The most helpful and most harmful training units of each target, of each class, or of all targets together."""
    from subtrain.fits import load_fit
    from subtrain.study import Study
    from subtrain.uses.kit.unit_names import target_labels
    from subtrain.uses.neighbors import neighbors as find
    from subtrain.uses.significance import significance as test

    opened = Study.open(study)
    dm, chosen = load_fit(opened, fit), numbers(targets)
    groups = None
    if per_class:
        labels = target_labels(opened, str(dm.meta.get("output")))
        if labels is None:
            raise InputError(f"the task of {opened.location} does not tell the classes of its targets")
        groups = [labels[t] for t in (range(dm.targets) if chosen is None else chosen)]
    if significance and (per_class or together):
        raise InputError("--significance is of the weights of single targets: leave out --per-class and --together")
    q = test(dm, opened, chosen).q if significance else None
    show(find(dm, opened, chosen, k, groups, q, together), to, as_json)
