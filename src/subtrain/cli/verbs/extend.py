"""`subtrain extend`: more models for a study."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.app import app, out
from subtrain.cli.shared.options import StudyPath


@app.command()
def extend(
    study: StudyPath,
    models: Annotated[int, typer.Option(help="Number of further subsets to fit on.")] = 0,
    heldout: Annotated[int, typer.Option(help="Number of further held-out subsets.")] = 0,
    replicates: Annotated[
        int | None, typer.Option(help="Number of models for each held-out subset. (default: as before)")
    ] = None,
    validation: Annotated[int, typer.Option(help="Number of further random subsets that choose lambda.")] = 0,
    anchors: Annotated[
        int, typer.Option(help="Number of further models on more units than alpha has, which tell the level.")
    ] = 0,
) -> None:
    """Add models to a study. The models that it has stay as they are."""
    from subtrain.study import Study

    longer = Study.open(study).extend(models, heldout, replicates, validation, anchors)
    out.print(f"{study} now has {longer.models:,} models, {longer.models - longer.models_done():,} still to train")
    out.print(f"Next: subtrain collect {study}")
