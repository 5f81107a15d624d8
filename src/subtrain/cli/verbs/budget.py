"""`subtrain budget`: how many models a score takes, and which alpha."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from subtrain.cli.shared.app import AsJson, Params, StudyPath, TaskName, Workers, app
from subtrain.cli.shared.results import PANEL, OutFile, show
from subtrain.cli.shared.trusted_study import Trust, open_to_train
from subtrain.errors import InputError


@app.command(rich_help_panel=PANEL)
def budget(
    study: StudyPath,
    lds: Annotated[float | None, typer.Option(help="The LDS to reach.", show_default=False)] = None,
    output: Annotated[
        str | None, typer.Option(help="Which output; by default the study's first.", show_default=False)
    ] = None,
    alphas: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Compare these instead, as in 0.1,0.2,0.5 (trains).", show_default=False),
    ] = None,
    pilot: Annotated[int, typer.Option(help="With --alphas: models of each pilot study.")] = 500,
    task: TaskName = None,
    param: Params = None,
    trust: Trust = False,
    workers: Workers = None,
    to: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """How many models, and how long, until the LASSO reaches an LDS: the learning curve carried on. Or which alpha."""

    if (lds is None) == (alphas is None):
        raise InputError("give either --lds, the score to reach, or --alphas, those to compare")
    opened = open_to_train(study, task, param, trust)
    if alphas is not None:
        from subtrain.uses.alphas import compare_alphas

        options: dict[str, Any] = {"progress": not as_json} | ({} if workers is None else {"workers": workers})
        show(compare_alphas(opened, _shares(alphas), pilot, output, **options), to, as_json)
        return
    from subtrain.uses.budget import budget as plan

    assert lds is not None
    show(plan(opened, lds, output), to, as_json)


def _shares(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"alphas must be numbers with commas, as in 0.1,0.2,0.5, got {text!r}") from None
