"""`subtrain ask`: any question of the registry, also of other packages, with its own keywords."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer
from rich.table import Table

from subtrain.cli.shared.app import app, out
from subtrain.cli.shared.options import AsJson, FitName, OutFile, Runs, Targets, Verify, numbers
from subtrain.cli.shared.question import PANEL, RUNS
from subtrain.cli.shared.results import show
from subtrain.errors import InputError


@app.command(rich_help_panel=PANEL)
def ask(
    question: Annotated[
        str | None, typer.Argument(metavar="QUESTION", help="Name of the question; without one, the verb lists all.")
    ] = None,
    study: Annotated[
        str | None, typer.Argument(metavar="STUDY", help="Folder of the study, or s3://bucket/prefix.")
    ] = None,
    fit: FitName = "default",
    targets: Targets = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="KEY=VALUE", help="A keyword of the question; repeatable."),
    ] = None,
    verify: Verify = False,
    runs: Runs = RUNS,
    to: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """Ask any question about a study, also one that another package adds; without a name, list the questions."""
    from subtrain.uses import USES, use_of

    if question is None:
        _list()
        return
    use, function = use_of(question), USES[question]
    if study is None:
        raise InputError(f"say which study to ask: subtrain ask {question} STUDY")
    found = function(**_first(use.needs, study, fit), **_given(question, function, targets, option))
    show(found.verify(runs) if verify else found, to, as_json)


def _list() -> None:
    from subtrain.uses import USES, use_of

    table = Table(box=None, pad_edge=False)
    for column in ("question", "needs", "also as", "what it answers"):
        table.add_column(column)
    for name in USES:
        use = use_of(name)
        verb = "" if use.verb == "ask" else f"subtrain {use.verb}"
        table.add_row(name, "a fit" if "dm" in use.needs else "a study", verb, use.words)
    out.print(table)


def _first(needs: tuple[str, ...], study: str, fit: str) -> dict[str, Any]:
    """The datamodels and the study, by the names of the parameters that take them."""
    from subtrain.fits import load_fit
    from subtrain.study import Study

    opened = Study.open(study)
    return {name: load_fit(opened, fit) if name == "dm" else opened for name in needs}


def _given(question: str, function: Any, targets: str | None, pairs: list[str] | None) -> dict[str, Any]:
    """The question's own keywords; InputError for one that it does not have."""
    from subtrain.tasks.loading.load import parse_params

    given = parse_params(pairs or []) | ({} if targets is None else {"targets": numbers(targets)})
    parameters = inspect.signature(function).parameters
    unknown = [name for name in given if name not in parameters]
    if unknown and not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        raise InputError(f"{question} has no keyword {', '.join(unknown)}; it takes {', '.join(parameters)}")
    return given
