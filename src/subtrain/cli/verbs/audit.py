"""`subtrain audit`: what a linear datamodel can reach, before one is fitted."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from subtrain.cli.shared.app import AsJson, Params, StudyPath, TaskName, Workers, app, out
from subtrain.cli.shared.results import PANEL, OutFile, show
from subtrain.cli.shared.trusted_study import Trust, open_to_train


@app.command(rich_help_panel=PANEL)
def audit(
    study: StudyPath,
    output: Annotated[
        str | None, typer.Option(help="Which output; by default the study's first.", show_default=False)
    ] = None,
    linearity: Annotated[
        bool, typer.Option("--linearity", help="Train models on correlated masks to see how much is linear.")
    ] = False,
    pairs: Annotated[int, typer.Option(help="With --linearity: held-out subsets that get partners, 3 each.")] = 100,
    task: TaskName = None,
    param: Params = None,
    trust: Trust = False,
    workers: Workers = None,
    to: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """Noise share and ceiling (an upper bound) from replicates; with --linearity, how much is linear in the mask."""
    from subtrain.uses.audit import RUNS
    from subtrain.uses.audit import audit as find

    opened = open_to_train(study, task, param, trust)
    options: dict[str, Any] = {"progress": not as_json} | ({} if workers is None else {"workers": workers})
    found = find(opened, output, pairs=pairs if linearity else 0, **options)
    show(found, to, as_json, rows=5)
    if not as_json:
        reached = ", ".join(f"{runs}: {found.ceiling_of(runs):.3f}" for runs in RUNS)
        out.print(f"Ceiling (upper bound) by runs a held-out subset: {reached}", soft_wrap=True)
