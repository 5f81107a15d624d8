"""Which code may make a task: anything its user names, and of a stranger's only what is marked as a task factory."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from weakref import WeakSet

from subtrain.tasks.base import Source, with_changes

P = ParamSpec("P")
T = TypeVar("T")

_factories: WeakSet[Callable[..., Any]] = WeakSet()
_strangers: ContextVar[bool] = ContextVar("strangers", default=False)


def task_factory(factory: Callable[P, T]) -> Callable[P, T]:
    """Mark a function as one that makes tasks, so that others may run it from a study of yours that they trust.

    Its tasks know the import path and the parameters that make them again.
    """

    @functools.wraps(factory)
    def make(*args: P.args, **kwargs: P.kwargs) -> T:
        task: Any = factory(*args, **kwargs)
        if args or not _can_be_named(factory, kwargs) or not _has_source(task):
            return task  # type: ignore[no-any-return]
        source = Source(f"{factory.__module__}:{factory.__qualname__}", kwargs)
        return with_changes(task, source=source)  # type: ignore[no-any-return]

    _factories.add(make)
    return make


def marked(factory: Callable[P, T]) -> Callable[P, T]:
    """Mark a function that makes tasks which say themselves what makes them again."""
    _factories.add(factory)
    return factory


def is_marked(thing: object) -> bool:
    """Whether it is a function that `task_factory` has marked."""
    try:
        return thing in _factories
    except TypeError:  # nothing that cannot be hashed is marked
        return False


def of_strangers() -> bool:
    """Whether what is being made now is named by somebody else's study."""
    return _strangers.get()


@contextmanager
def strangers() -> Iterator[None]:
    """What is made meanwhile is named by somebody else's study: the current folder is not searched for its code."""
    before, told = list(sys.path), _strangers.set(True)
    sys.path[:] = without_current_folder(before)
    try:
        yield
    finally:
        sys.path[:] = before + [entry for entry in sys.path if entry not in before]
        _strangers.reset(told)


def searches_current_folder(name: str, own: bool = True) -> bool:
    """Whether the module of a task's name (module, module:name or file.py:name) is looked for in the current folder.

    Built-in tasks are not there, and a torch.py or pandas.py beside somebody else's study is not what they import. own:
    the user named it.
    """
    where = name.partition(":")[0]
    return own and not of_strangers() and where.partition(".")[0] != "subtrain" and not where.endswith(".py")


def without_current_folder(entries: list[str]) -> list[str]:
    """These places for modules, but for the current folder."""
    here = os.path.realpath(Path.cwd())
    return [entry for entry in entries if entry and os.path.realpath(entry) != here]


def _has_source(task: object) -> bool:
    return dataclasses.is_dataclass(task) and any(part.name == "source" for part in dataclasses.fields(task))


def _can_be_named(factory: Callable[..., Any], params: Mapping[str, Any]) -> bool:
    """Whether another process finds the factory by its name, and its parameters can be written down."""
    try:
        json.dumps(params, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return factory.__module__ != "__main__" and "<locals>" not in factory.__qualname__
