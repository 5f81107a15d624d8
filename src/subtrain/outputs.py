"""What is recorded of each model: declared before training, checked when it comes back.

Output names are `{split}_{quantity}`, e.g. `test_margins`: `split` is train or test, `quantity` a key of QUANTITIES,
which says which way is better, and what it is called (`subtrain.quantities`).
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from subtrain.arrays import NUMBERS, NoArrayError, as_array
from subtrain.errors import InputError
from subtrain.quantities import MARGINS, QUANTITIES, Quantity, check_better, parse_name
from subtrain.quantities.names import direction_to_declare

Float = NDArray[np.floating[Any]]


class SchemaError(InputError):
    """Training returned something other than the task declares: no other model will do better."""


# Most numbers of one output of one model: a thousand times those of ImageNet's logits.
MAX_NUMBERS = 50_000_000_000


@dataclass(frozen=True)
class Output:
    """One declared output of a task.

    Args:
        shape: of one model's output; its first axis is that of the targets.
        dtype: in which it is stored; default float16. A value that it cannot hold fails its model.
        meaning: in a few words; default "".
        better: "higher", "lower" or "neither"; by default its name says, as far as it does (`quantity_of`).

    Raises:
        InputError: a shape or dtype that no segment can hold.

    Example:
        >>> Output((300,), "float32", better="lower").bytes
        1200
    """

    shape: tuple[int, ...]
    dtype: str = "float16"
    meaning: str = ""
    better: str | None = None

    def __post_init__(self) -> None:
        if not all(isinstance(s, (int, np.integer)) and not isinstance(s, bool) for s in self.shape):
            raise InputError(f"an output's shape must be whole numbers, got {str(self.shape)[:60]}")
        object.__setattr__(self, "shape", tuple(int(s) for s in self.shape))
        if any(s < 0 for s in self.shape):
            raise InputError(f"an output's shape cannot be negative: {self.shape}")
        if 0 in self.shape:
            raise InputError(f"an output of shape {list(self.shape)} has no targets: give at least one")
        if math.prod(self.shape) > MAX_NUMBERS:
            raise InputError(
                f"an output of shape {str(list(self.shape))[:60]} has more than {MAX_NUMBERS:,} numbers a model"
            )
        if not isinstance(self.meaning, str):
            raise InputError(f"an output needs words for its meaning, got {str(self.meaning)[:60]}")
        object.__setattr__(self, "dtype", _dtype_name(self.dtype))
        check_better(self.better)

    @property
    def bytes(self) -> int:
        """Bytes a model."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def to_json(self) -> dict[str, Any]:
        """As study.json has it; a direction that nobody declared is left out, as it always was."""
        declared = {k: v for k, v in asdict(self).items() if k != "better" or v is not None}
        return {**declared, "shape": list(self.shape)}


def _dtype_name(dtype: DTypeLike) -> str:
    """One name for f2, >f2 and np.float16 alike; InputError for what no segment can hold."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise InputError(f"an output's dtype must be one of numpy's, for example float16, got {dtype!r}") from None
    if found.kind not in "fiub" or found.itemsize > 8:
        raise InputError(f"an output must be numbers of at most 64 bits, got dtype {found}")
    return found.newbyteorder("=").name


def plain_names(keys: Iterable[object]) -> dict[Any, str]:
    """Names of outputs for somebody else's keys: each character that no plain word has becomes "_".

    InputError where two keys would share a name, or nothing of a key is left.
    """
    names: dict[Any, str] = {}
    for key in keys:
        name = re.sub(r"\W", "_", str(key))
        name = f"_{name}" if name[:1].isdigit() else name
        if not name.isidentifier():
            raise InputError(f"an array is called {key!r}, which is no name")
        if name in names.values():
            raise InputError(f"two arrays would both be called {name}, one of them is {key!r}: rename one")
        names[key] = name
    return names


def declare(
    names: Iterable[str], sizes: Mapping[str, int], classes: int | None, margin: str = "max", dtype: str | None = None
) -> dict[str, Output]:
    """Schema of the named outputs for splits of these sizes; `classes=None` declares a regression task.

    dtype: of all of them; by default float16, float32 for a regression.
    """
    if margin not in MARGINS:
        raise InputError(f"unknown margin {margin!r}; choose from {', '.join(MARGINS)}")
    schema = {}
    for name in names:
        split, quantity = parse_name(name)
        if split not in sizes:
            raise InputError(f"output {name!r} asks for the {split} split, but this task only has {', '.join(sizes)}")
        entry: Quantity = QUANTITIES[quantity]
        if entry.regression != (classes is None):
            kind = "regression" if classes is None else "classification"
            raise InputError(f"output {name!r} does not suit a {kind} task")
        shape, meaning = entry.shape(sizes[split], classes), entry.meaning(quantity, margin)
        better = direction_to_declare(name, entry)
        schema[name] = Output(shape, dtype or ("float16" if classes else "float32"), meaning, better)
    if not schema:
        raise InputError("no outputs were asked for; name at least one, for example test_margins")
    return schema


def asked(outputs: Iterable[str]) -> list[str]:
    """The names of outputs as a list; InputError for a single text, whose letters would be taken for names."""
    if isinstance(outputs, str):
        raise InputError(f"outputs must be a list of names, for example [{outputs!r}]")
    return list(outputs)


def from_logits(
    names: Iterable[str],
    logits: Mapping[str, Float],
    labels: Mapping[str, NDArray[np.integer]],
    margin: str = "max",
) -> dict[str, Float]:
    """The named outputs of logits [..., N, C] (or regression predictions [..., N]) given per split."""
    found = {}
    for name in names:
        split, quantity = parse_name(name)
        found[name] = QUANTITIES[quantity](logits[split], labels[split], margin)
    return found


def check(
    schema: Mapping[str, Output], returned: Mapping[str, ArrayLike], rows: Sequence[int]
) -> dict[str, NDArray[Any]]:
    """The returned outputs [k, *shape] in their declared dtypes, in declared order.

    Raises SchemaError for a missing or extra name, a wrong shape, and what is no array of numbers, and InputError that
    names the output and the model for a NaN or infinity, or a value the declared dtype cannot hold.
    """
    values = _named(schema, returned, "training")
    return {name: _check_one(name, spec, values[name], rows) for name, spec in schema.items()}


def one_model(
    schema: Mapping[str, Output], returned: object, who: str = "the training function", declarer: str = "the task"
) -> dict[str, NDArray[Any]]:
    """What `who` returned for one model, as arrays of the declared shapes; SchemaError for anything else."""
    values = _named(schema, returned, who, declarer)
    return {name: _shaped(f"output {name}", spec, values[name]) for name, spec in schema.items()}


def _named(schema: Mapping[str, Output], returned: object, who: str, declarer: str = "the task") -> Mapping[str, Any]:
    """The returned dict; SchemaError unless its names are the declared ones."""
    if not isinstance(returned, Mapping):
        kind, hint = type(returned).__name__, ""
        if inspect.isgenerator(returned):
            hint = ": it yields, where it should return"
        elif inspect.iscoroutine(returned):
            returned.close()
            hint = ": it must not be async"
        raise SchemaError(f"{who} must return a dict of arrays, it returned {kind}{hint}")
    if set(returned) != set(schema):
        got, declared = sorted(map(str, returned)), sorted(schema)
        raise SchemaError(f"{who} returned outputs {got}, but {declarer} declares {declared}")
    return returned


def _shaped(what: str, spec: Output, value: Any) -> NDArray[Any]:
    """One model's output as an array of numbers of the declared shape."""
    array = _numbers(what, spec, value)
    if array.shape != spec.shape:
        raise SchemaError(f"{what} has shape {list(array.shape)}, declared {list(spec.shape)}")
    return array


def _numbers(what: str, spec: Output, value: Any) -> NDArray[Any]:
    try:
        array = as_array(value)
    except NoArrayError as error:
        raise SchemaError(f"{what} is {error}; declared is an array {list(spec.shape)} of {spec.dtype}") from error
    if array.dtype.kind not in NUMBERS:
        raise SchemaError(
            f"{what} has dtype {array.dtype}, declared {spec.dtype}; its shape is {list(array.shape)}, "
            f"declared {list(spec.shape)}"
        )
    return array


def _check_one(name: str, spec: Output, value: ArrayLike, rows: Sequence[int]) -> NDArray[Any]:
    array = _numbers(f"output {name} of model {rows[0]}", spec, value)
    want = (len(rows), *spec.shape)
    if array.shape != want:
        raise SchemaError(
            f"output {name} of model {rows[0]} has shape {list(array.shape[1:])}, declared {list(spec.shape)}"
            if array.shape[:1] == (len(rows),)
            else f"output {name} has shape {list(array.shape)} for {len(rows)} models, declared {list(spec.shape)} each"
        )
    finite = np.isfinite(array)
    if not finite.all():
        at = np.argwhere(~finite)[0]
        raise InputError(f"output {name} of model {rows[at[0]]} is {array[tuple(at)]} at {_place(at)}")
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(spec.dtype)
    lost = ~np.isfinite(cast) if cast.dtype.kind == "f" else cast != array
    if lost.any():
        at = np.argwhere(lost)[0]
        raise InputError(
            f"output {name} of model {rows[at[0]]} is {array[tuple(at)]:g} at {_place(at)}, "
            f"which {spec.dtype} cannot hold; declare a wider dtype, st.Output({list(spec.shape)}, 'float32') or "
            "dtype='float32' of a helper"
        )
    return cast


def _place(at: NDArray[np.integer]) -> str:
    return f"target {at[1]}" if at.size > 1 else "its only value"
