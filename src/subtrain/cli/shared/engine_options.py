"""Options of the engines, from their signatures and docstrings: an engine of another package brings its own."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import cache
from types import UnionType
from typing import Annotated, Any, get_args, get_origin

import typer

from subtrain.cli.shared.options import parameter
from subtrain.collection.engines import ENGINES, EngineOption, engine_options
from subtrain.errors import InputError

# Declared in options.py, for every engine that has them.
SHARED = ("workers", "devices", "per_device", "timeout")

EngineName = Annotated[
    str | None, typer.Option("--engine", help=f"Engine that trains: {', '.join(ENGINES)}. (default: local)")
]


@cache
def engine_parameters() -> list[inspect.Parameter]:
    """An option for each keyword of an engine."""
    found: dict[str, inspect.Parameter] = {}
    for engine in ENGINES:
        try:
            options = engine_options(engine)
        except InputError:  # an engine of another package that cannot be loaded says so when it is used
            continue
        for option in options:
            if option.name not in SHARED and option.name not in found:
                found[option.name] = _parameter(option, engine)
    return list(found.values())


def _parameter(option: EngineOption, engine: str) -> inspect.Parameter:
    kind = next((one for one in get_args(option.kind) if one is not type(None)), option.kind)
    kind = kind if isinstance(option.kind, UnionType) else option.kind
    several = get_origin(kind) is Sequence or kind is Sequence
    name = f"--{(option.name.removesuffix('s') if several else option.name).replace('_', '-')}"
    told = typer.Option(name, help=option.help, rich_help_panel=f"With --engine {engine}")
    shown: Any = bool if kind is bool else (list[str] if several else kind) | None
    default = False if kind is bool else None
    return parameter(option.name, Annotated[shown, told], default)
