"""`subtrain collect`: train what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from subtrain.cli.shared.app import (
    Devices,
    Params,
    PerDevice,
    StudyPath,
    TaskName,
    Timeout,
    Workers,
    app,
    device_names,
    out,
)
from subtrain.cli.shared.trusted_study import Trust, open_to_train
from subtrain.errors import InputError

if TYPE_CHECKING:
    from subtrain.study import Study

ON_SLURM = "With --engine slurm"
REFERENCE = "With the reference code's training modules; other --arguments go through to them"


def _slurm(text: str) -> Any:
    return typer.Option(help=text, show_default=False, rich_help_panel=ON_SLURM)


def _ray(text: str) -> Any:
    return typer.Option(help=text, show_default=False, rich_help_panel="With --engine ray")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def collect(
    ctx: typer.Context,
    study: StudyPath,
    workers: Workers = None,
    device: Devices = None,
    per_device: PerDevice = None,
    timeout: Timeout = None,
    task: TaskName = None,
    param: Params = None,
    trust: Trust = False,
    engine: Annotated[str, typer.Option(help="Where to train: local, slurm or ray.")] = "local",
    partition: Annotated[str | None, _slurm("Partition to submit to.")] = None,
    gres: Annotated[str | None, _slurm("Of each job: gpu:1, or a fraction of one, shard:1.")] = None,
    time: Annotated[str | None, _slurm("Longest time of a job, for example 4:00:00.")] = None,
    mem: Annotated[str | None, _slurm("Memory of a job, for example 4G.")] = None,
    account: Annotated[str | None, _slurm("Account to charge.")] = None,
    cpus: Annotated[int | None, _slurm("Cores of a job.")] = None,
    max_jobs: Annotated[int | None, _slurm("Jobs that are submitted at a time, running or waiting.")] = None,
    per_job: Annotated[int | None, _slurm("Segments a job trains one after the other.")] = None,
    sbatch_line: Annotated[
        list[str] | None,
        _slurm('Another option ("--constraint=a100") or command ("module load cuda"); repeatable.'),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Submit and return; collect again to watch.", rich_help_panel=ON_SLURM)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the script, submit nothing.", rich_help_panel=ON_SLURM)
    ] = False,
    address: Annotated[str | None, _ray("HOST:PORT of the cluster's head; else RAY_ADDRESS.")] = None,
    num_cpus: Annotated[float | None, _ray("CPUs a task takes.")] = None,
    num_gpus: Annotated[float | None, _ray("GPUs a task takes, for example 0.25.")] = None,
    max_retries: Annotated[int | None, _ray("Tries after the loss of a node.")] = None,
    reference_module: Annotated[
        str | None, typer.Option(metavar="MODULE", help="Its main(index, logdir) trains.", rich_help_panel=REFERENCE)
    ] = None,
    spec: Annotated[
        Path | None, typer.Option(help="spec.json: how many models, and what they return.", rich_help_panel=REFERENCE)
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(metavar="KEY", help='The masks it returns. [default: "mask…"]', rich_help_panel=REFERENCE),
    ] = None,
) -> None:
    """Train every model the study still lacks. Kill it whenever you like; the same command goes on.

    Workers are picked from the cores, the free memory and, for a task that uses them, the GPUs, and named as it starts.
    A device that runs out of memory gets fewer workers, and collect says so.
    --task is needed for a study created from Python with a task that has no import path, one whose code has moved, and,
    unless you --trust it, one that somebody else made: collecting runs its code.
    """
    from subtrain.collection import collect as train
    from subtrain.formatting import visible

    if (ctx.args and not reference_module) or (reference_module and not spec):
        raise InputError(f"collect has no option {ctx.args[0]}" if ctx.args else "--reference-module needs --spec")
    asked = {
        "workers": workers,
        "devices": device_names(device),
        "per_device": per_device,
        "timeout": timeout,
        "partition": partition,
        "gres": gres,
        "time": time,
        "mem": mem,
        "account": account,
        "cpus": cpus,
        "max_jobs": max_jobs,
        "per_job": per_job,
        "sbatch_lines": sbatch_line,
        "detach": detach or None,
        "address": address,
        "num_cpus": num_cpus,
        "num_gpus": num_gpus,
        "max_retries": max_retries,
    }
    options: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    if reference_module and spec:
        from subtrain.collection.reference_module import collect_reference

        if dry_run:
            raise InputError("--dry-run does not go with --reference-module")
        made, done = collect_reference(study, reference_module, spec, ctx.args, masks, engine=engine, **options)
        study = made.location
    else:
        opened = open_to_train(study, task, param, trust)
        if dry_run:
            print(visible(_script(opened, engine, options)), end="")
            return
        done = train(opened, engine=engine, **options)
    if done.trained:
        out.print(f"Trained {done.trained:,} models in {done.seconds:.1f} s ({done.rate:,.3g} a second)")
    out.print(f"{done.done:,} of {done.total:,} models are done")
    if detach and done.done < done.total:
        for note in done.notes:
            out.print(f"Note: {note}")
        out.print(
            f"Next: subtrain status {study}; the same command without --detach watches, and resubmits what is lost"
        )
    else:
        for note in done.notes if not done.trained else ():  # else they were said while it trained
            out.print(f"Note: {note}", markup=False, soft_wrap=True)
        out.print(f"Next: subtrain fit {study}")


def _script(study: Study, engine: str, options: dict[str, Any]) -> str:
    from subtrain.collection.engines.slurm.executor import preview

    if engine != "slurm":
        raise InputError("--dry-run prints the script for --engine slurm")
    there = study.rows.whole()
    missing = [where for where in study.segments if where not in there]
    if not missing:
        raise InputError(f"nothing is missing in {study.location}: there is nothing to submit")
    return preview(study, missing, **options)
