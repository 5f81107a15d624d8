"""`subtrain check`: does a task work, can it be repeated, what will it cost?"""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.app import app, err, out, print_json
from subtrain.cli.shared.options import AsJson, Params
from subtrain.cli.verbs.create import design_kind
from subtrain.errors import CollectError


@app.command()
def check(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help='"module:name", "file.py:name", digits, tabular or command.')
    ],
    param: Params = None,
    alpha: Annotated[float, typer.Option(help="Fraction of the units in each subset.")] = 0.5,
    models: Annotated[int, typer.Option(help="Number of models in the planned study, for the estimate.")] = 1000,
    timeout: Annotated[float | None, typer.Option(help="Seconds after which a check that hangs stops.")] = None,
    kind: Annotated[
        str, typer.Option(help="Kind of the design, as `create` has them: auto, paley, fixed, stratified, …")
    ] = "auto",
    stratified: Annotated[
        bool, typer.Option("--stratified", help="The same as --kind stratified, by the labels of the task.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a few models of a task to see that it works, that it can be repeated, and what a study of it costs here.

    The check trains one model twice, in a fresh process and beside others. It names differences and common mistakes.
    Example: subtrain check mycode.py:task
    """
    from subtrain.collection.check.task_check import check as look
    from subtrain.tasks.loading.load import parse_params

    found = look(
        task, parse_params(param or []), alpha=alpha, models=models, timeout=timeout, kind=design_kind(kind, stratified)
    )
    if as_json:
        print_json(found.to_json())
    else:
        out.print(str(found), markup=False, soft_wrap=True)
    if found.details and not as_json:
        err.print(found.details.rstrip(), style="dim", markup=False, soft_wrap=True)
    if not found.usable:
        raise typer.Exit(CollectError.exit_code)
