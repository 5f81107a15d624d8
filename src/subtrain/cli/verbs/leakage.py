"""`subtrain leakage`: which test examples are in the training set as well?"""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.app import AsJson, FitName, StudyPath, app
from subtrain.cli.shared.results import PANEL, OutFile, Targets, numbers, show


@app.command(rich_help_panel=PANEL)
def leakage(
    study: StudyPath,
    fit: FitName = "default",
    targets: Targets = None,
    fdr: Annotated[float, typer.Option(help="Share of the suspect targets that may be clean.")] = 0.1,
    copies: Annotated[int, typer.Option(help="Duplicates of one target to look for at most.")] = 1,
    train_fit: Annotated[
        str | None,
        typer.Option(help="Name of a fit of the training examples (train_margins): compare datamodels, not weights."),
    ] = None,
    to: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """Rank training units that matter to one target far more than all others do, as duplicates of it would.

    --out review.csv writes all pairs with an empty column `decision` for whoever reviews them.
    """
    from subtrain.fits import load_fit
    from subtrain.study import Study
    from subtrain.uses.leakage import leakage as find

    opened = Study.open(study)
    train = None if train_fit is None else load_fit(opened, train_fit)
    show(find(load_fit(opened, fit), opened, numbers(targets), fdr, train, copies), to, as_json)
