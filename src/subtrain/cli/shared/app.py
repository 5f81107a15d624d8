"""The command line's frame: the app, and how errors become one sentence and an exit code."""

from __future__ import annotations

import io
import json
import os
import sys
import warnings
from typing import Annotated, Any, NoReturn

import typer
from rich.markup import escape
from typer.core import TyperGroup

from subtrain._version import __version__
from subtrain.cli.shared.old_options import renewed
from subtrain.errors import InputError, SubtrainError
from subtrain.formatting import UNPRINTABLE
from subtrain.system import plotting
from subtrain.system.terminal import Terminal


class _Verbs(TyperGroup):
    """typer's own end of an interrupt says nothing, and that of an EOFError only "Aborted!"."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        from subtrain.uses import USES

        if args and args[0] not in self.commands and args[0] in USES:
            raise InputError(f"{args[0]} is a question without a verb of its own: subtrain ask {args[0]} STUDY")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            _fail(str(error) or "interrupted; everything finished is kept, run the same command to go on", 130)
        except EOFError as error:
            raise RuntimeError(f"the input ended early: {error or 'EOFError'}") from error


app = typer.Typer(
    name="subtrain",
    cls=_Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    help="""Datamodels: which training data made the model predict this, and what would it predict without them?

    The usual way:  [bold]create[/bold] a study, [bold]collect[/bold] its models, [bold]fit[/bold] datamodels,
    [bold]evaluate[/bold] them on subsets they never saw, look at the [bold]report[/bold].
    New here? [bold]subtrain demo[/bold] does it all in a minute.

    Exit codes: 0 done, 1 unexpected, 2 bad input, 3 another task or design, 4 damaged file, 5 models failed,
    6 disk or bucket full or out of reach, 130 interrupted.""",
)

# A width that no terminal has, as some programs leave it, would show nothing.
if os.environ.get("COLUMNS", "80").isdecimal() and int(os.environ.get("COLUMNS", "80")) < 20:
    del os.environ["COLUMNS"]
out = Terminal()
err = Terminal(stderr=True)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"subtrain {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def run() -> None:
    """Run the command line: every failure is one sentence on standard error and a non-zero exit code."""
    _take_any_text()
    if plotting.BACKEND not in plotting.without_notebook(os.environ):
        os.environ.pop(plotting.BACKEND, None)
    warnings.showwarning = lambda message, *_args, **_kwargs: err.print(
        f"[yellow]Warning:[/yellow] {escape(str(message))}"
    )
    sys.argv[1:], notes = renewed(sys.argv[1:])
    for note in notes:
        err.print(f"[yellow]Note:[/yellow] {escape(note)}", soft_wrap=True)
    try:
        app()
    except SubtrainError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if os.environ.get("SUBTRAIN_DEBUG"):
            raise
        if isinstance(error, FileNotFoundError) and not _here():
            _fail("the current folder is gone: change into another one, and run the same again", 2)
        _fail(f"unexpected {type(error).__name__}: {error} (set SUBTRAIN_DEBUG=1 to see where)", 1)


def _here() -> bool:
    """Whether the current folder still exists."""
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def print_json(data: object) -> None:
    """JSON for machines; of what JSON leaves as it is, a terminal obeys DEL alone."""
    print(json.dumps(data, indent=1, allow_nan=False).replace("\x7f", "\\u007f"))


def _take_any_text() -> None:
    """Outputs that are no UTF-8, or closed, never stop what is written to them."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=UNPRINTABLE)


def _fail(sentence: str, code: int) -> NoReturn:
    err.print(f"[bold red]Error:[/bold red] {escape(sentence)}", soft_wrap=True)
    sys.exit(code)
