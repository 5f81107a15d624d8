"""Tasks by name: "module:name", "file.py:name", or one of the built-in ones."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

from subtrain.errors import InputError
from subtrain.tasks.base import Source, Task

BUILTIN = {
    "airbench": "subtrain.tasks.cifar:airbench",
    "command": "subtrain.tasks.command:command",
    "digits": "subtrain.tasks.digits:digits",
    "planted": "subtrain.tasks.planted:planted",
    "resnet18": "subtrain.tasks.fmow:resnet18",
    "resnet9": "subtrain.tasks.cifar:resnet9",
    "tabular": "subtrain.tasks.tabular:tabular",
}

P = ParamSpec("P")
T = TypeVar("T")


def load_task(name: str, params: Mapping[str, Any] | None = None) -> tuple[Task, Source]:
    """The task that `name` stands for, and the source that makes it again.

    `name` leads to a Task, or to a function that returns one and is called with `params`. Raises InputError when it
    cannot be imported, called, or is no task.
    """
    params = dict(params or {})
    source = Source(_portable(BUILTIN.get(name, name)), params)
    found = _resolve(source.name)
    if not is_task(found):
        if not callable(found):
            raise InputError(f"{name} is a {type(found).__name__}, neither a task nor a function that returns one")
        try:
            found = found(**params)
        except TypeError as error:
            raise InputError(f"{name} could not be called with parameters {params}: {error}") from error
    elif params:
        raise InputError(f"{name} is a task already and takes no parameters, got {', '.join(params)}")
    if not is_task(found):
        raise InputError(f"{name} returned a {type(found).__name__}, not a task (n, outputs, fingerprint, train)")
    # A built-in task may have made its parameters hold elsewhere, as relative paths do not.
    own = getattr(found, "source", None) if name in BUILTIN else None
    return found, own or source


def is_task(thing: object) -> bool:
    """Whether it has the four members of a Task."""
    return not isinstance(thing, type) and all(
        hasattr(thing, part) for part in ("n", "outputs", "fingerprint", "train")
    )


def importable(factory: Callable[P, T]) -> Callable[P, T]:
    """Decorate a task factory, so that its tasks know the import path and parameters that make them again."""

    @functools.wraps(factory)
    def make(*args: P.args, **kwargs: P.kwargs) -> T:
        task: Any = factory(*args, **kwargs)
        if args or not _can_be_named(factory, kwargs):
            return task  # type: ignore[no-any-return]
        source = Source(f"{factory.__module__}:{factory.__qualname__}", kwargs)
        return dataclasses.replace(task, source=source)  # type: ignore[no-any-return]

    return make


def _can_be_named(factory: Callable[..., Any], params: Mapping[str, Any]) -> bool:
    """Whether another process finds the factory by its name, and its parameters can be written down."""
    try:
        json.dumps(params, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return factory.__module__ != "__main__" and "<locals>" not in factory.__qualname__


def parse_params(pairs: list[str]) -> dict[str, Any]:
    """{"epochs": 5, "init": "own"} of ["epochs=5", "init=own"]: values are JSON where they can be, else text."""
    params: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier():
            raise InputError(f"a parameter must be written key=value, got {pair!r}")
        try:
            params[key] = json.loads(value)
        except json.JSONDecodeError:
            params[key] = value
    return params


def _portable(name: str) -> str:
    """File paths become absolute, so that a worker started elsewhere finds them."""
    where, colon, attribute = name.rpartition(":")
    if not colon or not where or not attribute:
        raise InputError(f"a task is named module:name, file.py:name or {', '.join(BUILTIN)}; got {name!r}")
    return f"{Path(where).resolve()}:{attribute}" if where.endswith(".py") else name


def _resolve(name: str) -> Any:
    where, _, attribute = name.rpartition(":")
    module = _from_file(Path(where)) if where.endswith(".py") else _from_module(where)
    try:
        return functools.reduce(getattr, attribute.split("."), module)
    except AttributeError:
        raise InputError(f"{where} has nothing named {attribute!r}") from None


def _from_module(name: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise InputError(f"cannot import the task's module {name!r}: {type(error).__name__}: {error}") from error


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"there is no file {path} to load the task from")
    name = f"subtrain_task_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} cannot be loaded as Python code")
    module = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise InputError(f"{path} could not be loaded: {type(error).__name__}: {error}") from error
    return module
