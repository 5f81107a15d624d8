"""`subtrain report`: a page to look at and to send around."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subtrain.cli.shared.app import FitName, StudyPath, app, out


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
    from subtrain.explorer.report import report_page, write_report
    from subtrain.fits import load_fit
    from subtrain.study import Study

    opened = Study.open(study)
    dm = load_fit(opened, fit)
    if output is not None:
        out.print(f"Written to {write_report(opened, dm, evaluate(dm, opened), output, target)}", soft_wrap=True)
        return
    page = report_page(opened, dm, evaluate(dm, opened), target)
    opened.store.replace("report.html", lambda file: file.write(page))
    out.print(f"Written to {opened.store.location('report.html')}", soft_wrap=True)
