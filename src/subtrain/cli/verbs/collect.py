"""`subtrain collect`: train what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from subtrain.cli.shared.app import app, out
from subtrain.cli.shared.options import StudyPath
from subtrain.cli.shared.training import Training, with_training
from subtrain.errors import InputError

if TYPE_CHECKING:
    from subtrain.study import Study

REFERENCE = "With the reference code's training modules; other --arguments go through to them"


def collect(
    ctx: typer.Context,
    study: StudyPath,
    training: Training,
    guess: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="K",
            help="Number of the first models whose influence tables are computed as they are trained, for fit --guess.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the script, submit nothing.", rich_help_panel="With --engine slurm")
    ] = False,
    reference_module: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE", help="Module whose main(index, logdir) trains a model.", rich_help_panel=REFERENCE
        ),
    ] = None,
    spec: Annotated[
        Path | None,
        typer.Option(help="spec.json with the number of models and their arrays.", rich_help_panel=REFERENCE),
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(metavar="KEY", help='The masks it returns (default: "mask…").', rich_help_panel=REFERENCE),
    ] = None,
) -> None:
    """Train every model the study still lacks. You can kill it at any time: the same command continues.

    The number of workers follows from the cores, the free memory and, for a task that uses them, the GPUs; a line names
    it at the start. A device that runs out of memory gets fewer workers, and a line says so.
    --task is needed for a study that was created from Python with a task that has no import path, for one whose code
    has moved, and, unless you --trust it, for one that somebody else made: collecting runs its code.
    """
    from subtrain.formatting import visible

    if (ctx.args and not reference_module) or (reference_module and not spec):
        raise InputError(f"collect has no option {ctx.args[0]}" if ctx.args else "--reference-module needs --spec")
    options = dict(training.options)
    engine = options.pop("engine", "local")
    if reference_module and spec:
        from subtrain.collection.reference_module import collect_reference

        if dry_run or guess:
            raise InputError(f"{'--dry-run' if dry_run else '--guess'} does not go with --reference-module")
        made, done = collect_reference(study, reference_module, spec, ctx.args, masks, engine=engine, **options)
        study = made.location
    else:
        opened = training.open(study)
        if dry_run:
            if guess:
                raise InputError("--dry-run does not go with --guess, whose tables are computed before all else")
            print(visible(_script(opened, engine, options)), end="")
            return
        done = opened.collect(guess=guess, engine=engine, **options)
    if done.trained:
        out.print(f"Trained {done.trained:,} models in {done.seconds:.1f} s ({done.rate:,.3g} a second)")
    out.print(f"{done.done:,} of {done.total:,} models are done")
    detached = options.get("detach") and done.done < done.total
    for note in done.notes if detached or not done.trained else ():  # else they were printed while it trained
        out.print(f"Note: {note}", markup=False, soft_wrap=True)
    if detached:
        out.print(
            f"Next: subtrain status {study}; the same command without --detach watches, and resubmits what is lost"
        )
    else:
        out.print(f"Next: subtrain fit {study}{' --guess default' if guess else ''}", soft_wrap=True)


app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(with_training(collect))


def _script(study: Study, engine: str, options: dict[str, Any]) -> str:
    from subtrain.collection.engines.slurm.engine import preview

    if engine != "slurm":
        raise InputError("--dry-run prints the script for --engine slurm")
    there = study.rows.whole()
    missing = [span for span in study.segments if span not in there]
    if not missing:
        raise InputError(f"nothing is missing in {study.location}: there is nothing to submit")
    return preview(study, missing, **options)
