"""Collect with a training module of the reference code, which draws its own masks and returns them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from subtrain.collection import collect
from subtrain.collection.report import Collected
from subtrain.design import Design
from subtrain.errors import InputError
from subtrain.store.imported import import_arrays
from subtrain.store.reference import guess_masks, read_spec, write_array
from subtrain.store.study import MANIFEST, Study
from subtrain.tasks.reference import reference

# Where the models are collected before the whole becomes a study, with the masks they return as its design.
TRAINED = "trained"
SEGMENT = 16
_CHUNK = 1024


def collect_reference(
    path: str | Path,
    module: str,
    spec: str | Path,
    args: Sequence[str] = (),
    masks: str | None = None,
    heldout: int | None = None,
    **options: Any,
) -> tuple[Study, Collected]:
    """Train all models that a spec.json declares by `main(index=…, logdir=…)` of `module`; then make them a study.

    The models are collected in `path`/trained, by any engine and as safely as any others, and `path` becomes a study
    once all are there: its masks are the returned array `masks`, by default guessed as `import_reference` does.
    options: those of `collect`. Run again it goes on; MismatchError if module, spec or arguments have changed since.
    """
    root = Path(path)
    if (root / MANIFEST).exists():
        raise InputError(f"{root} is a study already: its models are collected")
    models, schema = read_spec(Path(spec))
    task = reference(module, schema, str(root.resolve() / "logdir"), list(args))
    design = Design(models=models, heldout=0)
    inner = Study.create(root / TRAINED, task, design, segment=SEGMENT, exist_ok=True)
    done = collect(inner, **options)
    if done.done < done.total:
        return inner, done
    key = masks or guess_masks({name: inner.read(name, range(min(16, models))) for name in schema})
    if key not in schema or len(schema) < 2:
        raise InputError(f"{spec} must declare the masks and at least one output; it has {', '.join(schema)}")
    files = {
        name: write_array(root / "arrays" / f"{name}.npy", (models, *one.shape), one.dtype, _parts(inner, name))
        for name, one in schema.items()
    }
    return import_arrays(root, files.pop(key), files, heldout), done


def _parts(study: Study, name: str) -> Iterator[NDArray[Any]]:
    for start in range(0, study.models, _CHUNK):
        yield study.read(name, range(start, min(start + _CHUNK, study.models)))
