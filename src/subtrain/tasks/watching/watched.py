"""What a study watches of its task, so that it notices when it changes: code and data by content, in named parts."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from functools import cached_property, lru_cache
from importlib import metadata
from typing import Any, overload

from subtrain.tasks.watching.data_paths import datum, folder_of
from subtrain.tasks.watching.own_code import is_own
from subtrain.tasks.watching.walk import Walk, digest

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
    Python, the installed programs it uses. subject: the function and the outputs of the task, once it is made.
    absent: of the texts in data that look like paths to what is not there, a sentence each, by name of the part.
    """

    def __init__(
        self,
        what: Mapping[str, Any],
        old: Callable[[], str] | None = None,
        packages: Mapping[str, str] | None = None,
    ) -> None:
        self._what = what
        self.old = old
        self.subject: Any = None
        self.absent: dict[str, str] = {}
        if packages is not None:
            self.__dict__["packages"] = packages

    def and_(self, more: Mapping[str, Any], old: Callable[[], str] | None) -> Watched:
        """This and more."""
        return Watched({**self._what, **more}, old, self.__dict__.get("packages"))

    def of(self, train: Callable[..., Any], shapes: Mapping[str, Any]) -> Watched:
        """This with another training function, and with outputs of other shapes if there are any."""
        what = self._what or {"task": self.fingerprint}
        name = "outputs" if "train" in what else "declared"
        return Watched(
            {**what, "train": train, **({name: shapes} if shapes else {})}, self.old, self.__dict__.get("packages")
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _Settled, (self.fingerprint, dict(self.parts), dict(self.packages), self.subject)

    @cached_property
    def _walk(self) -> Walk:
        walk, top = Walk(), []
        for name, value in self._what.items():
            told = {name: walk.add(name, value)} if name != DATA else self._data(walk.add, value)
            for label, text in told.items():
                if not text.startswith("<"):
                    walk.parts.setdefault(label, digest(text))
                top.append(f"{name} {digest(text)}")
        walk.parts[""] = digest("\\n".join(top))
        walk.forget()
        return walk

    def told_to_walk(self, walk: Walk) -> str:
        """What it watches, as part of what another task holds."""

        def tell(name: str, value: Any) -> str:
            return walk.text(value)

        return str({k: self._data(tell, v) if k == DATA else walk.text(v) for k, v in self._what.items()})

    def _data(self, tell: Callable[[str, Any], str], values: Any) -> dict[str, str]:
        """What `data=` names: arrays and everything else by content, paths by the files there."""
        items = values.items() if isinstance(values, Mapping) else enumerate(_listed(values))
        named, folder = _globals(self._what), folder_of(self._what)
        told = {}
        for key, value in items:
            label, lacking = f"{DATA}[{key}]", dict[str, str]()
            part = named.get(id(value), label)
            told[part] = datum(tell, label, value, folder, lacking)
            if lacking:
                self.absent[part] = next(iter(lacking.values()))
        return told

    @property
    def parts(self) -> Mapping[str, str]:
        """The digest of each part, by name."""
        return {name: found for name, found in self._walk.parts.items() if name}

    @property
    def holds_newer(self) -> bool:
        """Whether the code uses a task of subtrain's that trains otherwise than an earlier version did."""
        return self._walk.holds_newer

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

    def __init__(
        self, fingerprint: str, parts: Mapping[str, str], packages: Mapping[str, str], subject: Any = None
    ) -> None:
        super().__init__({})
        self.__dict__.update(fingerprint=fingerprint, packages=packages, settled=parts, subject=subject)

    @property
    def parts(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.__dict__["settled"]
        return found

    def told_to_walk(self, walk: Walk) -> str:
        return self.fingerprint


def _listed(values: Any) -> Sequence[Any]:
    """The things in a list, or the one thing that it is, which may have rows of its own (an array, a table)."""
    if isinstance(values, (list, tuple, Iterator, KeysView, ValuesView)):
        return list(values)
    return [] if values is None else [values]


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


class Known(Watched):
    """Of a task whose code is installed, subtrain's own above all: the fingerprint is one number of its settings and
    data, and its parts only tell which of them have changed.

    modules: installed ones that train, besides those of subtrain's own tasks.
    """

    def __init__(self, fingerprint: str, what: Mapping[str, Any], modules: Iterable[str] = ()) -> None:
        self._modules = (*_OF_BUILT_IN, *modules)
        super().__init__({name: value for name, value in what.items() if value is not None}, lambda: fingerprint)
        self.__dict__["fingerprint"] = fingerprint

    @property
    def holds_newer(self) -> bool:
        return False

    @property
    def parts(self) -> Mapping[str, str]:
        return self._parts

    @cached_property
    def _parts(self) -> dict[str, str]:
        walk = Walk()
        return {name: digest(walk.text(value)) for name, value in self._what.items()}

    @cached_property
    def packages(self) -> Mapping[str, str]:
        return _versions(self._modules)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Settled, (self.fingerprint, {}, dict(self.packages), self.subject)

    def told_to_walk(self, walk: Walk) -> str:
        return self.fingerprint


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
    """The task's fingerprint as the study's was made: version 0.1.0 saw less, and no task that the code uses."""
    watched: Watched | None = getattr(task, "watched", None)
    if watched is None or watched.old is None or recorded.startswith(SCHEME) or watched.holds_newer:
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


def texts_of(task: Any) -> list[str]:
    """Of each text in a task's data that looks like a path to what is not there, that it counts as it is."""
    parts = parts_of(task)  # what lies at paths is looked for when the parts are
    watched: Watched | None = getattr(task, "watched", None) if parts else None
    absent = {} if watched is None else watched.absent
    return [
        f"{said}: it counts as a text, and a file of that name that comes later as a change" for said in absent.values()
    ]


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
    said = [f"{kind}: {_listing(names)}" for kind, names in kinds.items() if names]
    lacking = [watched.absent[name] for name in kinds["changed"] if name in watched.absent]
    return "; ".join([*said, *lacking[:3]])


def _listing(names: Sequence[str]) -> str:
    names = sorted({name.partition("#")[0] for name in names})
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
