"""`subtrain create`: a new study from a task and a design."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from subtrain.cli.shared.app import app, out
from subtrain.cli.shared.options import Params, StudyPath, TaskName
from subtrain.errors import InputError
from subtrain.system.paths import local_path


@app.command()
def create(
    study: StudyPath,
    task: TaskName = None,
    param: Params = None,
    alpha: Annotated[
        str,
        typer.Option(help="Fraction of the units in each subset; each subset draws one of several, as in 0.2,0.4,0.6."),
    ] = "0.5",
    models: Annotated[int, typer.Option(help="Number of distinct subsets to fit on, one model each.")] = 1000,
    heldout: Annotated[
        int | None,
        typer.Option(help="Number of held-out subsets, only for evaluation. (default: models / 20, from 20 to 300)"),
    ] = None,
    replicates: Annotated[
        int, typer.Option(help="Number of models for each held-out subset; 2 or more give the LDS an upper bound.")
    ] = 2,
    kind: Annotated[
        str,
        typer.Option(
            help="fixed: alpha * n units; stratified: that fraction of each class; bernoulli: each unit by chance."
        ),
    ] = "fixed",
    stratified: Annotated[
        bool, typer.Option("--stratified", help="The same as --kind stratified, by the labels of the task.")
    ] = False,
    strata: Annotated[
        Path | None, typer.Option(help=".npy file: the class of each unit, in place of the task's labels.")
    ] = None,
    groups: Annotated[
        Path | None, typer.Option(help=".npy file: the unit of each training example, 0, 1, 2, …")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the whole design.")] = 0,
    segment: Annotated[int, typer.Option(help="Number of models that are trained and committed together.")] = 64,
    view: Annotated[
        bool, typer.Option(help="Store images, labels, texts and rows of examples, to show them later.")
    ] = True,
) -> None:
    """Create a study: the subsets, and the task that trains a model on each. This trains nothing yet.

    Example: subtrain create runs/wine --task tabular --param data=wine --models 500
    """
    from subtrain.designs.drawn import Design
    from subtrain.store.npy_files import open_npy
    from subtrain.studies.trust import keyless
    from subtrain.study import Study
    from subtrain.tasks.loading.load import parse_params

    if task is None:
        raise InputError("give the task to train with --task, for example --task digits or --task mycode.py:task")
    ids, classes = (None if f is None else tuple(open_npy(local_path(f)).tolist()) for f in (groups, strata))
    kind = design_kind(kind, stratified)
    design = Design(_alphas(alpha), models, seed, kind, heldout, replicates, groups=ids, strata=classes)
    made = Study.create(study, task, design, params=parse_params(param or []), segment=segment, view=view)
    each = sum(spec.bytes for spec in made.outputs.values())
    out.print(f"Created {study}: {made.models:,} models over {made.n:,} units, alpha {alpha}")
    for name, spec in made.outputs.items():
        meaning = "" if not spec.meaning or name.endswith(spec.meaning) else f": {spec.meaning}"
        out.print(f"  {name} {list(spec.shape)} {spec.dtype}{meaning}")
    out.print(f"  {made.models * each / 1e6:,.1f} MB of outputs to collect")
    unsigned = made.source is not None and made.signature is None
    if unsigned:
        note = "Note: the study does not show that it is yours, so collect asks for --task: "
        out.print(f"{note}{keyless()}", highlight=False, markup=False, soft_wrap=True)
    again = ["--task", task, *(word for pair in param or [] for word in ("--param", pair))] if unsigned else []
    out.print(
        f"Next: {shlex.join(['subtrain', 'collect', study, *again])}", highlight=False, markup=False, soft_wrap=True
    )


def design_kind(kind: str, stratified: bool) -> str:
    """The kind of design that --kind and --stratified name together."""
    if stratified and kind not in ("fixed", "stratified"):
        raise InputError(f"--stratified and --kind {kind} contradict each other: give one of them")
    return "stratified" if stratified else kind


def _alphas(text: str) -> float | tuple[float, ...]:
    try:
        several = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--alpha must be a number or several with commas between, got {text!r}") from None
    return several if len(several) > 1 else several[0]
