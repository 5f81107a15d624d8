"""The user's code as text: without comments, layout and docstrings, and the same for every version of Python."""

from __future__ import annotations

import ast
import dis
import linecache
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from types import CodeType
from typing import Any

_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_IGNORED = {"ctx", "type_comment", "kind", "type_ignores"}
# Methods that change a list, a dict or a set.
_CHANGING = {
    "append", "appendleft", "add", "update", "setdefault", "pop", "popitem", "extend", "insert", "clear", "remove",
    "discard",
}  # fmt: skip

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def text(node: Any) -> str:
    """A syntax tree as text."""
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if name not in _IGNORED)
        shown = [f"{name}={text(value)}" for name, value in fields if value is not None and value != []]
        return f"{type(node).__name__}({','.join(shown)})"
    if isinstance(node, list):
        return f"[{','.join(text(item) for item in node if not _is_docstring(item))}]"
    return f"{type(node).__name__} {node!r}"


def _is_docstring(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


class SourceFile:
    """A file of code, or a cell of a notebook. `tree` is None where its text is not at hand."""

    def __init__(self, name: str, globals: dict[str, Any] | None = None) -> None:
        self.name = name
        linecache.checkcache(name)
        lines = linecache.getlines(name, globals)
        if not lines and os.path.isfile(name):
            with open(name, encoding="utf-8", errors="replace") as file:
                lines = file.readlines()
        try:
            self.tree: ast.Module | None = ast.parse("".join(lines)) if lines else None
        except (SyntaxError, ValueError, RecursionError):
            self.tree = None

    @cached_property
    def _functions(self) -> dict[int, list[Function]]:
        """Functions by the line on which they begin, decorators included."""
        found: dict[int, list[Function]] = {}
        for node in ast.walk(self.tree) if self.tree else ():
            if isinstance(node, Function):
                decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
                found.setdefault(min([node.lineno, *(d.lineno for d in decorators)]), []).append(node)
        return found

    def function(self, code: CodeType) -> Function | None:
        """The function that this code was compiled from."""
        there = self._functions.get(code.co_firstlineno, [])
        there = [node for node in there if getattr(node, "name", "<lambda>") == code.co_name]
        if len(there) < 2:
            return there[0] if there else None
        spans = [(line, at, end, stop) for line, end, at, stop in code.co_positions() if stop and end and line]
        begin, over = min((s[:2] for s in spans), default=(0, 0)), max((s[2:] for s in spans), default=(0, 0))
        holds = [node for node in there if _begin(node) <= begin and over <= _over(node)]
        return min(holds, key=_extent, default=None)

    def definition(self, qualname: str) -> ast.ClassDef | None:
        """The class of this name; the last of them, if there are several."""
        level: list[ast.stmt] = list(self.tree.body) if self.tree else []
        found = None
        for part in qualname.replace(".<locals>", "").split("."):
            named = [n for n in _within(level) if isinstance(n, (ast.ClassDef, ast.FunctionDef)) and n.name == part]
            if not named:
                return None
            found, level = named[-1], named[-1].body
        return found if isinstance(found, ast.ClassDef) else None

    @cached_property
    def bindings(self) -> dict[str, list[ast.stmt]]:
        """The statements outside functions that give each global name its value."""
        found: dict[str, list[ast.stmt]] = {}
        for statement in _within(self.tree.body if self.tree else []):
            for name in _bound(statement):
                found.setdefault(name, []).append(statement)
        return found

    @cached_property
    def state(self) -> set[str]:
        """Global names whose values functions of the file change as they run: counters, caches, what is made later."""
        found: set[str] = set()
        functions = [node for nodes in self._functions.values() for node in nodes]
        for node in (inner for function in functions for inner in ast.walk(function)):
            if isinstance(node, ast.Global):
                found.update(node.names)
            elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
                found.update(_root(node.value))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGING:
                found.update(_root(node.func.value))
        return found


def _root(node: ast.AST) -> list[str]:
    return [node.id] if isinstance(node, ast.Name) else []


def _begin(node: Function) -> tuple[int, int]:
    at = node.body if isinstance(node, ast.Lambda) else node
    return at.lineno, at.col_offset


def _over(node: Function) -> tuple[int, int]:
    at = node.body if isinstance(node, ast.Lambda) else node
    return at.end_lineno or 0, at.end_col_offset or 0


def _extent(node: Function) -> tuple[int, int]:
    return _over(node)[0] - _begin(node)[0], _over(node)[1] - _begin(node)[1]


def _within(body: Sequence[Any]) -> Iterator[ast.stmt]:
    """Statements of a body, and of the branches and loops in it."""
    for node in body:
        yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield from _within(getattr(node, name, ()))


def _bound(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return [node.name]
    targets: list[Any] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.For)):
        targets = [node.target]
    elif isinstance(node, ast.With):
        targets = [item.optional_vars for item in node.items if item.optional_vars]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        targets = [node.value.func]  # numbers.append(3)
    roots = [inner.id for target in targets for inner in ast.walk(target) if isinstance(inner, ast.Name)]
    return roots if not isinstance(node, ast.Expr) or isinstance(node.value.func, ast.Attribute) else []  # type: ignore[attr-defined]


def global_names(code: CodeType) -> set[str]:
    """Names that a function takes from outside functions, with those of the functions in it."""
    found = {str(op.argval) for op in dis.get_instructions(code) if op.opname in _GLOBAL}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= global_names(constant)
    return found


def names(node: ast.AST) -> set[str]:
    """All names in a tree."""
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def chains(node: ast.AST) -> set[tuple[str, ...]]:
    """("a", "b", "c") of every a.b.c in a tree."""
    found = set()
    inside = {id(n.value) for n in ast.walk(node) if isinstance(n, ast.Attribute)}
    for inner in ast.walk(node):
        parts, at = [], inner
        while isinstance(at, ast.Attribute):
            parts.append(at.attr)
            at = at.value
        if isinstance(at, ast.Name) and id(inner) not in inside:
            found.add((at.id, *reversed(parts)))
    return found


def imports(node: ast.AST) -> list[tuple[int, str]]:
    """(level, dotted name) of every module that a tree imports, or may import: for `from a import b` a and a.b."""
    found = []
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            found += [(0, alias.name) for alias in inner.names]
        elif isinstance(inner, ast.ImportFrom):
            base = inner.module or ""
            found += [(inner.level, f"{base}.{alias.name}".strip(".*")) for alias in inner.names] + [
                (inner.level, base)
            ]
        elif isinstance(inner, ast.Call) and inner.args and isinstance(inner.args[0], ast.Constant):
            called = inner.func.attr if isinstance(inner.func, ast.Attribute) else getattr(inner.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(inner.args[0].value, str):
                name = inner.args[0].value
                found.append((len(name) - len(name.lstrip(".")), name.lstrip(".")))
    return sorted(set(found))


def bytecode(code: CodeType) -> str:
    """For code whose text is not at hand; it differs between versions of Python."""
    constants = [bytecode(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return repr((code.co_code, constants, code.co_names, code.co_varnames))
