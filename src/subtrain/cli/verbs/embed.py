"""`subtrain embed`: principal components of datamodels."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.app import AsJson, FitName, StudyPath, Workers, app
from subtrain.cli.shared.results import PANEL, OutFile, show


@app.command(rich_help_panel=PANEL)
def embed(
    study: StudyPath,
    fit: FitName = "default",
    components: Annotated[
        int | None,
        typer.Option(help="How many components; by default 10, or as many as there are.", show_default=False),
    ] = None,
    of: Annotated[str, typer.Option(help="What to embed: targets or units.")] = "targets",
    remove: Annotated[
        int | None,
        typer.Option(help="Retrain without the units at each end of this component instead.", show_default=False),
    ] = None,
    units: Annotated[int, typer.Option(help="With --remove: units at an end.")] = 20,
    runs: Annotated[int, typer.Option(help="With --remove: retrainings of each training set.")] = 5,
    workers: Workers = None,
    to: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """Principal components of the datamodels, who lies at their ends, and whether they are causes (--remove)."""
    from subtrain.fits import load_fit
    from subtrain.study import Study
    from subtrain.uses.embedding import embedding
    from subtrain.uses.kit.unit_names import labels_of

    opened = Study.open(study)
    dm = load_fit(opened, fit)
    labels = labels_of(opened, of, dm.meta["output"])
    found = embedding(dm, opened, components, of, labels)
    show(found if remove is None else found.verify(runs, remove, units, workers=workers), to, as_json)
