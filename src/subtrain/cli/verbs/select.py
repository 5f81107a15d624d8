"""`subtrain select`: which units to train on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from subtrain.cli.shared.app import AsJson, FitName, Params, StudyPath, TaskName, app
from subtrain.cli.shared.results import PANEL, OutFile, Targets, numbers, show
from subtrain.cli.shared.trusted_study import Trust, open_to_train
from subtrain.errors import InputError

if TYPE_CHECKING:
    from subtrain.datamodels import Datamodels
    from subtrain.study import Study
    from subtrain.uses.select import Selection

Better = Annotated[
    str | None,
    typer.Option(help="higher or lower: which way the output is better, if it does not tell.", show_default=False),
]
Verify = Annotated[int, typer.Option(metavar="RUNS", help="Retrain so many times on each training set compared.")]


@app.command(rich_help_panel=PANEL)
def select(
    study: StudyPath,
    fit: FitName = "default",
    keep: Annotated[int | None, typer.Option(help="How many units to keep.", show_default=False)] = None,
    drop: Annotated[int | None, typer.Option(help="How many to leave out instead.", show_default=False)] = None,
    targets: Targets = None,
    judge: Annotated[float, typer.Option(help="Share of the targets that only judge.")] = 0.5,
    worst_label: Annotated[
        bool, typer.Option("--worst-label", help="Choose for the label on which the models do worst (with --drop).")
    ] = False,
    seed: Annotated[int, typer.Option(help="Draws the targets that judge, and the random sets.")] = 0,
    better: Better = None,
    verify: Verify = 0,
    randoms: Annotated[int, typer.Option(help="Random sets to compare with.")] = 5,
    task: TaskName = None,
    param: Params = None,
    trust: Trust = False,
    to: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """Which units to train on for the sake of some targets; with --verify, what models trained on them reach."""
    from subtrain.fits import load_fit
    from subtrain.uses.select import select as choose

    opened = open_to_train(study, task, param, trust)
    dm = load_fit(opened, fit)
    chosen = (
        _for_worst_label(dm, opened, keep, drop, targets, judge, seed, better)
        if worst_label
        else choose(dm, opened, keep, drop, numbers(targets), judge, seed, better)
    )
    show(chosen.verify(verify, randoms, seed) if verify else chosen, to, as_json)


def _for_worst_label(
    dm: Datamodels,
    study: Study,
    keep: int | None,
    drop: int | None,
    targets: str | None,
    judge: float,
    seed: int,
    better: str | None,
) -> Selection:
    from subtrain.uses.group_debias import debias_group
    from subtrain.uses.kit.unit_names import target_labels

    if drop is None or keep is not None or targets is not None:
        raise InputError("--worst-label goes with --drop, not with --keep or --targets")
    labels = target_labels(study, str(dm.meta.get("output")))
    if labels is None:
        raise InputError(f"{study.location} stores no labels of its targets")
    return debias_group(dm, study, labels.tolist(), drop, others=judge, seed=seed, better=better)
