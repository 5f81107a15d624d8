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
from subtrain.fingerprint import fingerprint
from subtrain.outputs import Output, SchemaError, one_model, plain_names
from subtrain.tasks.base import Source, output_schema
from subtrain.tasks.loading.fastargs import WORKER, collect_arguments, declare_worker
from subtrain.tasks.loading.task_factory import marked, of_strangers
from subtrain.tasks.watching.fingerprint_0_1 import source_of
from subtrain.tasks.watching.watched import Watched

# What makes such a task again; the masks of a study's design are not its models'.
REFERENCE = f"{__name__}:reference"
# What the reference's own steps call the masks by default.
MASKS = "masks"


@marked
def reference(
    module: str,
    outputs: Mapping[str, Output | Mapping[str, Any]],
    logdir: str,
    args: Sequence[str] = (),
    folder: str = ".",
    masks: str | None = None,
) -> ReferenceTask:
    """A task that calls `main(index=i, logdir=LOGDIR/workers/i)` of a module and takes the dict of arrays it returns.

    module: its dotted name, found from `folder`; args: "--name=value" words, which it finds in sys.argv after those of
    the reference worker, and in fastargs' configuration if it uses fastargs. Its masks are its own: they are one of the
    outputs (`masks`, by default found by its name), and subtrain's seeds do not reach it. Raises InputError if there is
    no such module or function, if it does not take the arguments, or if it declares no masks.
    """
    root = os.path.abspath(folder)
    schema = output_schema(outputs)
    key = masks_of(schema, masks)
    _refuse_worker_options(args)
    with _arguments([module, f"--{WORKER}.main_import={module}", *args]):
        declare_worker()
        collect_arguments(module, args, loaded=False)
        main = _main(module, root)
        collect_arguments(module, args)
    given = {
        "module": module,
        "outputs": {name: spec.to_json() for name, spec in schema.items()},
        "logdir": logdir,
        "args": list(args),
        "folder": root,
        "masks": key,
    }
    watched = Watched(
        {"module": module, "main": main, "arguments": list(args)},
        lambda: fingerprint(module, source_of(inspect.unwrap(main)), schema, list(args)),
    )
    source = Source(REFERENCE, given)
    return ReferenceTask(
        main, module, schema, watched.fingerprint, logdir, tuple(args), key, source=source, watched=watched
    )


@dataclass(frozen=True, eq=False)
class ReferenceTask:
    """Its models are told their number. n is a number for form's sake: who was trained on whom, only they know."""

    main: Callable[..., Any] = field(repr=False)
    module: str
    outputs: Mapping[str, Output]
    fingerprint: str
    logdir: str
    args: tuple[str, ...]
    masks: str
    n: int = 64
    source: Source | None = None
    watched: Watched | None = field(default=None, repr=False)

    def train_rows(self, rows: Sequence[int]) -> dict[str, NDArray[Any]]:
        """Outputs [k, *shape] of the models with these numbers."""
        each = [self._one(row) for row in rows]
        return {name: np.stack([one[name] for one in each]) for name in self.outputs}

    def train(self, masks: NDArray[np.bool_], seeds: NDArray[np.uint32]) -> dict[str, NDArray[Any]]:
        raise InputError(f"{self.module} draws its own masks: it can only be told the number of a model")

    def _one(self, row: int) -> dict[str, NDArray[Any]]:
        own = {"index": row, "main_import": self.module, "logdir": self.logdir}
        place = os.path.join(self.logdir, "workers", str(row))
        os.makedirs(place, exist_ok=True)
        with _arguments([self.module, *(f"--{WORKER}.{key}={value}" for key, value in own.items()), *self.args]):
            collect_arguments(self.module, self.args)
            try:
                returned = self.main(index=row, logdir=place)
            except SystemExit as error:
                raise SchemaError(
                    f"{self.module}.main ended the process (exit {error.code}) instead of returning arrays, as a "
                    "parser of arguments does that misses one or does not know one"
                ) from error
        if isinstance(returned, Mapping):
            words = plain_names(returned)
            returned = {words[key]: _assigned(value, self.outputs.get(words[key])) for key, value in returned.items()}
        found = one_model(self.outputs, returned, f"{self.module}.main", "the spec")
        masks = found[self.masks]
        other = masks[(masks != 0) & (masks != 1)]
        if other.size:
            raise SchemaError(
                f"{self.masks} of model {row} holds {other[0]}: masks must be 1 where the model was trained on, else 0"
            )
        return found


def _assigned(value: Any, spec: Output | None) -> Any:
    """A row [1, N] fits where [N] is declared, as it does when the reference assigns it to a row of its array."""
    shape = getattr(value, "shape", None)
    if spec is None or shape is None or tuple(shape) == spec.shape:
        return value
    return value.reshape(spec.shape) if [s for s in shape if s != 1] == [s for s in spec.shape if s != 1] else value


def masks_of(schema: Mapping[str, Output], masks: str | None = None) -> str:
    """The name of the array of masks among those that a spec declares; InputError unless there is exactly one.

    masks: its name, if it is known. Else it is the one with "mask" in its name, "masks" before all others.
    """
    names = ", ".join(schema)
    if masks is not None:
        if masks not in schema:
            raise InputError(f"the spec declares no array {masks!r}; it declares {names}")
        found = [masks]
    else:
        found = [name for name in schema if "mask" in name.lower()]
        found = [MASKS] if MASKS in found else found
    if len(found) > 1:
        raise InputError(f"several arrays of the spec could be the masks ({', '.join(found)}): say which with --masks")
    if not found:
        raise InputError(
            f"the spec declares no masks ({names}): who was trained on whom must be one of the arrays that the module "
            "returns, 1 or 0 a unit; name it with --masks if nothing in its name says so"
        )
    if len(schema[found[0]].shape) != 1 or schema[found[0]].shape[0] < 2:
        raise InputError(f"{found[0]} has shape {list(schema[found[0]].shape)}: masks hold one number a unit, [n]")
    if len(schema) < 2:
        raise InputError(f"the spec declares {names} alone: there are no outputs to learn from")
    return found[0]


def _refuse_worker_options(args: Sequence[str]) -> None:
    for word in args:
        if word.startswith(f"--{WORKER}."):
            instead = "; --timeout is subtrain's" if "timeout" in word else ""
            raise InputError(f"{word.partition('=')[0]} belongs to the reference's worker, which is not run{instead}")


def _main(module: str, root: str) -> Callable[..., Any]:
    if root not in sys.path and not (of_strangers() and os.path.realpath(root) == os.path.realpath(os.getcwd())):
        sys.path.insert(0, root)
    try:
        main = importlib.import_module(module).main
    except SystemExit as error:
        raise InputError(f"{module} ends the process (exit {error.code}) when it is imported") from error
    except Exception as error:
        raise InputError(f"cannot import main from {module!r}: {type(error).__name__}: {error}") from error
    if not callable(main):
        raise InputError(f"{module}.main is a {type(main).__name__}, not a function")
    return main  # type: ignore[no-any-return]


@contextmanager
def _arguments(words: list[str]) -> Iterator[None]:
    before, sys.argv = sys.argv, words
    try:
        yield
    finally:
        sys.argv = before
