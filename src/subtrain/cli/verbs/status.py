"""`subtrain status`: how a study stands."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from subtrain.cli.shared.app import app, out, print_json
from subtrain.cli.shared.options import AsJson, StudyPath
from subtrain.errors import CorruptError
from subtrain.formatting import number

if TYPE_CHECKING:
    from subtrain.collection.status import Status
    from subtrain.study import Study
    from subtrain.uses.learning_curve import LearningCurve

EVERY = 2.0


@app.command()
def status(
    study: StudyPath,
    as_json: AsJson = False,
    check: Annotated[
        bool, typer.Option("--check", help="Read every byte and verify it; the exit code 4 means damage.")
    ] = False,
    curve: Annotated[
        bool, typer.Option("--curve", help="Fit on the models so far, and show the LDS by their number.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show the status again and again until no model is missing.")
    ] = False,
    prometheus: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the status to this file for Prometheus.")
    ] = None,
) -> None:
    """Show done, running and failed models by host, their rate, the disk space, and the fits.

    You can ask at any time, also while a collect runs.
    """
    from subtrain.collection import status as looks
    from subtrain.collection.prometheus import write_prometheus
    from subtrain.study import Study

    opened = Study.open(study)
    notes = _checked(opened) if check else []
    now = looks.status(opened)
    if prometheus:
        write_prometheus(now, prometheus)
    found = _curve(opened) if curve else None
    if watch and not as_json:
        _watch(study, prometheus)
    elif as_json:
        more = ({"curve": found.to_json()} if found else {}) | ({"notes": notes} if check else {})
        print_json(now.to_json() | more)
    else:
        out.print(_table(now))
        for note in notes:
            out.print(escape(f"Note: {note}"), soft_wrap=True)
        if check:
            out.print("Every file with a digest is as it was written", style="dim")
    if found and not as_json:
        _show(found)


def _checked(study: Study) -> list[str]:
    """What else there is to say once every byte was read; CorruptError that names what is damaged."""
    from subtrain.integrity import examine

    found = examine(study)
    if found.damage:
        more = f"; and {len(found.damage) - 20} more" if len(found.damage) > 20 else ""
        raise CorruptError("; ".join(found.damage[:20]) + more)
    return found.notes


def _watch(study: str, prometheus: Path | None) -> None:
    from rich.live import Live

    from subtrain.collection import status as looks
    from subtrain.collection.prometheus import write_prometheus
    from subtrain.study import Study

    with Live(console=out, auto_refresh=False) as live:
        while True:
            # Opened anew each time, as it may have been extended.
            now = looks.status(Study.open(study))
            live.update(_table(now), refresh=True)
            if prometheus:
                write_prometheus(now, prometheus)
            if not now.missing:
                return
            time.sleep(EVERY)


def _table(now: Status) -> Table:
    from subtrain.formatting import clock

    table = Table(title=f"Study {escape(now.path)}", show_header=False, title_justify="left", box=None)
    table.add_row("models to fit on", f"{now.fit_done:,} of {now.fit_models:,}")
    if now.validation_models:
        table.add_row("models to choose lambda by", f"{now.validation_done:,} of {now.validation_models:,}")
    if now.anchor_models:
        table.add_row("models to tell the level by", f"{now.anchor_done:,} of {now.anchor_models:,}")
    table.add_row("models to evaluate on", f"{now.evaluation_done:,} of {now.evaluation_models:,}")
    table.add_row("units, alpha", f"{now.units:,}, {now.alpha}")
    table.add_row("outputs", ", ".join(f"{name} {shape}" for name, shape in now.outputs.items()))
    table.add_row("on disk", f"{now.bytes_done / 1e6:,.1f} MB, {now.bytes_to_come / 1e6:,.1f} MB to collect")
    table.add_row("fits", ", ".join(now.fits) or "none yet")
    if now.missing:
        eta = f", {clock(now.eta_seconds)} left" if now.eta_seconds is not None else ""
        table.add_row("lately", f"{now.rate:,.3g} models/s{eta}" if now.rate else "no model was committed")
    of = "" if now.hosts_of == now.done else f" (of the newest {now.hosts_of:,} models)"
    for host in now.hosts if now.missing or len(now.hosts) > 1 else ():
        table.add_row(
            f"on {escape(host.host)}", f"{host.done:,} done{of}, {host.running:,} running, {host.failed:,} failed"
        )
    for runner in now.runners:
        where = f"{runner['host']} (pid {runner['pid']})"
        what = runner.get("slots") or f"{runner.get('workers')} workers"
        table.add_row("running", escape(f"{where}, {runner.get('engine', 'local')}: {what}"))
    for job in now.jobs:
        states = ", ".join(f"{count} {state}" for state, count in job["states"].items())
        table.add_row("Slurm", f"array {job['array']} of {job['jobs']} jobs: {states or 'squeue does not answer here'}")
    if now.missing:
        for slow in now.slowest:
            log = f"; {slow.log}" if slow.log else ""
            text = f"models {slow.start} to {slow.stop - 1}: {slow.seconds_each:.3g} s a model on {slow.host}{log}"
            table.add_row("slowest", escape(text))
    for failed in now.failed[:10]:
        table.add_row("failed", escape(f"model {failed.model}: {failed.why}; traceback in {failed.file}"))
    if len(now.failed) > 10:
        table.add_row("", f"and {len(now.failed) - 10} more failed models")
    return table


def _curve(study: Study) -> LearningCurve:
    from subtrain.uses.learning_curve import learning_curve

    # Whatever trains on this machine goes first.
    os.nice(10)
    return learning_curve(study)


def _show(found: LearningCurve) -> None:
    out.print(
        f"\n[bold]{found.output}[/bold], {found.targets} targets, evaluated on the {found.subsets:,} held-out subsets "
        f"x {found.replicates} runs that are committed",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False)
    for column in ("models", "LDS", "95 % interval", "upper bound (noise)"):
        table.add_column(column, justify="right")
    for point in found.points:
        between = f"{number(point.lds.low)} … {number(point.lds.high)}"
        table.add_row(f"{point.models:,}", number(point.lds.value), between, number(point.ceiling))
    out.print(table)
