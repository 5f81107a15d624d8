"""`subtrain export`: the public layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subtrain.cli.shared.app import app, out
from subtrain.cli.shared.options import StudyPath


@app.command()
def export(
    study: StudyPath,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write to.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the data set. (default: the name of the study's folder)")
    ] = None,
) -> None:
    """Write masks and outputs as plain .npy files in the layout of the published data.

    FOLDER/NAME/data/train_masks_50pct.npy (bool), test_margins_50pct.npy and so on, each with its sha256 beside it.
    You can kill it at any time: the same command continues.
    """
    from subtrain.cli.shared.progress import stages
    from subtrain.studies.export import export as write
    from subtrain.study import Study

    with stages() as progress:
        written = write(Study.open(study), folder, name, progress)
    for path in written:
        out.print(f"{path}  {path.stat().st_size / 1e6:,.1f} MB", soft_wrap=True)
