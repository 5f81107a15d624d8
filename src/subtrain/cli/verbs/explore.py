"""`subtrain explore`: a study to look at in a browser, or as one file to send around."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from subtrain.cli.shared.app import app, out
from subtrain.cli.shared.options import Params, StudyPath, TaskName, Trust
from subtrain.cli.shared.progress import stages
from subtrain.cli.shared.trusted_study import open_to_train
from subtrain.errors import InputError


@app.command()
def explore(
    study: StudyPath,
    fit: Annotated[str | None, typer.Option(help="Name of the fit to show first, a folder below STUDY/fits.")] = None,
    compare: Annotated[
        str | None, typer.Option(metavar="STUDY_B", help="A second study to compare with this one.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to serve on. An address that others can reach asks for a token.")
    ] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port. (default: 8420, or a free one)")] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A name that a proxy gives this server; repeatable.")
    ] = None,
    root_path: Annotated[str, typer.Option(metavar="/PATH", help="Path that a proxy leaves before each address.")] = "",
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write the page as one file instead, as subtrain report does."),
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="With --export: largest number of targets in the file.")] = 200,
    task: TaskName = None,
    param: Params = None,
    task_b: Annotated[
        str | None, typer.Option("--task-b", help="The task of the second study, as --task of the first.")
    ] = None,
    param_b: Annotated[
        list[str] | None, typer.Option("--param-b", metavar="KEY=VALUE", help="A parameter of that task; repeatable.")
    ] = None,
    trust: Trust = False,
) -> None:
    """Explore a study in a browser: its targets, the units behind them, what-ifs, maps, suspect pairs.

    Exploring runs no code of the study. Verifying a what-if on the page trains models, and so runs its task.
    """
    from subtrain.explorer.serve import library_of, serve
    from subtrain.explorer.single_file import write_page

    if compare is None and (task_b or param_b):
        raise InputError("--task-b and --param-b are of the second study: name it with --compare STUDY_B")
    opened = open_to_train(study, task, param, trust)
    other = None if compare is None else open_to_train(compare, task_b, param_b, trust)
    with stages() as progress:
        library = library_of(opened, fit, other, progress)
        if export is not None:
            made = write_page(library, export, None, most, progress)
    if export is not None:
        out.print(f"Written to {export}: {made}", soft_wrap=True)
        return
    out.print(f"Exploring {escape(opened.location)}; Ctrl+C stops the server, and loses nothing", soft_wrap=True)
    serve(
        library,
        host,
        port,
        browser,
        lambda address: out.print(f"[bold]{address}[/bold]", soft_wrap=True),
        allow_hosts=allow_host or (),
        root=root_path,
    )
