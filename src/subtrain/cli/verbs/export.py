"""`subtrain export`: the public layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subtrain.cli.shared.app import StudyPath, app, out


@app.command()
def export(
    study: StudyPath,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write.", show_default=False)],
    name: Annotated[
        str | None, typer.Option(help="Data set name; by default the study's folder name.", show_default=False)
    ] = None,
) -> None:
    """Write masks and outputs as plain .npy files in the layout of the published data.

    FOLDER/NAME/data/train_masks_50pct.npy (bool), test_margins_50pct.npy and so on, each with its sha256 beside it.
    Kill it whenever you like; the same command goes on.
    """
    from subtrain.cli.shared.progress import stages
    from subtrain.studies.export import export as write
    from subtrain.study import Study

    with stages() as progress:
        written = write(Study.open(study), folder, name, progress)
    for path in written:
        out.print(f"{path}  {path.stat().st_size / 1e6:,.1f} MB", soft_wrap=True)
