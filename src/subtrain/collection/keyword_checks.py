"""Keywords that a function hands on to training, checked when it is called: before anything is read or trained."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import wraps
from typing import ParamSpec, TypeVar

from subtrain.collection.engines import ENGINES, engine_options, refuse_options
from subtrain.errors import InputError

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
        own = [
            name for name, one in inspect.signature(function).parameters.items() if one.kind in kinds and name != "self"
        ]
        handed = [name for name in (RETRAIN if to == "retrain" else COLLECT) if name not in taken]

        @wraps(function)
        def checked(*args: P.args, **given: P.kwargs) -> R:
            engine = str(given.get("engine") or "local")
            ENGINES.place(engine)
            unknown = [name for name in given if name not in own and name not in handed]
            if unknown:
                _check(function.__name__, own, handed, to, unknown, engine)
            return function(*args, **given)

        return checked

    return decorate


def names_of_options(engine: str) -> list[str]:
    """The keywords of this engine; InputError for another name."""
    return [option.name for option in engine_options(engine)]


def _check(name: str, own: list[str], handed: list[str], to: str, unknown: list[str], engine: str) -> None:
    of_engines = {option for one in ENGINES for option in names_of_options(one)}
    strange = [option for option in unknown if option not in of_engines]
    if not strange:
        refuse_options(engine, unknown)
        return
    near = get_close_matches(strange[0], [*own, *handed, *of_engines], 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    rest = "" if to == name else f", and those of {to}"
    raise OptionError(f"{name}() has no keyword {', '.join(map(repr, strange))}{hint}; it takes {', '.join(own)}{rest}")
