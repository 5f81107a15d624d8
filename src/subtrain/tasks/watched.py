"""What a study watches of its task, so that it notices when it changes: code and data by content, in named parts."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from functools import cached_property, lru_cache
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any, overload

from subtrain.errors import InputError
from subtrain.tasks.contents import of_path
from subtrain.tasks.origin import is_own
from subtrain.tasks.walk import Walk, digest

SCHEME = "2:"
"""What fingerprints begin with that follow everything the code names; those of version 0.1.0 have no such beginning."""

DATA = "data"
PYTHON = "Python"

# Modules that subtrain's own tasks train with; torch for those that have a device.
_OF_BUILT_IN = ("numpy", "numba", "sklearn")


class Watched:
    """Looked at when it is first asked for: only then is all of the task's file there.

    what: the task's code, settings and data, by name; "data" is a list of arrays, and of paths whose files count.
    old: the fingerprint as version 0.1.0 made it, for studies that have one. packages: of code that does not run in
    Python, the installed programs it uses.
    """

    def __init__(
        self,
        what: Mapping[str, Any],
        old: Callable[[], str] | None = None,
        packages: Mapping[str, str] | None = None,
    ) -> None:
        self._what = what
        self.old = old
        if packages is not None:
            self.__dict__["packages"] = packages

    def and_(self, more: Mapping[str, Any], old: Callable[[], str] | None) -> Watched:
        """This and more."""
        return Watched({**self._what, **more}, old, self.__dict__.get("packages"))

    def __reduce__(self) -> tuple[Any, ...]:
        return _Settled, (self.fingerprint, dict(self.parts), dict(self.packages))

    @cached_property
    def _walk(self) -> Walk:
        walk, top = Walk(), []
        for name, value in self._what.items():
            told = {name: walk.add(name, value)} if name != DATA else _data(walk.add, value, self._what)
            for label, text in told.items():
                if not text.startswith("<"):
                    walk.parts.setdefault(label, digest(text))
                top.append(f"{name} {digest(text)}")
        walk.parts[""] = digest("\\n".join(top))
        walk.forget()
        return walk

    def told(self, walk: Walk) -> str:
        """What it watches, as part of what another task holds."""

        def tell(name: str, value: Any) -> str:
            return walk.text(value)

        return str({k: _data(tell, v, self._what) if k == DATA else walk.text(v) for k, v in self._what.items()})

    @property
    def parts(self) -> Mapping[str, str]:
        """The digest of each part, by name."""
        return {name: found for name, found in self._walk.parts.items() if name}

    @cached_property
    def fingerprint(self) -> str:
        """Of all parts together."""
        return SCHEME + digest("\\n".join(f"{name} {found}" for name, found in sorted(self._walk.parts.items())))

    @cached_property
    def packages(self) -> Mapping[str, str]:
        """Versions of the installed packages that the code uses, and Python's: they are not looked into."""
        return _versions(self._walk.packages)


class _Settled(Watched):
    """What another process found."""

    def __init__(self, fingerprint: str, parts: Mapping[str, str], packages: Mapping[str, str]) -> None:
        super().__init__({})
        self.__dict__.update(fingerprint=fingerprint, packages=packages, settled=parts)

    @property
    def parts(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.__dict__["settled"]
        return found

    def told(self, walk: Walk) -> str:
        return self.fingerprint


def _data(tell: Callable[[str, Any], str], values: Any, what: Mapping[str, Any]) -> dict[str, str]:
    """What `data=` names: arrays and everything else by content, paths by the files there."""
    items = values.items() if isinstance(values, Mapping) else enumerate(_listed(values))
    named = _globals(what)
    return {named.get(id(value), f"data[{key}]"): _datum(tell, key, value) for key, value in items}


def _listed(values: Any) -> Sequence[Any]:
    """The things in a list, or the one thing that it is, which may have rows of its own (an array, a table)."""
    if isinstance(values, (list, tuple, Iterator, KeysView, ValuesView)):
        return list(values)
    return [] if values is None else [values]


def _datum(tell: Callable[[str, Any], str], key: Any, value: Any) -> str:
    if isinstance(value, (str, PurePath)):
        path = Path(value).expanduser()
        if path.exists():
            return f"{path.name} {of_path(path)}"
        if isinstance(value, PurePath):
            raise InputError(f"there is no {path}, which data names")
    return tell(f"data[{key}]", value)


def _globals(what: Mapping[str, Any]) -> dict[int, str]:
    """Names of the values that the module of the task's code has, by their id."""
    scopes = [getattr(value, "__globals__", {}) for value in what.values()]
    return {id(value): name for scope in scopes for name, value in scope.items() if not name.startswith("__")}


def _versions(modules: Iterable[str]) -> dict[str, str]:
    found = {distribution for name in modules for distribution in _distributions().get(name, [])}
    return {PYTHON: _version(PYTHON), **{name: _version(name) for name in sorted(found)}}


@lru_cache(maxsize=1)
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _version(distribution: str) -> str:
    if distribution == PYTHON:
        return ".".join(platform.python_version_tuple()[:2])
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


class Fingerprint:
    """The field `fingerprint` of a task: the text it was given, or what is found of what it watches."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.key = f"_{name}"

    @overload
    def __get__(self, instance: None, owner: type) -> str: ...
    @overload
    def __get__(self, instance: object, owner: type) -> str: ...
    def __get__(self, instance: object | None, owner: type) -> str:
        if instance is None:
            raise AttributeError("a task's fingerprint has no default")
        watched: Watched | None = getattr(instance, "watched", None)
        return watched.fingerprint if watched is not None else str(vars(instance)[self.key])

    def __set__(self, instance: object, value: str) -> None:
        vars(instance)[self.key] = value


def fingerprint_like(recorded: str, task: Any) -> str:
    """The task's fingerprint as the study's was made: version 0.1.0 saw less."""
    watched: Watched | None = getattr(task, "watched", None)
    if watched is None or watched.old is None or recorded.startswith(SCHEME):
        return str(task.fingerprint)
    return watched.old()


LOOKED_AT = Fingerprint()


def recorded(task: Any) -> dict[str, Any]:
    """What a study keeps of its task besides the fingerprint: its parts, to say which of them changed, and versions."""
    parts = parts_of(task)
    return {**({"parts": dict(parts)} if parts else {}), "packages": dict(packages_of(task))}


def parts_of(task: Any) -> Mapping[str, str]:
    """The named parts that are watched; none for a task whose fingerprint is made of its settings and data alone."""
    watched: Watched | None = getattr(task, "watched", None)
    return {} if watched is None else watched.parts


def packages_of(task: Any) -> Mapping[str, str]:
    """Versions of the installed packages that a task uses, which are not watched."""
    watched: Watched | None = getattr(task, "watched", None)
    if watched is not None:
        return watched.packages
    walk = Walk()
    if is_own(getattr(sys.modules.get(type(task).__module__), "__file__", None)):
        walk.add("", type(task))
    else:
        walk.packages.update(_OF_BUILT_IN, ["torch"] if getattr(task, "device", None) else [])
    return _versions(walk.packages)


def other_versions(before: Any) -> str:
    """Which packages are here in another version than a study wrote down, as a sentence; "" if none is."""
    if not isinstance(before, Mapping):
        return ""
    then = {name: old for name, old in before.items() if isinstance(old, str) and old and name.isprintable()}
    differing = {name: (old, now) for name, old in then.items() if (now := _version(name)) != old}
    if not differing:
        return ""
    shown = [f"{name[:80]} {old[:80]} (here {now})" for name, (old, now) in differing.items() if old.isprintable()]
    return (
        f"the study was created with {_listing(shown)}: packages are not watched, and if these train differently, the "
        "study gets models of two kinds"
    )


def changes(before: Any, task: Any) -> str:
    """Which parts are not as they were: "helper and x have changed", "" if that is not known."""
    watched: Watched | None = getattr(task, "watched", None)
    if watched is None or not isinstance(before, Mapping) or not before:
        return ""
    now = watched.parts
    kinds = {
        "changed": [name for name in now if name in before and before[name] != now[name]],
        "new": [name for name in now if name not in before],
        "gone": [str(name)[:80] for name in before if name not in now],
    }
    return "; ".join(f"{kind}: {_listing(names)}" for kind, names in kinds.items() if names)


def _listing(names: Sequence[str]) -> str:
    names = sorted({name.partition("#")[0] for name in names})
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
