"""`subtrain counterfactual`: what would be predicted without some of the training data, and is that so?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from subtrain.cli.shared.app import AsJson, FitName, Params, StudyPath, TaskName, Workers, app
from subtrain.cli.shared.results import PANEL, OutFile, Targets, numbers, show
from subtrain.cli.shared.trusted_study import Trust, open_to_train


@app.command(rich_help_panel=PANEL)
def counterfactual(
    study: StudyPath,
    fit: FitName = "default",
    targets: Targets = None,
    sizes: Annotated[
        str | None, typer.Option(metavar="LIST", help="Units to remove; by default 10,20,40,… to a tenth of all.")
    ] = None,
    units: Annotated[
        str | None, typer.Option(metavar="LIST", help="Remove these units instead of each target's largest weights.")
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Retrain without them, and compare.")] = False,
    runs: Annotated[int, typer.Option(help="Models to retrain of each removal.")] = 10,
    base: Annotated[str, typer.Option(help="Remove from the whole set (full), or from subsets (alpha).")] = "full",
    task: TaskName = None,
    param: Params = None,
    trust: Trust = False,
    workers: Workers = None,
    to: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """Predict each target's output without its most helpful, most harmful, and as many random units.

    Without --targets, 50 targets spread over all. With --verify every removal is retrained, once for all targets; kill
    it whenever you like, the same command goes on.
    """
    from subtrain.fits import load_fit
    from subtrain.uses.counterfactual import counterfactuals
    from subtrain.uses.kit.removals import Removal

    opened = open_to_train(study, task, param, trust)
    dm = load_fit(opened, fit)
    what, chosen = numbers(targets), numbers(units, "units")
    jobs = [Removal(target, chosen) for target in (range(dm.targets) if what is None else what)] if chosen else what
    options: dict[str, Any] = {"progress": not as_json} | ({} if workers is None else {"workers": workers})
    found = counterfactuals(dm, opened, jobs, numbers(sizes, "sizes"), base)
    show(found.verify(runs, **options) if verify else found, to, as_json)
