"""`subtrain poison`: a planted set of training examples, if there is one."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.app import AsJson, FitName, Params, StudyPath, TaskName, app
from subtrain.cli.shared.results import PANEL, OutFile, numbers, show
from subtrain.cli.shared.trusted_study import Trust, open_to_train
from subtrain.cli.verbs.mislabeled import Known
from subtrain.cli.verbs.select import Verify


@app.command(rich_help_panel=PANEL)
def poison(
    study: StudyPath,
    fit: FitName = "default",
    size: Annotated[int | None, typer.Option(help="Of the set; found if not given.", show_default=False)] = None,
    without: Annotated[
        str | None, typer.Option(metavar="LIST", help="Units to leave out of the search.", show_default=False)
    ] = None,
    known: Known = None,
    triggered: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="With --verify: test targets that carry the trigger.", show_default=False),
    ] = None,
    verify: Verify = 0,
    task: TaskName = None,
    param: Params = None,
    trust: Trust = False,
    to: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """Find the units that hold one another up most (a backdoor); the fit must be of a train-set output."""
    from subtrain.fits import load_fit
    from subtrain.uses.poison import poison as search
    from subtrain.uses.training_sets import split_targets

    opened = open_to_train(study, task, param, trust)
    found = search(load_fit(opened, fit), opened, size, numbers(without, "without") or [], numbers(known, "known"))
    if verify:
        groups = split_targets(opened, "test_margins", triggered=numbers(triggered, "triggered"))
        show(found.verify(verify, output="test_margins", groups=groups), to, as_json)
    else:
        show(found, to, as_json)
