"""`subtrain create`: a new study from a task and a design."""

from __future__ import annotations

import shlex
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from subtrain.cli.shared.app import app, out
from subtrain.cli.shared.options import Params, StudyPath, TaskName
from subtrain.errors import InputError
from subtrain.system.paths import local_path

if TYPE_CHECKING:
    from subtrain.designs.design_protocol import AnyDesign


@app.command()
def create(
    study: StudyPath,
    task: TaskName = None,
    param: Params = None,
    alpha: Annotated[
        str,
        typer.Option(
            help="Fraction of the units in each subset, as 0.5 or 1/3; each subset draws one of several, as in 0.2,0.4."
        ),
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
            help="auto: paley where alpha is 0.5 and there are 100 units or more, else fixed. paley: sets of masks "
            "that confound no two units, and their complements. cyclotomic: nearly that, at other alphas. fixed: alpha "
            "* n units at random. stratified: that fraction of each class. bernoulli: each unit by chance."
        ),
    ] = "auto",
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|pair|model",
            help="Training seeds: how many a set of models shares; pair: a mask and its complement share one; model: "
            "each model has its own. (default: 10 or more for paley and cyclotomic, else model)",
        ),
    ] = None,
    validation: Annotated[
        int | None,
        typer.Option(
            help="Number of further random subsets that choose lambda, one model each. (default: models / 20, from 20 "
            "to 100, for paley and cyclotomic; else 0, and a tenth of the models chooses)"
        ),
    ] = None,
    anchors: Annotated[
        int | None,
        typer.Option(
            help="Number of models on all units, and on more of them than alpha has, which tell the level of outputs: "
            "what a model of all units answers. (default: 24, or models / 10 if that is less; 0 below 100 models and "
            "for several alphas)"
        ),
    ] = None,
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
    design = Design(
        *(_alphas(alpha), models, seed, design_kind(kind, stratified), heldout, replicates),
        groups=ids,
        strata=classes,
        validation=validation,
        seeds=_seeds(seeds),
        anchors=anchors,
    )
    made = Study.create(study, task, design, params=parse_params(param or []), segment=segment, view=view)
    each = sum(spec.bytes for spec in made.outputs.values())
    out.print(f"Created {study}: {made.models:,} models over {made.n:,} units, alpha {alpha}")
    for line in _about_design(made.design):
        out.print(line, highlight=False, markup=False, soft_wrap=True)
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
    if stratified and kind not in ("auto", "fixed", "stratified"):
        raise InputError(f"--stratified and --kind {kind} contradict each other: give one of them")
    return "stratified" if stratified else kind


def _seeds(text: str | None) -> Any:
    return int(text) if text is not None and text.isdecimal() and text.isascii() else text


def _about_design(design: AnyDesign) -> list[str]:
    """What its models are for, its kind and why, and the numbers of models that would suit it better."""
    from subtrain.designs.kind_choice import pairs_missing, said_of_sizes
    from subtrain.designs.model_rows import said_of_parts

    drawn = design.drawn
    if drawn is None:
        return []
    lines = [f"Models: {said_of_parts(drawn.blocks)}", f"Design: {drawn.kind_reason}"]
    missing = pairs_missing(drawn.models, drawn.sets, drawn.sharing)
    better = said_of_sizes(drawn.suitable_sizes, drawn.sets)
    if missing:
        lines.append(f"Note: {missing}")
    elif better:
        lines.append(f"Note: --models {better} would suit better; sizes between these are no better per model")
    return lines


def _alphas(text: str) -> float | tuple[float, ...]:
    try:
        # A fraction such as 1/3, which no decimal is, makes the alpha of a cyclotomic design.
        several = tuple(float(Fraction(part)) if "/" in part else float(part) for part in text.split(","))
    except (ValueError, ZeroDivisionError):
        raise InputError(
            f"--alpha must be a number or several with commas between, as 0.5, 1/3 or 0.2,0.4, got {text!r}"
        ) from None
    return several if len(several) > 1 else several[0]
