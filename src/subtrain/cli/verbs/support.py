"""`subtrain support`: how little training data a prediction hangs on."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from subtrain.cli.shared.app import AsJson, FitName, Params, StudyPath, TaskName, Workers, app
from subtrain.cli.shared.results import PANEL, OutFile, Targets, numbers, show
from subtrain.cli.shared.trusted_study import Trust, open_to_train


@app.command(rich_help_panel=PANEL)
def support(
    study: StudyPath,
    fit: FitName = "default",
    targets: Targets = None,
    verify: Annotated[bool, typer.Option("--verify", help="Certify by retraining without the units.")] = False,
    runs: Annotated[int, typer.Option(help="Models to retrain of each removal.")] = 10,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Start from the margin of models trained on everything (trains them).")
    ] = False,
    mislabel: Annotated[
        bool, typer.Option("--mislabel", help="Give examples the runner-up's label instead of removing them (trains).")
    ] = False,
    sizes: Annotated[
        str | None, typer.Option(metavar="LIST", help="With --mislabel: how many; by default 1,2,4,…,64.")
    ] = None,
    task: TaskName = None,
    param: Params = None,
    trust: Trust = False,
    workers: Workers = None,
    to: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """The smallest set of training units whose removal flips each target's prediction, and that times 1.2."""
    from subtrain.fits import load_fit
    from subtrain.uses.brittleness import brittleness
    from subtrain.uses.support import support as find

    opened = open_to_train(study, task, param, trust)
    dm, chosen = load_fit(opened, fit), numbers(targets)
    options: dict[str, Any] = {"progress": not as_json} | ({} if workers is None else {"workers": workers})
    if mislabel:
        ladder = numbers(sizes, "sizes")
        more = {} if ladder is None else {"sizes": ladder}
        show(brittleness(dm, opened, chosen, **more).verify(runs, **options), to, as_json)
        return
    found = find(dm, opened, chosen, calibrate=runs, **options) if calibrate else find(dm, opened, chosen)
    show(found.verify(runs, **options) if verify or calibrate else found, to, as_json)
