"""`subtrain leakage`: which test examples are in the training set as well?"""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.app import AsJson, FitName, StudyPath, app
from subtrain.cli.results import PANEL, OutFile, Targets, numbers, show


@app.command(rich_help_panel=PANEL)
def leakage(
    study: StudyPath,
    fit: FitName = "default",
    targets: Targets = None,
    fdr: Annotated[float, typer.Option(help="Share of the suspect targets that may be clean.")] = 0.1,
    to: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """Rank training units that matter to one target far more than all others do, as duplicates of it would.

    --out review.csv writes all pairs with an empty column `decision` for whoever reviews them.
    """
    from subtrain.fits import load_fit
    from subtrain.store.study import Study
    from subtrain.uses.leakage import leakage as find

    show(find(load_fit(Study.open(study), fit), numbers(targets), fdr), to, as_json)
