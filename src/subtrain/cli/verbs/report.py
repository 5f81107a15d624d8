"""`subtrain report`: a page to look at and to send around."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subtrain.cli.shared.app import app, out
from subtrain.cli.shared.options import FitName, StudyPath, Targets, numbers
from subtrain.cli.shared.progress import stages


@app.command()
def report(
    study: StudyPath,
    fit: FitName = "default",
    targets: Targets = None,
    most: Annotated[int, typer.Option(min=1, help="The largest number of targets, if --targets names none.")] = 200,
    to: Annotated[Path | None, typer.Option("--out", help="File to write; by default STUDY/report.html.")] = None,
) -> None:
    """Write the explorer as one HTML file: targets, the units behind them, and how far to trust the datamodels.

    The file needs no server, no network and no further package. `subtrain explore` serves the same page live.
    """
    from subtrain.explorer.open_studies import Library
    from subtrain.explorer.single_file import page_bytes, write_page
    from subtrain.study import Study

    opened = Study.open(study)
    which = numbers(targets)
    with stages() as progress:
        library = Library({"": opened}, fit, progress=progress)
        library.fit(fit)
        if to is not None:
            note, place = write_page(library, to, which, most, progress), str(to)
        else:
            page, note = page_bytes(library, which, most, progress)
            opened.store.replace("report.html", lambda file: file.write(page))
            place = opened.store.location("report.html")
    out.print(f"Written to {place}: {note}", soft_wrap=True)
