"""`subtrain compare`: how two learning algorithms differ in what they learn from."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.question import Asked, question
from subtrain.uses.kit.result import Result


@question(targets=False)
def compare(
    asked: Asked,
    study_b: Annotated[
        str, typer.Argument(metavar="STUDY_B", help="Study of algorithm B, with the same units and targets.")
    ],
    fit_b: Annotated[str, typer.Option(help="Name of the fit of B.")] = "default",
    components: Annotated[
        int | None, typer.Option(help="Number of directions on either side. (default: 5, or as many as there are)")
    ] = None,
    component: Annotated[int, typer.Option(help="With --verify: number of the direction.")] = 0,
    side: Annotated[
        str, typer.Option(help="With --verify: a direction of A without B (a), or of B without A (b).")
    ] = "a",
    units: Annotated[int, typer.Option(help="With --verify: number of units to remove.")] = 20,
    task_b: Annotated[str | None, typer.Option(help="The task of B; --task is that of A.", show_default=False)] = None,
    param_b: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A parameter of the task of B; repeatable.")
    ] = None,
) -> Result:
    """Find the training units that move the outputs of one algorithm and not those of the other.

    STUDY is that of algorithm A. --verify retrains both algorithms without the units of one direction.
    """
    from subtrain.cli.shared.trusted_study import open_to_train
    from subtrain.fits import load_fit
    from subtrain.uses.compare import compare as differences
    from subtrain.uses.kit.unit_names import target_labels

    a, b = asked.study, open_to_train(study_b, task_b, param_b, asked.trust)
    dm, other = asked.dm, load_fit(b, fit_b)
    names = (a.name, b.name) if a.name != b.name else (f"{a.name} {asked.fit}", f"{b.name} {fit_b}")
    asked.verify_with = {"component": component, "side": side, "units": units}
    return differences(dm, a, other, b, components, names, target_labels(a, dm.meta["output"]))
