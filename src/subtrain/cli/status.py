"""`subtrain status`: how a study stands."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from subtrain.cli.app import AsJson, StudyPath, app, out
from subtrain.errors import CorruptError

if TYPE_CHECKING:
    from subtrain.curve import LearningCurve
    from subtrain.store.study import Study


@app.command()
def status(
    study: StudyPath,
    as_json: AsJson = False,
    check: Annotated[bool, typer.Option("--check", help="Read every byte and verify it; damage exits with 4.")] = False,
    curve: Annotated[
        bool, typer.Option("--curve", help="Fit on what has landed so far, and show LDS against models.")
    ] = False,
) -> None:
    """Show models done, running and failed, the disk they use, and the fits made from them.

    All of it can be asked while a collect runs.
    """
    from subtrain.collection import status as looks
    from subtrain.collection.display import clock
    from subtrain.store.study import Study

    opened = Study.open(study)
    if check and (damage := looks.check(opened)):
        raise CorruptError("; ".join(damage))
    now = looks.status(opened)
    found = _curve(opened) if curve else None
    if as_json:
        print(json.dumps(now.to_json() | ({"curve": found.to_json()} if found else {}), indent=1))
        return
    table = Table(title=f"Study {escape(now.path)}", show_header=False, title_justify="left", box=None)
    table.add_row("models to fit on", f"{now.fit_done:,} of {now.fit_models:,}")
    table.add_row("models to judge on", f"{now.evaluation_done:,} of {now.evaluation_models:,}")
    table.add_row("units, alpha", f"{now.units:,}, {now.alpha}")
    table.add_row("outputs", ", ".join(f"{name} {shape}" for name, shape in now.outputs.items()))
    table.add_row("on disk", f"{now.bytes_done / 1e6:,.1f} MB, {now.bytes_to_come / 1e6:,.1f} MB to come")
    table.add_row("fits", ", ".join(now.fits) or "none yet")
    for runner in now.runners:
        eta = f", {clock(runner['eta_seconds'])} left" if runner.get("eta_seconds") is not None else ""
        where = f"{runner['host']} (pid {runner['pid']}, {runner['workers']} workers)"
        table.add_row("running on", f"{escape(where)}: {runner['rate']:,.3g} models/s{eta}")
    for failed in now.failed[:10]:
        table.add_row("failed", escape(f"model {failed.model}: {failed.why}; traceback in {failed.file}"))
    if len(now.failed) > 10:
        table.add_row("", f"and {len(now.failed) - 10} more failed models")
    out.print(table)
    if found:
        _show(found)


def _curve(study: Study) -> LearningCurve:
    from subtrain.curve import learning_curve

    # Whatever trains on this machine goes first.
    os.nice(10)
    return learning_curve(study)


def _show(found: LearningCurve) -> None:
    out.print(
        f"\n[bold]{found.output}[/bold], {found.targets} targets, judged on the {found.subsets:,} held-out subsets x "
        f"{found.replicates} runs that have landed",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False)
    for column in ("models", "LDS", "95 % interval", "noise ceiling"):
        table.add_column(column, justify="right")
    for point in found.points:
        interval = f"{point.lds.low:.3f} … {point.lds.high:.3f}"
        ceiling = "unknown" if point.ceiling != point.ceiling else f"{point.ceiling:.3f}"
        table.add_row(f"{point.models:,}", f"{point.lds.value:.3f}", interval, ceiling)
    out.print(table)
