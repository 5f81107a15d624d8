"""Tasks by name: "module:name", "file.py:name", or a registered one. A new one is a file and a line in TASKS."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from subtrain.errors import InputError, SubtrainError
from subtrain.system.paths import local_path
from subtrain.system.registry import Registry
from subtrain.tasks.base import Source, Task
from subtrain.tasks.loading import task_folder
from subtrain.tasks.loading.task_factory import is_marked, of_strangers, searches_current_folder
from subtrain.tasks.watching.own_code import place

TASKS = Registry(
    "task",
    "subtrain.tasks",
    {
        "airbench": "subtrain.tasks.cifar:airbench",
        "command": "subtrain.tasks.command:command",
        "digits": "subtrain.tasks.digits:digits",
        "planted": "subtrain.tasks.planted:planted",
        "resnet18": "subtrain.tasks.fmow:resnet18",
        "resnet9": "subtrain.tasks.cifar:resnet9",
        "tabular": "subtrain.tasks.tabular:tabular",
    },
)


def load_task(name: str, params: Mapping[str, Any] | None = None) -> tuple[Task, Source]:
    """The task that `name` stands for, and the source that makes it again.

    `name` leads to a Task, or to a function that returns one and is called with `params`. Raises InputError when it
    cannot be imported, called, or is no task.
    """
    params = dict(params or {})
    location = TASKS.place(name) if name in TASKS else name
    source = Source(location, params, _file(location))
    with _by_itself(source.place):
        try:
            found = _resolve(source.place)
        except InputError as error:
            if name not in TASKS:
                raise
            raise InputError(f"the task {name!r} cannot be loaded from {location}: {error}") from error
        if not is_task(found):
            found = _called(name, found, params)
        elif params:
            raise InputError(f"{name} is a task already and takes no parameters, got {', '.join(params)}")
    if not is_task(found):
        raise InputError(f"{name} returned a {type(found).__name__}, not a task (n, outputs, fingerprint, train)")
    # A registered task may have made its parameters hold elsewhere, as relative paths do not.
    own = getattr(found, "source", None) if name in TASKS else None
    return found, own or source


def is_task(thing: object) -> bool:
    """Whether it has the four members of a Task."""
    return not isinstance(thing, type) and all(
        hasattr(thing, part) for part in ("n", "outputs", "fingerprint", "train")
    )


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


def _file(name: str) -> str:
    """The file of "file.py:name" as an absolute path, so that a worker started elsewhere finds it; "" for modules."""
    where, colon, attribute = name.rpartition(":")
    if not colon or not where or not attribute:
        raise InputError(
            f"a task is named module:name, file.py:name or {', '.join(TASKS)}; got {name!r}{TASKS.hint(name)}"
        )
    if where.endswith(".py") and of_strangers() and not os.path.isabs(where):
        raise InputError(
            f"{name}, named by a study that somebody else made, is not looked for in the current folder: give the task "
            "yourself with --task (task=…)"
        )
    return str(local_path(where).resolve()) if where.endswith(".py") else ""


@contextmanager
def _by_itself(name: str) -> Iterator[None]:
    """Code that makes a task sees a command line of its own, and what it prints is no result of ours."""
    before, sys.argv = sys.argv, [name.rpartition(":")[0]]
    try:
        with redirect_stdout(sys.stderr), _children_print_to_stderr():
            yield
    finally:
        sys.argv = before


@contextmanager
def _children_print_to_stderr() -> Iterator[None]:
    """For programs that the user's code starts, and libraries that print by themselves."""
    try:
        real = os.dup(1)
    except OSError:  # there is no standard output
        yield
        return
    try:
        with suppress(OSError):
            os.dup2(2, 1)
        yield
    finally:
        os.dup2(real, 1)
        os.close(real)


def _called(name: str, factory: Any, params: Mapping[str, Any]) -> Any:
    if of_strangers() and not is_marked(factory):
        raise InputError(
            f"{name}, named by a study that somebody else made, is not marked as a task factory (@st.task_factory): it "
            "is not called"
        )
    if not callable(factory):
        raise InputError(f"{name} is a {type(factory).__name__}, neither a task nor a function that returns one")
    try:
        return factory(**params)
    except TypeError as error:
        if _takes(factory, params):
            raise InputError(_failed(f"{name} failed", error)) from error
        raise InputError(f"{name} could not be called with parameters {params}: {error}") from error
    except (SubtrainError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise InputError(_failed(f"{name} failed", error)) from error


def _takes(factory: Callable[..., Any], params: Mapping[str, Any]) -> bool:
    try:
        inspect.signature(factory).bind(**params)
    except (TypeError, ValueError):
        return False
    return not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(factory).parameters.values())


def _resolve(name: str) -> Any:
    where, _, attribute = name.rpartition(":")
    module = _from_file(local_path(where)) if where.endswith(".py") else _from_module(where)
    try:
        return functools.reduce(getattr, attribute.split("."), module)
    except AttributeError as error:
        if place(error):
            raise InputError(_failed(f"{name} failed", error)) from error
        raise InputError(f"{where} has nothing named {attribute!r}") from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise InputError(_failed(f"{name} failed", error)) from error


def module_of_user(name: str) -> ModuleType:
    """A module that a parameter names: an installed one, else one of the current folder."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0]:
            raise
    return _from_module(name)


def _from_module(name: str) -> ModuleType:
    try:
        return _imported(name)
    except InputError as error:
        lacking = error.__cause__
        if isinstance(lacking, ModuleNotFoundError) and f"{name}.".startswith(f"{lacking.name}."):
            raise InputError(
                f"{error}; put the folder that holds it on PYTHONPATH, as it may have been when the study was made, or "
                "name the task by its file, FILE.py:NAME"
            ) from lacking
        raise


def _imported(name: str) -> ModuleType:
    if not searches_current_folder(name):
        with _told(f"cannot import the task's module {name!r}"):
            return importlib.import_module(name)
    root = Path.cwd()
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    with _told(f"cannot import the task's module {name!r}"):
        file = root.joinpath(*name.split(".")).with_suffix(".py")
        if not file.is_file():
            file = file.with_suffix("") / "__init__.py"
        return task_folder.load(str(root), name, file) if file.is_file() else importlib.import_module(name)


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"there is no file {path} to load the task from")
    with _told(f"{path} could not be loaded"):
        return task_folder.load(*task_folder.natural_name(path), path)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Whatever goes wrong in a user's file is one sentence, with file and line."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise InputError(_failed(what, error)) from error


def _failed(what: str, error: BaseException) -> str:
    if isinstance(error, SystemExit):
        why = f"it leaves the program, sys.exit({'' if error.code is None else repr(error.code)})"
        return f'{what}: {why}{place(error)}; keep that below if __name__ == "__main__":'
    if isinstance(error, SubtrainError):
        return f"{what}: {error}{place(error)}"
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{what}: {type(error).__name__}{f': {said}' if said else ''}{place(error)}"
