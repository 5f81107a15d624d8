"""Collect with a training module of the reference code, which draws its own masks and returns them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from subtrain.collection import collect
from subtrain.collection.keyword_checks import hands_on
from subtrain.collection.tally import Collected
from subtrain.designs.drawn import Design
from subtrain.errors import InputError
from subtrain.outputs import plain_names
from subtrain.studies.imports.logdir import read_spec
from subtrain.studies.imports.reference import TRAINED, import_landed
from subtrain.studies.manifest import MANIFEST
from subtrain.studies.stored_study import StoredStudy
from subtrain.system.paths import local_path
from subtrain.tasks.reference import reference

SEGMENT = 16


@hands_on("collect")
def collect_reference(
    path: str | Path,
    module: str,
    spec: str | Path,
    args: Sequence[str] = (),
    masks: str | None = None,
    heldout: int | None = None,
    **options: Any,
) -> tuple[StoredStudy, Collected]:
    """Train all models that a spec.json declares by `main(index=i, logdir=PATH/logdir/workers/i)` of `module`; then
    make them a study.

    The models are collected in `path`/trained, by any engine and as safely as any others, and `path` becomes a study
    once all are there: its masks are the returned array `masks`, by default the one with "mask" in its name.
    `import_reference` makes a study of those that have landed before.
    options: those of `collect`. Run again it goes on; MismatchError if module, spec or arguments have changed since.
    """
    root = local_path(path)
    if (root / MANIFEST).exists():
        raise InputError(f"{root} is a study already: its models are collected")
    models, schema = read_spec(local_path(spec))
    key = plain_names([masks])[masks] if masks is not None else None
    task = reference(module, schema, str(root.resolve() / "logdir"), list(args), masks=key)
    design = Design(models=models, heldout=0, anchors=0)
    inner = StoredStudy.create(root / TRAINED, task, design, segment=SEGMENT, exist_ok=True)
    done = collect(inner, **options)
    if done.done < done.total:
        return inner, done
    return import_landed(inner, root, task.masks, heldout), done
