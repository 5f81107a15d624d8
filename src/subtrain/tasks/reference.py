"""The reference code's training modules, unmodified: `main(*_, index, logdir)` a model, arguments as it passes them."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.outputs import Output, one_model
from subtrain.tasks.base import Source, output_schema
from subtrain.tasks.fingerprint import fingerprint, source_of

# What makes such a task again; the masks of a study's design are not its models'.
REFERENCE = f"{__name__}:reference"


def reference(
    module: str,
    outputs: Mapping[str, Output | Mapping[str, Any]],
    logdir: str,
    args: Sequence[str] = (),
    folder: str = ".",
) -> ReferenceTask:
    """A task that calls `main(index=i, logdir=logdir)` of a module and takes the dict of arrays that it returns.

    module: its dotted name, found from `folder`; args: "--name=value" words, which it finds in sys.argv after those of
    the reference worker, and in fastargs' configuration if it uses fastargs. Its masks are its own: they are one of the
    outputs, and subtrain's seeds do not reach it. Raises InputError if there is no such module or function.
    """
    root = os.path.abspath(folder)
    schema = output_schema(outputs)
    with _arguments([module, *args]):
        main = _main(module, root)
        _configure(module, list(args))
    given = {
        "module": module,
        "outputs": {name: spec.to_json() for name, spec in schema.items()},
        "logdir": logdir,
        "args": list(args),
        "folder": root,
    }
    about = fingerprint(module, source_of(inspect.unwrap(main)), schema, list(args))
    source = Source(REFERENCE, given)
    return ReferenceTask(main, module, schema, about, logdir, tuple(args), source=source)


@dataclass(frozen=True, eq=False)
class ReferenceTask:
    """Its models are told their number. n is a number for form's sake: who was trained on whom, only they know."""

    main: Callable[..., Any] = field(repr=False)
    module: str
    outputs: Mapping[str, Output]
    fingerprint: str
    logdir: str
    args: tuple[str, ...]
    n: int = 64
    source: Source | None = None

    def train_rows(self, rows: Sequence[int]) -> dict[str, NDArray[Any]]:
        """Outputs [k, *shape] of the models with these numbers."""
        each = [self._one(row) for row in rows]
        return {name: np.stack([one[name] for one in each]) for name in self.outputs}

    def train(self, masks: NDArray[np.bool_], seeds: NDArray[np.uint32]) -> dict[str, NDArray[Any]]:
        raise InputError(f"{self.module} draws its own masks: it can only be told the number of a model")

    def _one(self, row: int) -> dict[str, NDArray[Any]]:
        own = {"index": row, "main_import": self.module, "logdir": self.logdir}
        os.makedirs(self.logdir, exist_ok=True)
        with _arguments([self.module, *(f"--worker.{key}={value}" for key, value in own.items()), *self.args]):
            returned = self.main(index=row, logdir=self.logdir)
        if isinstance(returned, Mapping):
            returned = {name: _assigned(value, self.outputs.get(name)) for name, value in returned.items()}
        return one_model(self.outputs, returned, f"{self.module}.main", "the spec")


def _assigned(value: Any, spec: Output | None) -> Any:
    """A row [1, N] fits where [N] is declared, as it does when the reference assigns it to a row of its array."""
    shape = getattr(value, "shape", None)
    if spec is None or shape is None or tuple(shape) == spec.shape:
        return value
    return value.reshape(spec.shape) if [s for s in shape if s != 1] == [s for s in spec.shape if s != 1] else value


def _main(module: str, root: str) -> Callable[..., Any]:
    if root not in sys.path:
        sys.path.insert(0, root)
    try:
        main = importlib.import_module(module).main
    except Exception as error:
        raise InputError(f"cannot import main from {module!r}: {type(error).__name__}: {error}") from error
    if not callable(main):
        raise InputError(f"{module}.main is a {type(main).__name__}, not a function")
    return main  # type: ignore[no-any-return]


def _configure(module: str, args: list[str]) -> None:
    """Give the arguments to fastargs if the module has loaded it, as the reference worker does."""
    if "fastargs" not in sys.modules:
        return
    from argparse import ArgumentParser

    config = sys.modules["fastargs"].get_current_config()
    parser = ArgumentParser(prog=module)
    try:
        config.augment_argparse(parser)
        config.collect_argparse_args(parser)
    except SystemExit:
        raise InputError(f"{module} does not take the arguments {' '.join(args)}") from None


@contextmanager
def _arguments(words: list[str]) -> Iterator[None]:
    before, sys.argv = sys.argv, words
    try:
        yield
    finally:
        sys.argv = before
