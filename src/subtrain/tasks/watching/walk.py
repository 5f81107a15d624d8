"""Everything that a task's code names, followed by content: its functions and classes, constants, data and modules."""

from __future__ import annotations

import ast
import collections
import enum
import functools
import hashlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType, GenericAlias, ModuleType
from typing import Any

from subtrain.tasks.loading.task_folder import find_file, module_of
from subtrain.tasks.watching import syntax
from subtrain.tasks.watching.contents import content, file_digest
from subtrain.tasks.watching.objects import KINDS, instance
from subtrain.tasks.watching.own_code import is_own

_PLAIN = (type(None), bool, int, float, complex, bytes, type(...), type(NotImplemented))
# Characters above which a value stands in what holds it by its digest: many may hold the same.
_LONG = 1000
_WRITTEN_BY_PYTHON = ("__dataclass_fields__", "_fields", "__attrs_attrs__", "model_fields")


class Walk:
    """The parts of a task that were seen so far.

    parts: digest by name. Functions, classes and globals of the user's code are parts of their own; what they hold is
    told by content, and each other by name. packages: names of the installed modules that the code uses. holds_newer:
    whether some task among all that trains otherwise than an earlier version of subtrain did.
    """

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}
        self.packages: set[str] = set()
        self.holds_newer = False
        self._names: dict[Any, str] = {}
        self._waiting: collections.deque[tuple[str, Callable[[], str]]] = collections.deque()
        self._files: dict[str, syntax.SourceFile] = {}
        self._kept: list[Any] = []
        self._within: list[int] = []
        self._seen: dict[int, tuple[str, bool]] = {}
        self._main: str | None = None
        self._folders: set[str] = set()
        self._opaque = False

    def add(self, name: str, value: Any) -> str:
        """See a value, and everything that it leads to; returns what stands for it."""
        found = self.text(value)
        while self._waiting:
            label, describe = self._waiting.popleft()
            self.parts[label] = digest(describe())
        return found

    def text(self, value: Any) -> str:
        """The content of a value. What has none of its own, such as an open file, is told by its type."""
        if isinstance(value, _PLAIN) and type(value) in _PLAIN:
            return f"{type(value).__name__} {value!r}"
        if type(value) is str:
            return f"str {self.without_folders(value)!r}"
        if id(value) in self._within:
            return "itself"
        if id(value) not in self._seen:
            before, self._opaque = self._opaque, False
            self._within.append(id(value))
            try:
                found = content(value, self.text)
                found = self._structured(value) if found is None else found
            finally:
                self._within.pop()
            self._kept.append(value)
            self._seen[id(value)] = (found if len(found) <= _LONG else f"long {digest(found)}", self._opaque)
            self._opaque = before
        found, opaque = self._seen[id(value)]
        self._opaque |= opaque
        return found

    def forget(self) -> None:
        """Let go of what was seen, once nothing more is added: it may be large."""
        for held in (self._names, self._files, self._kept, self._seen):
            held.clear()

    def _structured(self, value: Any) -> str:
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, ModuleType):
            return self._member(value, ())
        for kinds, describe in KINDS:
            if isinstance(value, kinds):
                return f"{self.text(type(value))} {describe(self, value)}"
        if isinstance(value, GenericAlias) or type(value).__module__ == "typing":
            return repr(value)
        return instance(self, value)

    # Functions and classes.

    def _function(self, function: FunctionType) -> str:
        if not self._is_own_function(function):
            return self._installed_function(function)
        return self._part(function, self._label(function), lambda: self._function_part(function))

    def _installed_function(self, function: FunctionType) -> str:
        name = f"installed {function.__code__.co_filename.rpartition(os.sep)[2]} {function.__code__.co_name}"
        self.uses(function.__globals__.get("__name__"))
        if hasattr(function, "__wrapped__"):
            return f"{name} of {self.text(function.__wrapped__)}"
        held = [self._cell(cell) for cell in function.__closure__ or ()]
        return f"{name} {held}" if held else name

    def _function_part(self, function: FunctionType) -> str:
        code, scope = function.__code__, function.__globals__
        node = self._file(code.co_filename, scope).function(code)
        shown = syntax.text(node) if node is not None else syntax.bytecode(code)
        held = {
            "defaults": function.__defaults__ or (),
            "keywords": function.__kwdefaults__ or {},
            "attributes": dict(vars(function)),
        }
        cells = [self._cell(cell) for cell in function.__closure__ or ()]
        told = [shown, str({k: self.text(v) for k, v in held.items()}), str(cells)]
        return "\n".join([*told, *self._named(node, syntax.global_names(code), scope)])

    def _named(self, node: ast.AST | None, names: set[str], scope: Mapping[str, Any]) -> list[str]:
        """What code takes from outside: globals, and modules that it imports when it runs."""
        chains = syntax.chains(node) if node is not None else {(name,) for name in names}
        told = []
        for name in sorted(names & scope.keys()):
            if isinstance(scope[name], ModuleType):
                ends = sorted(chain[1:] for chain in chains if chain[0] == name) or [()]
                told += [f"{name} {end}: {self._member(scope[name], end)}" for end in ends]
            else:
                told.append(f"{name}: {self._global(scope, name)}")
        if names & {"globals", "eval", "exec"}:
            told.append(self._source(scope.get("__file__")))
        told += self._imported(node, scope.get("__file__")) if node is not None else []
        return told

    def _class(self, cls: type) -> str:
        if not self.is_own_class(cls):
            self.uses(cls.__module__)
            return f"installed {cls.__module__}.{cls.__qualname__}"
        return self._part(cls, self._label(cls), lambda: self._class_part(cls))

    def _class_part(self, cls: type) -> str:
        scope = getattr(module_of(cls), "__dict__", {})
        node = None
        for member in vars(cls).values():
            inner = getattr(member, "__func__", getattr(member, "fget", member))
            if isinstance(inner, FunctionType) and inner.__qualname__.startswith(cls.__qualname__ + "."):
                scope = inner.__globals__
                break
        if isinstance(scope.get("__file__"), str):
            node = self._file(scope["__file__"], dict(scope)).definition(cls.__qualname__)
        told = [syntax.text(node) if node is not None else "", str([self.text(base) for base in cls.__bases__])]
        told.append(self.text(type(cls)))
        if issubclass(cls, enum.Enum):
            told += [f"{name} {self.text(member.value)}" for name, member in cls.__members__.items()]
        for name, value in sorted(vars(cls).items()):
            if self._is_member(cls, name, value):
                told.append(f"{name}: {self.text(value)}")
        outside = [n for part in _outside_methods(node) for n in syntax.names(part)] if node is not None else []
        return "\n".join([*told, *self._named(None, set(outside), scope)])

    def _is_member(self, cls: type, name: str, value: Any) -> bool:
        """Whether an entry of a class is the user's, and not written by Python."""
        inner = getattr(value, "__func__", getattr(value, "fget", value))
        if isinstance(inner, FunctionType):
            written = any(hasattr(cls, mark) for mark in _WRITTEN_BY_PYTHON) or issubclass(cls, enum.Enum)
            return self._is_own_function(inner) and not (written and not os.path.isfile(inner.__code__.co_filename))
        if issubclass(cls, enum.Enum) or name.startswith(("__", "_abc")):
            return False
        return not inspect.isdatadescriptor(value) or isinstance(value, (property, functools.cached_property))

    # Globals and modules.

    def _global(self, scope: Mapping[str, Any], name: str) -> str:
        value = scope[name]
        if isinstance(value, ModuleType):
            return self._member(value, ())
        if isinstance(value, (FunctionType, type)):
            return self.text(value)
        file = scope.get("__file__")
        own = isinstance(file, str) and is_own(file)
        if not own and "__file__" in scope:
            return f"installed {scope.get('__name__')}.{name}"
        module = str(scope.get("__name__"))
        label = name if self._is_main(module) else f"{module.rpartition('.')[2]}.{name}"
        return self._part((id(scope), name), label, lambda: self._global_part(scope, name))

    def _global_part(self, scope: Mapping[str, Any], name: str) -> str:
        """A global by its content; by the statements that make it if it has none, or changes as the code runs."""
        file = self._file(scope.get("__file__") or "", dict(scope))
        before, self._opaque = self._opaque, False
        state = name in file.state and isinstance(scope[name], (*_PLAIN, str, list, dict, set, collections.deque))
        found = "state" if state else self.text(scope[name])
        opaque, self._opaque = self._opaque or state, before
        if not opaque:
            return found
        told = [found]
        for statement in file.bindings.get(name, []):
            told += [syntax.text(statement), *self._named(statement, syntax.names(statement) - {name}, scope)]
        return "\n".join(told)

    def _member(self, module: ModuleType, chain: tuple[str, ...]) -> str:
        """What `module.a.b` of one's own code is; installed modules by name."""
        if not _is_own_module(module):
            self.uses(module.__name__)
            return f"installed {module.__name__}"
        if not chain or chain[0] not in vars(module):
            return f"{'.'.join(chain)} {self._source(getattr(module, '__file__', None))}"
        value = vars(module)[chain[0]]
        return self._member(value, chain[1:]) if isinstance(value, ModuleType) else self._global(vars(module), chain[0])

    def _imported(self, node: ast.AST, importer: str | None) -> list[str]:
        """Modules that code imports when it runs: by their source, whether they have been imported yet or not."""
        told = []
        for level, name in syntax.imports(node):
            for file in find_file(name, level, importer):
                told.append(self._source(str(file)))
            if not level and name:
                self.uses(name)
        return told

    def _source(self, file: str | None) -> str:
        """A whole file, with the files it imports."""
        if not file or not is_own(file):
            return ""
        path = os.path.realpath(file)
        return self._part(("file", path), os.path.basename(path), lambda: self._source_part(path))

    def _source_part(self, path: str) -> str:
        tree = self._file(path).tree
        if tree is None:
            return file_digest(Path(path))
        return "\n".join([syntax.text(tree), *self._imported(tree, path)])

    def nothing(self, kind: str) -> str:
        """What stands for a value that has no content of its own."""
        self._opaque = True
        return kind

    # Names.

    def _part(self, key: Any, label: str, describe: Callable[[], str]) -> str:
        """The name of a part; it is described when its turn comes, so that parts can name each other."""
        known = key if isinstance(key, tuple) else id(key)
        if known not in self._names:
            self._kept.append(key)
            taken, number = set(self._names.values()), 2
            name = label
            while name in taken:
                name, number = f"{label}#{number}", number + 1
            self._names[known] = name
            self._waiting.append((name, describe))
        return f"<{self._names[known]}>"

    def _label(self, thing: Any) -> str:
        name = thing.__qualname__.replace("<locals>.", "")
        return name if self._is_main(thing.__module__) else f"{str(thing.__module__).rpartition('.')[2]}.{name}"

    def _is_main(self, module: str | None) -> bool:
        if self._main is None:
            self._main = str(module)
            file = getattr(sys.modules.get(self._main), "__file__", None)
            self._folders.update([] if not file else {os.path.dirname(os.path.abspath(file)), os.path.dirname(file)})
            self._folders.discard("")
            self._folders.discard("/")
        return self._main == str(module)

    def without_folders(self, value: str) -> str:
        """A text that is the same when the task's folder has moved."""
        for folder in sorted(self._folders, key=len, reverse=True):
            value = value.replace(folder, "<folder>")
        return value

    def _is_own_function(self, function: FunctionType) -> bool:
        file = function.__code__.co_filename
        if os.path.isfile(file):
            return is_own(file)
        return _is_own_name(function.__globals__.get("__name__"), function.__globals__.get("__file__"))

    def is_own_class(self, cls: type) -> bool:
        """Whether the user wrote it."""
        module = module_of(cls)
        return _is_own_name(cls.__module__, getattr(module, "__file__", None))

    def _cell(self, cell: Any) -> str:
        try:
            return self.text(cell.cell_contents)
        except ValueError:
            return "empty"

    def _file(self, name: str, scope: dict[str, Any] | None = None) -> syntax.SourceFile:
        if name not in self._files:
            self._files[name] = syntax.SourceFile(name, scope)
        return self._files[name]

    def uses(self, module: str | None) -> None:
        """Note an installed module."""
        top = str(module).partition(".")[0]
        if top not in sys.stdlib_module_names and top not in ("subtrain", "builtins", "__main__"):
            self.packages.add(top)


def digest(text: str) -> str:
    """sha256 of a text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _is_own_name(name: Any, file: Any) -> bool:
    """Whether a module of this name and file is the user's; one without a file is a notebook or an interpreter."""
    if isinstance(file, str):
        return is_own(file)
    top = str(name).partition(".")[0]
    return (
        top not in sys.stdlib_module_names
        and top not in ("builtins", "subtrain")
        and name is not None
        and not top.startswith("numpy")
    )


def _is_own_module(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    if isinstance(file, str):
        return is_own(file)
    return any(is_own(os.path.join(str(entry), "x.py")) for entry in getattr(module, "__path__", ()))


def _outside_methods(node: ast.ClassDef) -> list[ast.AST]:
    """What is evaluated when the class is made: names there are globals."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    body: list[ast.AST] = [part for part in node.body if not isinstance(part, functions)]
    return [*body, *node.decorator_list, *node.keywords]
