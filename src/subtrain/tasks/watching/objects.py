"""Objects by what they hold: their class, and their attributes or settings, as far as these are the user's."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from types import BuiltinFunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from subtrain.tasks.watching.contents import file_digest, is_module_of_torch
from subtrain.tasks.watching.own_code import is_own

if TYPE_CHECKING:
    from subtrain.tasks.watching.walk import Walk

# Attributes that Python or a library fills in as it goes.
_PASSING = ("cache", "hash", "lock", "iterator")
# Classes whose instances change as the program runs.
_STATE = {
    "Generator", "RandomState", "Random", "SystemRandom", "Logger", "RootLogger", "Thread", "Event", "Condition",
    "Popen", "Process", "TextIOWrapper", "BufferedReader", "BufferedWriter", "StringIO", "BytesIO",
}  # fmt: skip


def instance(walk: Walk, value: Any) -> str:
    cls = type(value)
    kind = walk.text(cls)
    if hasattr(cls, "told_to_walk"):
        return f"{kind} {value.told_to_walk(walk)}"
    if is_module_of_torch(value):
        held = {k: v for k, v in vars(value).items() if not k.startswith("_") and k != "training"}
        parts = [value._parameters, value._buffers, value._modules, value._forward_hooks, value._forward_pre_hooks]
        return f"{kind} {_mapping(walk, held)} {[_ordered(walk, part) for part in parts]}"
    if callable(getattr(value, "get_params", None)) and not inspect.isclass(value):
        return f"{kind} {_settings(walk, value, value.get_params(deep=False))}"
    if dataclasses.is_dataclass(value) and not walk.is_own_class(cls):
        fields = {f.name: f.default for f in dataclasses.fields(value)}
        if getattr(value, "watched", None) is not None:
            del fields["fingerprint"]  # it is made of what is watched, perhaps at this moment
            walk.holds_newer |= fields.pop("earlier", None) is None and getattr(value, "earlier", None) is not None
        return f"{kind} {_changed(walk, {k: getattr(value, k) for k in fields}, fields)}"
    if any(c.__name__ in _STATE and not walk.is_own_class(c) for c in cls.__mro__):
        return walk.nothing(kind)
    if cls.__name__ == "ufunc":  # one made of a Python function is told by the statement that makes it
        return walk.nothing(kind) if "(vectorized)" in value.__name__ else f"{kind} {value.__name__}"
    wrapped = _wrapped(value)
    if wrapped is not None:
        return f"{kind} of {walk.text(wrapped)}"
    if hasattr(value, "__dict__") or walk.is_own_class(cls):
        return f"{kind} {_mapping(walk, _attributes(walk, value))}"
    return f"{kind} {_reduced(walk, value)}"


def _attributes(walk: Walk, value: Any) -> dict[str, Any]:
    found = dict(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                found[name] = getattr(value, name)
    if walk.is_own_class(type(value)):
        late = {name for name in found if isinstance(getattr(type(value), name, None), functools.cached_property)}
        return {name: found[name] for name in found if name not in late}
    passing = {name for name in found if any(part in name.lower() for part in _PASSING)}
    return {k: v for k, v in found.items() if not k.startswith("__") and k not in passing}


def _settings(walk: Walk, value: Any, settings: Mapping[str, Any]) -> str:
    """Of an estimator what differs from its defaults: a new version may have more settings."""
    try:
        known = inspect.signature(type(value).__init__).parameters
    except (TypeError, ValueError):
        return _mapping(walk, settings)
    return _changed(walk, settings, {name: p.default for name, p in known.items()})


def _changed(walk: Walk, settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    told = {name: walk.text(v) for name, v in settings.items()}
    return str({k: v for k, v in sorted(told.items()) if k not in defaults or v != walk.text(defaults[k])})


def _reduced(walk: Walk, value: Any) -> str:
    """As it would be pickled; by its type if it cannot be."""
    try:
        made = value.__reduce_ex__(2)
    except Exception:
        return walk.nothing("")
    if isinstance(made, str):
        return made
    return str([walk.text(part) for part in made[1:3] if part is not None])


def _mapping(walk: Walk, value: Mapping[Any, Any]) -> str:
    return str(sorted([walk.text(k), walk.text(v)] for k, v in value.items()))


def _ordered(walk: Walk, value: Mapping[Any, Any]) -> str:
    return str([[walk.text(k), walk.text(v)] for k, v in value.items()])


def _items(walk: Walk, value: Any) -> str:
    return str([walk.text(item) for item in value])


def _set(walk: Walk, value: Any) -> str:
    return str(sorted(walk.text(item) for item in value))


def _wrapped(value: Any) -> Any:
    """The function in a cached, compiled or otherwise decorated one."""
    for name in ("py_func", "__wrapped__", "_torchdynamo_orig_callable"):
        found = getattr(value, name, None)
        if callable(found):
            return found
    inner = getattr(value, "_dispatcher", None)
    return getattr(inner, "py_func", None)


def _bound(walk: Walk, value: MethodType) -> str:
    return f"{walk.text(value.__func__)} of {walk.text(value.__self__)}"


def _builtin(walk: Walk, value: BuiltinFunctionType) -> str:
    owner = value.__self__
    if owner is None or isinstance(owner, ModuleType):
        module = owner or sys.modules.get(str(value.__module__))
        file = getattr(module, "__file__", None)
        compiled = file_digest(Path(file)) if isinstance(file, str) and is_own(file) else ""
        walk.uses(getattr(module, "__name__", None))
        return f"{value.__name__} {compiled}"
    return f"{value.__qualname__} of {walk.text(owner)}"


KINDS: list[tuple[Any, Callable[[Walk, Any], str]]] = [
    (MethodType, _bound),
    (BuiltinFunctionType, _builtin),
    (functools.partial, lambda w, v: f"{w.text(v.func)} {w.text(v.args)} {w.text(v.keywords)}"),
    (functools.partialmethod, lambda w, v: f"{w.text(v.func)} {w.text(v.args)} {w.text(v.keywords)}"),
    ((staticmethod, classmethod), lambda w, v: w.text(v.__func__)),
    (property, lambda w, v: w.text((v.fget, v.fset, v.fdel))),
    (functools.cached_property, lambda w, v: w.text(v.func)),
    (enum.Enum, lambda w, v: f"{v.name} {w.text(v.value)}"),
    ((bool, int, float, complex, bytes), lambda w, v: repr(v)),
    (str, lambda w, v: w.without_folders(str(v))),
    (PurePath, lambda w, v: w.nothing("")),
    (collections.OrderedDict, _ordered),
    (collections.defaultdict, lambda w, v: f"{w.text(v.default_factory)} {_mapping(w, v)}"),
    (dict, lambda w, v: f"{_mapping(w, v)} {_mapping(w, getattr(v, '__dict__', {}))}"),
    ((list, tuple, collections.deque), _items),
    ((set, frozenset), _set),
    (bytearray, lambda w, v: bytes(v).hex()),
]
