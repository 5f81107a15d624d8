"""Engines: where models are trained. A new one is a file that keeps `engine_protocol.py`, and a line here."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, get_type_hints

from subtrain.errors import InputError
from subtrain.system.docstrings import argument_help
from subtrain.system.registry import Registry

ENGINES = Registry(
    "engine",
    "subtrain.engines",
    {
        "local": "subtrain.collection.engines.local.engine:local",
        "inline": "subtrain.collection.engines.inline:InlineExecutor",
        "slurm": "subtrain.collection.engines.slurm.engine:slurm",
        "ray": "subtrain.collection.engines.ray.engine:ray",
    },
)


@dataclass(frozen=True)
class EngineOption:
    """A keyword of an engine.

    Args:
        name: the keyword.
        kind: its type, as the engine's signature has it.
        default: what holds when it is not given.
        help: what the engine's docstring says of it.
    """

    name: str
    kind: Any
    default: Any
    help: str


def engine_options(engine: str) -> tuple[EngineOption, ...]:
    """The keywords of this engine, from its signature and docstring; InputError for an unknown engine."""
    make = ENGINES[engine]
    try:
        kinds = get_type_hints(make.__init__ if inspect.isclass(make) else make)
    except NameError as error:  # a name that is only there for a type checker
        raise InputError(f"the types of the options of engine {engine} cannot be read: {error}") from error
    told = argument_help(make)
    options = [p for p in inspect.signature(make).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option.name not in kinds:
            raise InputError(
                f"option {option.name} of engine {engine}, {ENGINES.place(engine)}, has no type: annotate it, as in "
                f"{option.name}: int = 1"
            )
    return tuple(EngineOption(p.name, kinds[p.name], p.default, told.get(p.name, "")) for p in options)


def refuse_options(engine: str, options: list[str]) -> None:
    """InputError if the engine does not have one of these."""
    known = [option.name for option in engine_options(engine)]
    unknown = [option for option in options if option not in known]
    if unknown:
        has = ", ".join(known) or "none"
        raise InputError(f"engine {engine} has no option {', '.join(unknown)}; it has {has}")
