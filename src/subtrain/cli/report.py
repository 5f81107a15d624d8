"""`subtrain report`: a page to look at and to send around."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subtrain.cli.app import FitName, StudyPath, app, out


@app.command()
def report(
    study: StudyPath,
    fit: FitName = "default",
    output: Annotated[
        Path | None, typer.Option("--out", help="File to write; by default STUDY/report.html.", show_default=False)
    ] = None,
    target: Annotated[
        list[int] | None, typer.Option(help="A target to show; repeatable. By default a dozen.", show_default=False)
    ] = None,
) -> None:
    """Write one self-contained HTML page: targets, their helpful and harmful training examples, how good it all is."""
    from subtrain.evaluation import evaluate
    from subtrain.explorer.report import write_report
    from subtrain.fits import load_fit
    from subtrain.store.study import Study

    opened = Study.open(study)
    dm = load_fit(opened, fit)
    path = write_report(opened, dm, evaluate(dm, opened), output or study / "report.html", targets=target)
    out.print(f"Written to {path}", soft_wrap=True)
