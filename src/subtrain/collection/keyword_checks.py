"""Keywords that a function hands on to training, checked when it is called: before anything is read or trained."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from subtrain.errors import InputError

ENGINES = {
    "local": "subtrain.collection.engines.local.executor:local",
    "slurm": "subtrain.collection.engines.slurm.executor:slurm",
    "ray": "subtrain.collection.engines.ray.executor:ray",
}
COLLECT = ("workers", "progress", "engine", "segments")
RETRAIN = ("name", "seed", "task", "source", *COLLECT)
P = ParamSpec("P")
R = TypeVar("R")


class OptionError(InputError, TypeError):
    """A function was called with a keyword that neither it nor what it calls takes."""


def hands_on(to: str, taken: tuple[str, ...] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator for functions whose **options go to `to`, "retrain" or "collect", but for those `taken`, which they
    set themselves: OptionError names a keyword that nobody takes, and InputError one of another engine."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        own = [name for name, one in inspect.signature(function).parameters.items() if one.kind in kinds]
        handed = [name for name in (RETRAIN if to == "retrain" else COLLECT) if name not in taken]

        @wraps(function)
        def checked(*args: P.args, **given: P.kwargs) -> R:
            if "engine" in given:
                engine_of(str(given["engine"]))
            unknown = [name for name in given if name not in own and name not in handed]
            if unknown:
                _check(function.__name__, own, handed, to, unknown, str(given.get("engine", "local")))
            return function(*args, **given)

        return checked

    return decorate


def engine_options(engine: str) -> list[str]:
    """The keywords of this engine; InputError for another name."""
    return [p.name for p in inspect.signature(engine_of(engine)).parameters.values() if p.kind is p.KEYWORD_ONLY]


def engine_of(engine: str) -> Callable[..., Any]:
    """What makes this engine's executor; InputError for another name."""
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}; choose from {', '.join(ENGINES)}")
    module, _, name = ENGINES[engine].partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


def refuse_options(engine: str, options: list[str]) -> None:
    """InputError if the engine does not have one of these."""
    known = engine_options(engine)
    unknown = [option for option in options if option not in known]
    if unknown:
        raise InputError(f"engine {engine} has no option {', '.join(unknown)}; it has {', '.join(known)}")


def _check(name: str, own: list[str], handed: list[str], to: str, unknown: list[str], engine: str) -> None:
    of_engines = {option for one in ENGINES for option in engine_options(one)}
    strange = [option for option in unknown if option not in of_engines]
    if not strange:
        refuse_options(engine, unknown)
        return
    near = get_close_matches(strange[0], [*own, *handed, *of_engines], 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    rest = "" if to == name else f", and those of {to}"
    raise OptionError(f"{name}() has no keyword {', '.join(map(repr, strange))}{hint}; it takes {', '.join(own)}{rest}")
