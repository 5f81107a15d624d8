"""`subtrain check`: does a task work, can it be repeated, what will it cost?"""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.app import AsJson, Params, app, err, out, print_json
from subtrain.cli.verbs.create import design_kind
from subtrain.errors import CollectError


@app.command()
def check(
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK", help='"module:name", "file.py:name", digits, tabular or command.', show_default=False
        ),
    ],
    param: Params = None,
    alpha: Annotated[float, typer.Option(help="Fraction of the units in each subset.")] = 0.5,
    models: Annotated[int, typer.Option(help="Models of the study to come, for the estimate.")] = 1000,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds before a check that hangs is stopped.", show_default=False)
    ] = None,
    kind: Annotated[str, typer.Option(help="fixed, stratified or bernoulli, as in create.")] = "fixed",
    stratified: Annotated[
        bool, typer.Option("--stratified", help="Keep every class of the task's labels present: --kind stratified.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a few models of a task to see that it works, can be repeated, and what a study of it will cost here.

    Trains one model twice, in a fresh process and beside neighbors; says what differs, and names common mistakes.
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
