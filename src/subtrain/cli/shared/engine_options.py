"""Options of the engines, from their signatures and docstrings: an engine of another package brings its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from types import UnionType
from typing import Annotated, Any, get_args, get_origin

import typer

from subtrain.cli.shared.options import named_after
from subtrain.collection.engines import ENGINES, EngineOption, engine_options
from subtrain.errors import InputError

# Declared in options.py, for every engine that has them.
SHARED = ("workers", "devices", "per_device", "timeout")
# Whoever retrains waits for the models.
WAITS = ("detach",)
EngineName = Annotated[
    str | None, typer.Option("--engine", help=f"Engine that trains: {', '.join(ENGINES)}. (default: local)")
]


def with_engine_options(function: Callable[..., None], without: Sequence[str] = ()) -> Callable[..., None]:
    """A verb (…, **options) with one option for each keyword of an engine, but for those `without`.

    options get those that were given.
    """
    declared = inspect.signature(function, eval_str=True).parameters.values()
    own = [one.replace(kind=one.KEYWORD_ONLY) for one in declared if one.kind is not one.VAR_KEYWORD]
    added = [one for one in _parameters() if one.name not in without]

    def verb(**given: Any) -> None:
        asked = {one.name: given.pop(one.name) for one in added}
        function(**given, **{name: value for name, value in asked.items() if value not in (None, False)})

    return named_after(function, verb, [*own, *added])


@cache
def _parameters() -> list[inspect.Parameter]:
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
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[shown, told]
    )
