"""`subtrain significance`: which weights are real."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.app import AsJson, FitName, StudyPath, app
from subtrain.cli.shared.progress import stages
from subtrain.cli.shared.results import PANEL, OutFile, Targets, numbers, show


@app.command(rich_help_panel=PANEL)
def significance(
    study: StudyPath,
    fit: FitName = "default",
    targets: Targets = None,
    fdr: Annotated[float, typer.Option(help="Share of the pairs found that may be false.")] = 0.05,
    method: Annotated[
        str, typer.Option(help="debiased (a LASSO fit), or exact (more models than units).")
    ] = "debiased",
    per_target: Annotated[bool, typer.Option(help="Keep the share for each target, not over all pairs.")] = False,
    to: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """Which weights are real: every unit and target with its unbiased weight, standard error, p- and q-value."""
    from subtrain.fits import load_fit
    from subtrain.study import Study
    from subtrain.uses.significance import significance as test

    opened = Study.open(study)
    dm = load_fit(opened, fit)
    with stages() as progress:
        found = test(dm, opened, numbers(targets), fdr, method=method, per_target=per_target, progress=progress)
    show(found, to, as_json)
