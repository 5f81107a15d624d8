"""`subtrain compare`: how two learning algorithms differ in what they learn from."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.app import AsJson, Params, TaskName, Workers, app
from subtrain.cli.shared.results import PANEL, OutFile, show
from subtrain.cli.shared.trusted_study import Trust, open_to_train


@app.command(rich_help_panel=PANEL)
def compare(
    study_a: Annotated[str, typer.Argument(metavar="STUDY_A", help="Study of algorithm A.", show_default=False)],
    study_b: Annotated[
        str, typer.Argument(metavar="STUDY_B", help="Study of algorithm B, of the same units and targets.")
    ],
    fit_a: Annotated[str, typer.Option(help="Name of A's fit.")] = "default",
    fit_b: Annotated[str, typer.Option(help="Name of B's fit.")] = "default",
    components: Annotated[
        int | None,
        typer.Option(help="Directions on either side; by default 5, or as many as there are.", show_default=False),
    ] = None,
    verify: Annotated[
        int | None,
        typer.Option(help="Retrain both without the units of this direction instead.", show_default=False),
    ] = None,
    side: Annotated[
        str, typer.Option(help="With --verify: a direction of A without B (a), or of B without A (b).")
    ] = "a",
    units: Annotated[int, typer.Option(help="With --verify: units to remove.")] = 20,
    runs: Annotated[int, typer.Option(help="With --verify: retrainings of each training set.")] = 5,
    task: TaskName = None,
    param: Params = None,
    task_b: Annotated[
        str | None, typer.Option("--task-b", help="The task of B, as --task of A.", show_default=False)
    ] = None,
    param_b: Annotated[
        list[str] | None, typer.Option("--param-b", metavar="KEY=VALUE", help="A parameter of B's task; repeatable.")
    ] = None,
    trust: Trust = False,
    workers: Workers = None,
    to: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """Training units that move one algorithm and not the other, and whether they do (--verify)."""
    from subtrain.fits import load_fit
    from subtrain.uses.compare import compare as differences
    from subtrain.uses.kit.unit_names import target_labels

    a = open_to_train(study_a, task, param, trust)
    b = open_to_train(study_b, task_b, param_b, trust)
    of_a, of_b = load_fit(a, fit_a), load_fit(b, fit_b)
    names = (a.name, b.name) if a.name != b.name else (f"{a.name} {fit_a}", f"{b.name} {fit_b}")
    found = differences(of_a, a, of_b, b, components, names, target_labels(a, of_a.meta["output"]))
    show(found if verify is None else found.verify(runs, verify, side, units, workers=workers), to, as_json)
