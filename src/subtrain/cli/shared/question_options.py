"""Options of a verb from the question that it asks: names, types, defaults and help, as its function declares them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from subtrain.cli.shared.options import parameter
from subtrain.errors import InputError
from subtrain.system.docstrings import argument_help
from subtrain.uses import USES

KINDS = {"int": int, "float": float, "str": str, "bool": bool}
LIST = "LIST"


def question_options(
    question: str, keywords: Sequence[str], spelled: Mapping[str, str] | None = None
) -> list[inspect.Parameter]:
    """An option for each of these keywords of a question; one that takes several numbers has the metavar LIST.

    spelled: options whose name is not that of the keyword. The question's source is read and nothing is imported, for
    the help of all verbs must not wait for scikit-learn. Raises InputError for a question that is not there as its verb
    expects it.
    """
    function = _function(question)
    told = argument_help(ast.get_docstring(function) or "")
    args = function.args
    defaults = [*[None] * (len(args.args) - len(args.defaults)), *args.defaults, *args.kw_defaults]
    declared = {one.arg: (one, default) for one, default in zip(args.args + args.kwonlyargs, defaults, strict=True)}
    lacking = [each for each in keywords if each not in declared or each not in told]
    if lacking:
        raise InputError(f"question {question} has no keyword {lacking[0]}, or its docstring has no line for it")
    return [_option(*declared[each], told[each], (spelled or {}).get(each)) for each in keywords]


def _function(question: str) -> ast.FunctionDef:
    """The function of a question in the source of its module; InputError where it is not there."""
    place = USES.place(question)
    module, _, name = place.partition(":")
    try:
        spec: Any = find_spec(module)
        source = ast.parse(spec.loader.get_source(module))
        return next(one for one in source.body if isinstance(one, ast.FunctionDef) and one.name == name)
    except (ImportError, AttributeError, SyntaxError, StopIteration) as error:
        raise InputError(f"the question {question!r} cannot be read from {place}: {error}") from error


def _option(keyword: ast.arg, default: ast.expr | None, told: str, spelled: str | None) -> inspect.Parameter:
    name = keyword.arg
    kind = KINDS.get(ast.unparse(keyword.annotation).removesuffix(" | None") if keyword.annotation else "str")
    value = ast.literal_eval(default) if default is not None and kind is not None else None
    shown: Any = (kind or str) if value is not None else (kind or str) | None
    names = [spelled or f"--{name.replace('_', '-')}", *([f"-{name}"] if len(name) == 1 else [])]
    as_in = "" if kind else " As in 3,8,10-19."
    option = typer.Option(*names, help=f"{told}{as_in}", metavar=None if kind else LIST)
    return parameter(name, Annotated[shown, option], value)
