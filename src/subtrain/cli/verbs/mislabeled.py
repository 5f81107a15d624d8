"""`subtrain mislabeled`: which training examples have a wrong label."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.app import AsJson, Params, StudyPath, TaskName, app
from subtrain.cli.shared.results import PANEL, OutFile, numbers, show
from subtrain.cli.shared.trusted_study import Trust, open_to_train
from subtrain.cli.verbs.select import Verify

Known = Annotated[
    str | None, typer.Option(metavar="LIST", help="Known faults, as in 0-49, to judge by.", show_default=False)
]


@app.command(rich_help_panel=PANEL)
def mislabeled(
    study: StudyPath,
    fit: Annotated[
        str | None, typer.Option("--fit", help="A fit of the same output, for two more scores.", show_default=False)
    ] = None,
    output: Annotated[str, typer.Option(help="Margins of the training examples.")] = "train_margins",
    by: Annotated[str, typer.Option(help="The score that ranks.")] = "without",
    known: Known = None,
    drop: Annotated[int, typer.Option(help="With --verify: leave out so many of the most suspicious.")] = 0,
    verify: Verify = 0,
    task: TaskName = None,
    param: Params = None,
    trust: Trust = False,
    to: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """Rank training examples by how much the models not trained on them contradict their labels."""
    from subtrain.fits import load_fit
    from subtrain.uses.mislabeled import mislabeled as rank

    opened = open_to_train(study, task, param, trust)
    dm = None if fit is None else load_fit(opened, fit)
    found = rank(opened, output, by, numbers(known, "known"), dm=dm)
    show(found.verify(verify, drop or None) if verify else found, to, as_json)
