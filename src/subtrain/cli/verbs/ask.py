"""`subtrain ask`: any question of the registry, also of other packages, with its own keywords."""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from subtrain.cli.shared.app import app, out
from subtrain.cli.shared.options import AsJson, FitName, OutFile, Runs, Targets, Verify, numbers
from subtrain.cli.shared.question import PANEL, RUNS, WAITS
from subtrain.cli.shared.results import show
from subtrain.cli.shared.training import Training, with_training
from subtrain.errors import InputError

if TYPE_CHECKING:
    from subtrain.datamodels import Datamodels
    from subtrain.study import Study


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
    training: Training = Training(),
    to: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """Ask any question about a study, also one that another package adds; without a name, list the questions.

    subtrain ask QUESTION, without a study, shows the keywords of the question.

    -o gives a keyword of the question. Numbers are written 3,8,10-19, lists and mappings as JSON, an array as the name
    of a .npy file, datamodels as the name of a fit of the study or a file of datamodels, another study as its folder.
    """
    from subtrain.fits import load_fit
    from subtrain.uses import USES, use_of

    if question is None:
        _list()
        return
    use, function = use_of(question), USES[question]
    if study is None:
        _show_keywords(use.words, use.needs, function)
        raise InputError(f"give the study: subtrain ask {question} STUDY")
    opened = training.open(study)
    given = _given(question, use.needs, function, targets, option or [], opened, training.trust)
    options = {"progress": not as_json, **training.options}
    parameters = inspect.signature(function).parameters
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):  # the question itself trains
        given = {**options, **({"runs": runs} if "runs" in parameters else {}), **given}
    first = {name: load_fit(opened, fit) if name == "dm" else opened for name in use.needs}
    found = function(**first, **given)
    show(found.verify(runs, **options) if verify else found, to, as_json)


app.command(rich_help_panel=PANEL)(with_training(ask, without=WAITS))


def _list() -> None:
    from subtrain.uses import USES, use_of

    table = Table(box=None, pad_edge=False)
    for column in ("question", "needs", "also as", "what it answers"):
        table.add_column(column)
    for name in USES:
        try:
            use = use_of(name)
        except InputError as error:
            table.add_row(name, "", "", escape(str(error)))
            continue
        verb = "" if use.verb == "ask" else f"subtrain {use.verb}"
        table.add_row(name, "a fit" if "dm" in use.needs else "a study", verb, use.words)
    out.print(table)


def _show_keywords(words: str, needs: tuple[str, ...], function: Any) -> None:
    from subtrain.system.docstrings import argument_help

    told, table = argument_help(function), Table(box=None, pad_edge=False)
    for column in ("-o", "default", "what it is"):
        table.add_column(column)
    for name, one in inspect.signature(function).parameters.items():
        if name not in needs and one.kind is not one.VAR_KEYWORD:
            default = "" if one.default in (one.empty, None) else str(one.default)
            table.add_row(name, escape(default), escape(told.get(name, "")))
    out.print(words, markup=False, soft_wrap=True)
    if table.row_count:
        out.print(table)


def _given(
    question: str,
    needs: tuple[str, ...],
    function: Any,
    targets: str | None,
    pairs: list[str],
    opened: Study,
    trust: bool,
) -> dict[str, Any]:
    """The question's own keywords; InputError for one that it does not have."""
    from subtrain.cli.shared.keywords import keywords
    from subtrain.cli.shared.trusted_study import open_to_train
    from subtrain.datamodels import Datamodels
    from subtrain.study import Study

    others = {name: text for name, _, text in (pair.partition("=") for pair in pairs)}

    twice = [name for name in others if name in needs]
    if twice:
        raise InputError(
            f"{question} has its study from STUDY and its datamodels from --fit: leave out -o {twice[0]}=…"
        )

    def read_study(_name: str, text: str) -> Study:
        return open_to_train(text, None, None, trust)

    def read_fit(name: str, text: str) -> Datamodels:
        beside = others.get(f"{name}_study")  # as `other` of compare is a fit of `other_study`
        return _datamodels(text, read_study(name, beside) if beside else opened)

    given = keywords(question, function, pairs, {Datamodels: read_fit, Study: read_study})
    if targets is None:
        return given
    if "targets" not in inspect.signature(function).parameters:
        raise InputError(f"{question} has no keyword targets: leave out --targets")
    return {**given, "targets": numbers(targets)}


def _datamodels(text: str, study: Study) -> Datamodels:
    """Datamodels by the name of a fit of this study, or as a folder or file."""
    from subtrain.datamodels import Datamodels
    from subtrain.fits import load_fit

    if text not in study.fits and (os.sep in text or os.path.exists(text)):
        return Datamodels.load(text)
    return load_fit(study, text)
