"""Options that several verbs share, each declared once, and how their texts are read."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from subtrain.errors import InputError

_NUMBER, _LONGEST = re.compile(r"[0-9]{1,15}"), 20_000_000

StudyPath = Annotated[str, typer.Argument(metavar="STUDY", help="Folder of the study, or s3://bucket/prefix.")]
FitName = Annotated[str, typer.Option("--fit", help="Name of the fit, a folder below STUDY/fits.")]
Targets = Annotated[
    str | None, typer.Option(metavar="LIST", help="Numbers of targets, as in 3,8,10-19. (default: all)")
]
OutputName = Annotated[str | None, typer.Option("--output", help="Name of an output. (default: the study's first)")]
OutFile = Annotated[
    Path | None, typer.Option("--out", "--to", help="Also write the result to this .csv, .json or .png file.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead.")]
Verify = Annotated[bool, typer.Option("--verify", help="Retrain models, and compare them with the prediction.")]
Runs = Annotated[
    int,
    typer.Option("--runs", min=1, help="Number of models to train on each training set; one model gives no interval."),
]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Number of worker processes. (default: one for each core)")
]
Devices = Annotated[str | None, typer.Option("--device", help="Devices to train on, as in cuda:0,cuda:1 or cpu.")]
PerDevice = Annotated[int | None, typer.Option("--per-device", help="Number of workers on each device.")]
Timeout = Annotated[float | None, typer.Option("--timeout", help="Seconds that one training may take.")]
TaskName = Annotated[
    str | None,
    typer.Option("--task", "-t", help='The task: "module:name", "file.py:name", or the name of a built-in task.'),
]
Params = Annotated[
    list[str] | None, typer.Option("--param", "-p", metavar="KEY=VALUE", help="A parameter of the task; repeatable.")
]
Trust = Annotated[
    bool, typer.Option("--trust", help="Run the training code that the study names, although somebody else made it.")
]
Known = Annotated[
    str | None, typer.Option(metavar="LIST", help="Numbers of the known faults, as in 0-49, to score the ranking.")
]


def numbers(text: str | None, name: str = "targets") -> list[int] | None:
    """[3, 8, 10, 11] of "3,8,10-11"; None of None."""
    if text is None:
        return None
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        whole = _NUMBER.fullmatch(first) and (not dash or _NUMBER.fullmatch(last))
        if not whole or (dash and not 0 <= int(last) - int(first) < _LONGEST):
            raise InputError(f"{name} must be numbers with commas, or ranges as 10-19, got {text[:80]!r}")
        found += range(int(first), int(last or first) + 1)
    return found


def shares(text: str, name: str) -> list[float]:
    """[0.1, 0.5] of "0.1,0.5"."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{name} must be a number or several with commas between, got {text!r}") from None


def parameter(name: str, kind: Any, default: Any) -> inspect.Parameter:
    """A parameter of a verb for typer to read."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def named_after(
    function: Callable[..., Any], verb: Callable[..., None], parameters: Sequence[inspect.Parameter]
) -> Callable[..., None]:
    """`verb`, with the name and the help of `function` and with these parameters, for typer to read."""
    verb.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    verb.__annotations__ = {one.name: one.annotation for one in parameters}
    verb.__name__, verb.__doc__, verb.__module__ = function.__name__, function.__doc__, function.__module__
    return verb
