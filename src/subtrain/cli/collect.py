"""`subtrain collect`: train what is missing."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from subtrain.cli.app import Params, StudyPath, TaskName, Workers, app, out


@app.command()
def collect(
    study: StudyPath,
    workers: Workers = None,
    device: Annotated[
        str | None, typer.Option(help="Devices to train on, for example cuda:0,cuda:1 or cpu.", show_default=False)
    ] = None,
    per_device: Annotated[int | None, typer.Option(help="Workers on each device.", show_default=False)] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds one training may take before it is stopped.", show_default=False)
    ] = None,
    engine: Annotated[str, typer.Option(help="Where to train: local, slurm or ray.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="ray: HOST:PORT of the cluster's head; else RAY_ADDRESS.", show_default=False)
    ] = None,
    num_cpus: Annotated[float | None, typer.Option(help="ray: CPUs a task takes.", show_default=False)] = None,
    num_gpus: Annotated[
        float | None, typer.Option(help="ray: GPUs a task takes, for example 0.25.", show_default=False)
    ] = None,
    max_retries: Annotated[
        int | None, typer.Option(help="ray: tries after the loss of a node.", show_default=False)
    ] = None,
    task: TaskName = None,
    param: Params = None,
) -> None:
    """Train every model the study still lacks. Kill it whenever you like; the same command goes on.

    Workers are picked from the cores, the free memory and, for a task that uses them, the GPUs, and named as it starts.
    A device that runs out of memory gets fewer workers, and that is said.
    --task is only needed for a study created from Python with a task that has no import path.
    """
    from subtrain.collection import collect as train
    from subtrain.store.study import Study
    from subtrain.tasks.load import parse_params

    opened = Study.open(study, task, params=parse_params(param or []))
    devices = None if device is None else [name.strip() for name in device.split(",")]
    given: dict[str, Any] = {"devices": devices, "per_device": per_device, "timeout": timeout, "address": address}
    given |= {"num_cpus": num_cpus, "num_gpus": num_gpus, "max_retries": max_retries}
    done = train(opened, workers, engine=engine, **{name: value for name, value in given.items() if value is not None})
    if done.trained:
        out.print(f"Trained {done.trained:,} models in {done.seconds:.1f} s ({done.rate:,.3g} a second)")
    out.print(f"{done.done:,} of {done.total:,} models are done")
    out.print(f"Next: subtrain fit {study}")
